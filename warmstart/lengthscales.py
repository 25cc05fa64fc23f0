"""Lengthscales of a Gaussian process, one a hyperparameter, shared by several tasks.

Notation:
    E: features ``(n, D)`` of one task, unscaled.
    y: its targets ``(n,)``, centred and of variance 1.
    l: lengthscales ``(d,)``; v: noise variance, relative to a signal variance of 1.
    K: covariance ``(n, n)``; Matérn 5/2 on E / l, plus v on the diagonal.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from warmstart.kernels import squared_distances

# The prior of a logarithmic lengthscale: the unit range is crossed about once.
_CENTRE = np.log(0.7)
_SHORTEST, _LONGEST = np.log(0.05), np.log(20.0)
_QUIETEST, _NOISIEST = np.log(1e-4), np.log(1.0)
_START_NOISE = np.log(0.05)


def fit_lengthscales(
    tasks: Sequence[tuple[np.ndarray, np.ndarray]],
    column_of: np.ndarray,
    *,
    n_iterations: int = 60,
) -> tuple[np.ndarray, float]:
    """Maximise the posterior of lengthscales and noise that all tasks share.

    The signal variance of each task is integrated out by its best value, so that tasks on other
    scales weigh the same.

    Args:
        tasks: For each task features ``(n, D)`` and targets ``(n,)``.
        column_of: The hyperparameter of each feature column, ``(D,)``.
        n_iterations: Of L-BFGS at most.

    Returns:
        Lengthscales ``(d,)`` and the relative noise variance.

    Source: Rasmussen & Williams 2006, section 5.4.1; the prior is our own.
    """
    from scipy.optimize import minimize

    d = int(column_of.max()) + 1
    start = np.append(np.full(d, _CENTRE), _START_NOISE)
    best = minimize(
        _negative_log_posterior,
        start,
        args=(tasks, column_of),
        jac=True,
        method="L-BFGS-B",
        bounds=[(_SHORTEST, _LONGEST)] * d + [(_QUIETEST, _NOISIEST)],
        options={"maxiter": n_iterations},
    )
    return np.exp(best.x[:d]), float(np.exp(best.x[d]))


def _negative_log_posterior(
    log_parameters: np.ndarray,
    tasks: Sequence[tuple[np.ndarray, np.ndarray]],
    column_of: np.ndarray,
) -> tuple[float, np.ndarray]:
    """The objective and its gradient, ``(d + 1,)``, at logarithmic lengthscales and noise."""
    from scipy.linalg import cho_solve, cholesky

    d = len(log_parameters) - 1
    inverse = np.exp(-log_parameters[:d])[column_of]
    noise = np.exp(log_parameters[d])
    deviation = log_parameters[:d] - _CENTRE
    value = 0.5 * float(deviation @ deviation)
    gradient = np.append(deviation, 0.0)
    for features, y in tasks:
        n = len(y)
        scaled = features * inverse
        r = np.sqrt(5.0 * squared_distances(scaled, scaled))
        decay = np.exp(-r)
        K = (1.0 + r + r * r / 3.0) * decay
        K[np.diag_indices(n)] += noise
        L = cholesky(K, lower=True, check_finite=False)
        K_inverse = cho_solve((L, True), np.eye(n), check_finite=False)
        alpha = K_inverse @ y
        fit = max(float(y @ alpha), 1e-12)
        value += 0.5 * n * np.log(fit / n) + float(np.log(np.diag(L)).sum())
        # d value / dK, with the signal variance at its best value fit / n.
        slope = 0.5 * (K_inverse - np.outer(alpha, alpha) * (n / fit))
        # d K / d log l_j is this weight times the squared scaled difference along j.
        weight = slope * (5.0 / 3.0) * (1.0 + r) * decay
        along = 2.0 * (
            weight.sum(axis=1) @ (scaled * scaled) - np.einsum("ij,ij->j", scaled, weight @ scaled)
        )
        np.add.at(gradient, column_of, along)
        gradient[d] += noise * float(np.trace(slope))
    return value, gradient
