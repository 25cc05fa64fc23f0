"""What a sampler keeps of a study between its trials."""

from __future__ import annotations

import weakref
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from optuna.study import Study
from optuna.trial import FrozenTrial

from warmstart.branches import Branches
from warmstart.planning import Plan, Planner
from warmstart.study_trials import StudyTrial, TrialReader


@dataclass
class StudyMemory:
    """What a sampler has computed for one study: nothing of it is needed, all of it saves time.

    Attributes:
        storage: The study's, to tell another one at the same address.
        trials: What was read of its trials.
        planner: Of the estimator.
        plans: Of the trials that run in this process, by number.
        delegated: Which of these are left to TPE.
        inferred: The estimator that the parameters belong to.
        inferred_from: Names of the parameters that said so.
        is_reported: Whether the sources were logged.
        reported_names: Parameters whose match was logged.
        is_part: Whether only the trials of one branch are seen.
        estimator: Of that branch.
        branches: Of the study, if it chooses between estimators.
        branches_from: Names of the parameters that said so.
        by_choice: What is kept of each branch.
    """

    storage: weakref.ref[Any]
    trials: TrialReader = field(default_factory=TrialReader)
    planner: Planner | None = None
    plans: dict[int, Plan] = field(default_factory=dict)
    delegated: dict[int, bool] = field(default_factory=dict)
    inferred: str | None = None
    inferred_from: frozenset[str] = frozenset()
    is_reported: bool = False
    reported_names: set[str] = field(default_factory=set)
    is_part: bool = False
    estimator: str | None = None
    branches: Branches | None = None
    branches_from: frozenset[str] = frozenset()
    by_choice: dict[object, StudyMemory] = field(default_factory=dict)

    def parts(self, branches: Branches | None) -> list[StudyMemory]:
        """What is kept of each branch; all in one where there are none."""
        if branches is None:
            return [self]
        return [self.part(branches, choice) for choice in branches.estimators]

    def part(self, branches: Branches, choice: object) -> StudyMemory:
        """What is kept of one branch."""
        if choice not in self.by_choice:
            self.by_choice[choice] = StudyMemory(
                self.storage,
                trials=TrialReader(only=(branches.parameter, choice)),
                is_part=True,
                estimator=branches.estimators.get(choice),
            )
        return self.by_choice[choice]

    def read(
        self, study: Study, trial: FrozenTrial, stored: Sequence[FrozenTrial] | None = None
    ) -> list[StudyTrial]:
        """The study's trials but this one, as they are now or as they are stored."""
        return self.trials.read(study, before=trial.number, stored=stored)
