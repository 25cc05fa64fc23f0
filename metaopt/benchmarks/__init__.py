"""Benchmarks of samplers: problems from real runs and surrogates, baselines, statistics."""
