from benchmark_synthetic import BowlSource
from hypothesis import given
from hypothesis import strategies as st

from metaopt.benchmarks.cells import training_histories
from metaopt.benchmarks.families import DATASET_NAMES, TASK_NAMES, family_of, fold_of
from metaopt.benchmarks.options import BenchOptions
from metaopt.benchmarks.runner import chosen_tasks


def test_the_same_data_under_other_names_is_one_family():
    assert family_of("mfeat-pixel") == family_of("mfeat-fourier") == "mfeat"
    assert family_of("credit-approval") == family_of("Australian")
    assert family_of("one-hundred-plants-shape") == family_of("one-hundred-plants-margin")
    assert family_of("KDDCup09_churn") == family_of("KDDCup09_upselling")
    assert family_of("sylva_agnostic") == family_of("ada_agnostic") == family_of("ada")
    assert family_of("splice") == family_of("dna")
    assert family_of("adult") == "adult"


def test_a_data_set_is_one_family_whether_known_by_task_or_by_data_set():
    both = set(DATASET_NAMES.values()) & set(TASK_NAMES.values())
    assert {"helena", "Fashion-MNIST", "MiniBooNE"} <= both


@given(st.text(min_size=1), st.integers(2, 10))
def test_a_family_has_one_fold_whatever_else_there_is(family, n_folds):
    assert fold_of(family, n_folds=n_folds) == fold_of(family, n_folds=n_folds)
    assert 0 <= fold_of(family, n_folds=n_folds) < n_folds


def test_folds_do_not_change_between_versions():
    assert [fold_of(f) for f in ("adult", "mfeat", "agnostic", "splice")] == [1, 2, 4, 2]


def test_no_family_is_on_both_sides_of_a_split():
    source = BowlSource(n_tasks=40)
    options = BenchOptions(n_jobs=1)
    tested = chosen_tasks(source, options)
    assert sorted(task.name for task in tested) == sorted(source.families())
    for fold in range(options.n_folds):
        train = training_histories(source.histories(), fold=fold, n_folds=5, max_tasks=None)
        trained_on = {history.info.family for history in train}
        tested_on = {task.family for task in tested if task.fold == fold}
        assert tested_on
        assert not trained_on & tested_on
        assert trained_on | tested_on == set(source.families().values())
