"""From histories to an artifact.

Files: ``trainer`` is the whole; ``selection`` chooses the histories that are learned from,
``aligning`` brings them onto one space, ``extending`` adds them to what was learned before,
``card`` says what is in the artifact, ``figures`` what it is worth, ``recipe`` makes the one that
is shipped, and ``progress`` shows how far it is.
"""

from metaopt.training.extending import Extension
from metaopt.training.progress import Report
from metaopt.training.recipe import train_artifact
from metaopt.training.selection import LeftOut
from metaopt.training.trainer import TrainingReport, meta_train

__all__ = ["Extension", "LeftOut", "Report", "TrainingReport", "meta_train", "train_artifact"]
