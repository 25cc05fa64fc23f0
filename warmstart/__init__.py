"""Optuna studies that start with what others have learned."""
