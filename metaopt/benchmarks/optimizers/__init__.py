"""The learned optimizer beside others, on tasks that it was not trained on."""

from metaopt.benchmarks.optimizers.bench import run_benchmark
from metaopt.benchmarks.optimizers.options import OptimizerBenchOptions

__all__ = ["OptimizerBenchOptions", "run_benchmark"]
