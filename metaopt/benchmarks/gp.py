"""Gaussian processes on columns of a search space, and the improvement expected under them.

Symbols: n trials, q queries, c columns, d lengthscales (one for each parameter); ``r`` is a
distance in units of the lengthscales.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.linalg import cho_solve, solve_triangular
from scipy.optimize import minimize
from scipy.special import ndtr

_LENGTH_BOUNDS = (np.log(0.03), np.log(30.0))
_SIGNAL_BOUNDS = (np.log(0.05), np.log(20.0))
_NOISE_BOUNDS = (np.log(1e-6), np.log(1.0))
# Normal priors on logarithms: (mean, standard deviation).
_LENGTH_PRIOR = (0.0, 0.8)
_SIGNAL_PRIOR = (np.log(1.0), 1.0)
_NOISE_PRIOR = (np.log(1e-3), 2.5)


def squared_distances(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """``(n, q)`` squared distances between the rows of two matrices."""
    products = (a * a).sum(axis=1)[:, None] + (b * b).sum(axis=1)[None, :] - 2.0 * a @ b.T
    return np.asarray(np.maximum(products, 0.0))


def matern52(squared: np.ndarray) -> np.ndarray:
    """Matérn correlation with ν = 5/2 of squared distances in units of the lengthscale."""
    r = np.sqrt(5.0 * squared)
    return np.asarray((1.0 + r + r * r / 3.0) * np.exp(-r))


@dataclass(frozen=True)
class Hyperparameters:
    """Of a Gaussian process.

    Attributes:
        lengthscales: ``(d,)``, on the scale of units.
        signal: Variance of the function.
        noise: Variance of the noise.
    """

    lengthscales: np.ndarray
    signal: float
    noise: float

    @classmethod
    def from_logarithms(cls, logarithms: np.ndarray) -> Hyperparameters:
        """From ``(d + 2,)``: of the lengthscales, the signal and the noise."""
        values = np.exp(logarithms)
        return cls(values[:-2], float(values[-2]), float(values[-1]))

    def logarithms(self) -> np.ndarray:
        """``(d + 2,)``, the inverse of ``from_logarithms``."""
        return np.asarray(np.log(np.r_[self.lengthscales, self.signal, self.noise]))


class GaussianProcess:
    """The posterior given standardised losses.

    Args:
        columns: ``(n, c)``.
        targets: ``(n,)`` standardised losses.
        groups: ``(c,)`` the parameter of each column.
        hyperparameters: As fitted.
    """

    def __init__(
        self,
        columns: np.ndarray,
        targets: np.ndarray,
        groups: np.ndarray,
        hyperparameters: Hyperparameters,
    ) -> None:
        self._columns, self._groups = columns, groups
        self.hyperparameters = hyperparameters
        self.scale = 1.0 / hyperparameters.lengthscales[groups]
        self.scaled = columns * self.scale
        self.targets = targets
        covariance = hyperparameters.signal * matern52(squared_distances(self.scaled, self.scaled))
        covariance[np.diag_indices(len(targets))] += hyperparameters.noise + 1e-8
        # The inverse factor makes every later prediction a matrix product.
        self.inverse = solve_triangular(
            np.linalg.cholesky(covariance), np.eye(len(targets)), lower=True, check_finite=False
        )
        self.weights = self.inverse.T @ (self.inverse @ targets)

    def __reduce__(self) -> tuple[Any, ...]:  # what can be computed again is not stored
        return GaussianProcess, (self._columns, self.targets, self._groups, self.hyperparameters)

    def prior_covariance(self, columns: np.ndarray) -> np.ndarray:
        """``(q, q)`` covariance of queries before any trial."""
        scaled = columns * self.scale
        return self.hyperparameters.signal * matern52(squared_distances(scaled, scaled))

    def project(self, columns: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """What the trials say of queries ``(q, c)``.

        Returns:
            The mean ``(q,)``, and ``(q, n)`` rows whose products are the reduction of the prior
            covariance.
        """
        distances = squared_distances(columns * self.scale, self.scaled)
        covariance = self.hyperparameters.signal * matern52(distances)
        return covariance @ self.weights, covariance @ self.inverse.T

    def predict(self, columns: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Mean and variance of the function (without noise) at ``(q, c)``, each ``(q,)``."""
        mean, rows = self.project(columns)
        variance = self.hyperparameters.signal - np.einsum("qn,qn->q", rows, rows)
        return mean, np.maximum(variance, 1e-12)

    def leave_one_out(self) -> tuple[np.ndarray, np.ndarray]:
        """Mean and variance at each trial given the others, each ``(n,)``.

        Source: Rasmussen & Williams 2006, equation 5.12; the variance is without noise.
        """
        precision = np.einsum("ij,ij->j", self.inverse, self.inverse)
        mean = self.targets - self.weights / precision
        variance = 1.0 / precision - self.hyperparameters.noise
        return mean, np.maximum(variance, 1e-9)


def fit(
    columns: np.ndarray,
    targets: np.ndarray,
    groups: np.ndarray,
    *,
    start: Hyperparameters | None = None,
    from_prior: bool = True,
    max_iterations: int = 60,
) -> GaussianProcess:
    """Fit by maximum a posteriori with L-BFGS.

    Args:
        columns: ``(n, c)``.
        targets: ``(n,)`` standardised losses.
        groups: ``(c,)`` the parameter of each column.
        start: Where to start, such as what was found with one trial less.
        from_prior: Whether to start from the middle of the prior too, or only if ``start`` is
            not given.
        max_iterations: Of L-BFGS, for each start.
    """
    d = int(groups.max()) + 1
    prior_mean = np.r_[np.full(d, _LENGTH_PRIOR[0]), _SIGNAL_PRIOR[0], _NOISE_PRIOR[0]]
    bounds = [_LENGTH_BOUNDS] * d + [_SIGNAL_BOUNDS, _NOISE_BOUNDS]
    squares = _squares_by_parameter(columns, groups, d)
    begins = [] if start is None else [start.logarithms()]
    if from_prior or start is None:
        begins.append(prior_mean)
    results = [
        minimize(
            _negative_log_posterior,
            np.clip(begin, *np.transpose(bounds)),
            args=(squares, targets),
            jac=True,
            method="L-BFGS-B",
            bounds=bounds,
            options={"maxiter": max_iterations},
        )
        for begin in begins
    ]
    best = min(results, key=lambda result: float(result.fun))
    return GaussianProcess(columns, targets, groups, Hyperparameters.from_logarithms(best.x))


def _squares_by_parameter(columns: np.ndarray, groups: np.ndarray, d: int) -> np.ndarray:
    """``(d, n * n)`` squared distances along each parameter."""
    n = len(columns)
    out = np.zeros((d, n * n))
    for column, group in zip(columns.T, groups, strict=True):
        out[group] += np.square(column[:, None] - column[None, :]).ravel()
    return out


def _negative_log_posterior(
    logarithms: np.ndarray, squares: np.ndarray, targets: np.ndarray
) -> tuple[float, np.ndarray]:
    """And its gradient, ``(d + 2,)``."""
    n, d = len(targets), len(squares)
    inverse_squares = np.exp(-2.0 * logarithms[:d])
    signal, noise = np.exp(logarithms[d]), np.exp(logarithms[d + 1])
    r = np.sqrt(5.0 * (inverse_squares @ squares)).reshape(n, n)
    decay = np.exp(-r)
    correlation = (1.0 + r + r * r / 3.0) * decay
    covariance = signal * correlation
    covariance[np.diag_indices(n)] += noise + 1e-8
    try:
        cholesky = np.linalg.cholesky(covariance)
    except np.linalg.LinAlgError:
        return 1e25, np.zeros(d + 2)
    precision = cho_solve((cholesky, True), np.eye(n), check_finite=False)
    weights = precision @ targets
    value = 0.5 * targets @ weights + np.log(np.diag(cholesky)).sum()
    # d value / d K = (K⁻¹ - w wᵀ) / 2, and d correlation / d log ℓ = 5/3 (1 + r) e⁻ʳ Δ² / ℓ².
    slope = 0.5 * (precision - np.outer(weights, weights))
    along = (slope * (signal * 5.0 / 3.0) * (1.0 + r) * decay).ravel()
    gradient = np.empty(d + 2)
    gradient[:d] = inverse_squares * (squares @ along)
    gradient[d] = signal * (slope * correlation).sum()
    gradient[d + 1] = noise * np.trace(slope)
    for part, (mean, deviation) in (
        (slice(0, d), _LENGTH_PRIOR),
        (slice(d, d + 1), _SIGNAL_PRIOR),
        (slice(d + 1, d + 2), _NOISE_PRIOR),
    ):
        away = (logarithms[part] - mean) / deviation
        value += 0.5 * (away @ away)
        gradient[part] += away / deviation
    return float(value), gradient


def log_expected_improvement(
    mean: np.ndarray, variance: np.ndarray, incumbent: float
) -> np.ndarray:
    """Logarithm of the expected improvement below ``incumbent``, ``(q,)``.

    Far above the incumbent, where the difference cancels, its asymptote is used.
    """
    deviation = np.sqrt(variance)
    z = (incumbent - mean) / deviation
    log_density = -0.5 * z * z - 0.5 * np.log(2.0 * np.pi)
    near = z > -6.0
    inner = np.exp(log_density[near]) + z[near] * ndtr(z[near])
    out = np.empty_like(z)
    out[near] = np.log(np.maximum(inner, 1e-300))
    out[~near] = log_density[~near] - 2.0 * np.log(-z[~near])
    return np.asarray(out + np.log(deviation))


def standardised(losses: np.ndarray) -> np.ndarray:
    """Losses with mean 0 and standard deviation 1; zeros where all are equal."""
    deviation = losses.std()
    return np.asarray((losses - losses.mean()) / (deviation if deviation > 1e-12 else 1.0))
