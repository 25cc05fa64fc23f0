"""Histories from OpenML, read with the ``openml`` package.

Usage::

    store = warmstart.store.HistoryStore("histories/")
    warmstart.openml.fetch_histories(flows=[6969], tasks=[3, 6], store=store)

Of a run it stores the loss (1 - ``predictive_accuracy``, or another measure), all scores under
scikit-learn's names, OpenML's run id, the time of upload and the configuration; of a task the
data set's name, id and licence, and a descriptor made from its data qualities.

A hyperparameter has one name, whatever scikit-learn's modules were called when the run was
uploaded, and whatever stands before the estimator in its pipeline:

- The tuned estimator is the last step of the pipeline, or the flow itself. Its own parameters are
  bare: ``sklearn.svm.classes.SVC(15)_gamma`` is ``gamma``.
- What lies inside of it has the path from there: ``base_estimator__max_depth``.
- Other steps have their identifier, and as much of the path before it as tells two of them apart:
  ``imputer__strategy``, or ``numeric__imputer__strategy`` where two steps are called ``imputer``.

Values are read from OpenML's text, be it JSON or plain: integers, floats, true and false, None,
text. What a run did not set is left out, None is a value. What makes the flow what it is
(``steps``, ``base_estimator``) is no hyperparameter and is left out as well.

Files: ``fetch`` is the whole; ``reading`` lists runs and looks up their settings through
``client``, which borrows the package and gives it our ``transport``; ``flows``, ``values`` and
``measures`` say what names, texts and scores mean.
"""

from warmstart.openml.fetch import FetchReport, fetch_histories
from warmstart.openml.progress import FetchProgress
from warmstart.openml.transport import RetryPolicy

__all__ = ["FetchProgress", "FetchReport", "RetryPolicy", "fetch_histories"]
