"""What an artifact is worth on tasks that it was not trained on.

Files: ``evaluating`` is the whole, ``options`` what is asked; ``subjects`` chooses histories,
``learned`` and ``altered`` make what is compared, ``experiments`` are the questions, ``judging``
the answers on one task; ``summary`` and ``calibration`` make figures of them, ``page``,
``document``, ``numbers`` and ``plots`` show these.
"""

from metaopt.evaluation.evaluating import Evaluation, evaluate
from metaopt.evaluation.options import EvaluationOptions

__all__ = ["Evaluation", "EvaluationOptions", "evaluate"]
