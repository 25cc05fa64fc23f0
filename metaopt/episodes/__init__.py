"""Episodes: tasks as a support set to adapt to and a query set to be judged on."""

from metaopt.episodes.distribution import Curriculum, Task, TaskDistribution, TaskSet, by_family
from metaopt.episodes.episode import Episode, Points, collate
from metaopt.episodes.few_shot import FewShotClasses, image_classes
from metaopt.episodes.histories import HistoryTask, history_tasks
from metaopt.episodes.sinusoids import Sinusoids
from metaopt.episodes.tabular import TableTask

__all__ = [
    "Curriculum",
    "Episode",
    "FewShotClasses",
    "HistoryTask",
    "Points",
    "Sinusoids",
    "TableTask",
    "Task",
    "TaskDistribution",
    "TaskSet",
    "by_family",
    "collate",
    "history_tasks",
    "image_classes",
]
