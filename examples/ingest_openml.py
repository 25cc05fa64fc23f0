"""Copy runs from OpenML into a history store of your own: `python ingest_openml.py`.

Stop it whenever you like and start it again: it goes on where it stopped.
"""

import argparse

import warmstart.openml
from warmstart.store import HistoryStore

parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("--server", help="another OpenML server; default: www.openml.org")
parser.add_argument("--store", default="openml_histories", help="directory to write to")
arguments = parser.parse_args()

store = HistoryStore(arguments.store)

# A flow is a model as it was uploaded, here a pipeline with scikit-learn's AdaBoostClassifier; a
# task is a data set with its target and its folds. www.openml.org shows the ids of both.
report = warmstart.openml.fetch_histories(
    flows=[6970], tasks=[3, 6], store=store, server=arguments.server
)
print(f"{report.n_stored} runs added, {report.n_known} known, in {report.n_requests} requests.")

for history in store.histories(source="openml"):
    best = history.losses.argmin()
    print(f"{history.info.name}: {len(history)} runs, the best with a loss of", end=" ")
    print(f"{history.losses[best]:.4f} from {history.configurations()[best]}")
