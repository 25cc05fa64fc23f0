"""``python -m metaopt.benchmarks.learners``: needs torch and numpy, once inputs are prepared."""

from __future__ import annotations

import argparse
from pathlib import Path

from metaopt.benchmarks.learners.inputs import write_inputs
from metaopt.benchmarks.learners.jobs import PARTS, JobOptions
from metaopt.benchmarks.learners.run import run_learner_benchmark
from metaopt.benchmarks.learners.training import Training


def main() -> None:
    """Run the benchmark of meta-learners."""
    parser = argparse.ArgumentParser(description="Meta-learners on sanity problems and histories.")
    parser.add_argument("--out", type=Path, default=Path("learner-results"))
    parser.add_argument("--part", action="append", choices=PARTS, help="Default: all.")
    parser.add_argument("--device", default="cpu", help="Such as cuda.")
    parser.add_argument("--jobs", type=int, default=1, help="Processes at once.")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--share", type=float, default=1.0, help="Of the outer steps.")
    parser.add_argument("--data", type=Path, help="Directory of recorded runs.")
    parser.add_argument("--inputs", type=Path, help="File of inputs made by --prepare.")
    parser.add_argument(
        "--prepare", type=Path, help="Only write the inputs into this file, for another machine."
    )
    parser.add_argument(
        "--only-report", action="store_true", help="Run nothing, report what is there."
    )
    given = parser.parse_args()
    if given.prepare is not None:
        write_inputs(given.prepare, given.data)
        return
    training = Training(given.seed, given.share, given.device)
    print(
        run_learner_benchmark(
            given.out,
            given.part or PARTS,
            JobOptions(given.inputs, training),
            data=given.data,
            n_jobs=given.jobs,
            only_report=given.only_report,
        )
    )


if __name__ == "__main__":
    main()
