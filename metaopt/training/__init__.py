"""From histories to an artifact.

Files: ``trainer`` is the whole; ``selection`` chooses the histories that are learned from,
``card`` says what is in the artifact, ``recipe`` makes the one that is shipped, and ``progress``
shows how far it is.
"""

from metaopt.training.progress import Report
from metaopt.training.recipe import train_artifact
from metaopt.training.selection import LeftOut
from metaopt.training.trainer import TrainingReport, meta_train

__all__ = ["LeftOut", "Report", "TrainingReport", "meta_train", "train_artifact"]
