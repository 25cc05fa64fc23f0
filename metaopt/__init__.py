"""Produces and judges what `warmstart` has learned: training, benchmarks, command line."""
