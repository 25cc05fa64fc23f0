import numpy as np
import pytest
from scipy.optimize import approx_fprime

from metaopt.benchmarks import gp
from metaopt.benchmarks.acquisition import is_among, maximise
from metaopt.benchmarks.unit_space import UnitSpace
from warmstart.space import Float, SearchSpace

GROUPS = np.array([0, 0, 1, 2])


def data(n=12):
    rng = np.random.default_rng(0)
    columns = rng.random((n, 4))
    return columns, gp.standardised(np.sin(5 * columns[:, 2]) + columns[:, 0])


def test_gradient_is_that_of_finite_differences():
    columns, targets = data()
    squares = gp._squares_by_parameter(columns, GROUPS, 3)
    at = np.array([-0.5, 0.2, 0.9, 0.1, -4.0])
    _, gradient = gp._negative_log_posterior(at, squares, targets)
    numeric = approx_fprime(at, lambda x: gp._negative_log_posterior(x, squares, targets)[0], 1e-6)
    np.testing.assert_allclose(gradient, numeric, rtol=1e-3, atol=1e-4)


def test_posterior_is_that_of_the_textbook():
    columns, targets = data()
    process = gp.fit(columns, targets, GROUPS)
    h = process.hyperparameters
    scaled = columns / h.lengthscales[GROUPS]
    queries = np.random.default_rng(1).random((5, 4))
    cross = h.signal * gp.matern52(gp.squared_distances(queries / h.lengthscales[GROUPS], scaled))
    prior = h.signal * gp.matern52(gp.squared_distances(scaled, scaled))
    inverse = np.linalg.inv(prior + (h.noise + 1e-8) * np.eye(len(targets)))
    mean, variance = process.predict(queries)
    np.testing.assert_allclose(mean, cross @ inverse @ targets, atol=1e-6)
    np.testing.assert_allclose(variance, h.signal - np.diag(cross @ inverse @ cross.T), atol=1e-6)


def test_leaving_one_out_is_the_same_as_fitting_without_it():
    columns, targets = data()
    process = gp.fit(columns, targets, GROUPS)
    mean, variance = process.leave_one_out()
    for i in range(len(targets)):
        others = np.arange(len(targets)) != i
        without = gp.GaussianProcess(
            columns[others], targets[others], GROUPS, process.hyperparameters
        )
        one_mean, one_variance = without.predict(columns[[i]])
        assert mean[i] == pytest.approx(one_mean[0], abs=1e-6)
        assert variance[i] == pytest.approx(one_variance[0], abs=1e-6)


def test_fit_finds_which_parameter_matters():
    rng = np.random.default_rng(0)
    columns = rng.random((40, 2))
    process = gp.fit(columns, gp.standardised(np.sin(8 * columns[:, 0])), np.array([0, 1]))
    lengths = process.hyperparameters.lengthscales
    assert lengths[0] < 0.5 * lengths[1]


def test_log_improvement_agrees_with_the_plain_formula_and_goes_on_below_it():
    mean, variance = np.array([0.0, 1.0, -1.0]), np.array([1.0, 0.25, 4.0])
    draws = np.random.default_rng(0).standard_normal(2_000_000)
    plain = [
        np.log(np.maximum(0.3 - (m + np.sqrt(v) * draws), 0).mean())
        for m, v in zip(mean, variance, strict=True)
    ]
    np.testing.assert_allclose(gp.log_expected_improvement(mean, variance, 0.3), plain, atol=0.01)
    far = gp.log_expected_improvement(np.array([5.9, 6.1, 40.0, 80.0]), np.ones(4), 0.0)
    assert np.isfinite(far).all()
    assert (np.diff(far) < 0).all()


def test_a_pickled_process_predicts_the_same():
    import pickle

    process = gp.fit(*data(), GROUPS)
    queries = np.random.default_rng(1).random((5, 4))
    again = pickle.loads(pickle.dumps(process))
    np.testing.assert_array_equal(process.predict(queries), again.predict(queries))


def test_maximise_finds_the_top_and_never_what_was_seen():
    space = UnitSpace(SearchSpace({"a": Float(0, 1), "b": Float(0, 1)}))
    rng = np.random.default_rng(0)
    top = np.array([0.123, 0.877])

    def acquisition(units):
        return -np.sum((units - top) ** 2, axis=1)

    units = space.sample(50, rng)
    none = np.empty((0, 2))
    found = maximise(
        acquisition, space, units=units, values=acquisition(units), seen=none, rng=rng
    )
    np.testing.assert_allclose(found, top, atol=0.01)
    units = np.concatenate([units, top[None]])
    found = maximise(
        acquisition, space, units=units, values=acquisition(units), seen=top[None], rng=rng
    )
    assert not is_among(found[None], top[None])[0]


def test_inactive_parameters_are_equal():
    seen = np.array([[0.5, np.nan]])
    assert is_among(np.array([[0.5, np.nan], [0.5, 0.2]]), seen).tolist() == [True, False]
