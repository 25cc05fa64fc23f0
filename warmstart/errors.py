"""Errors of the package: what was given, what was expected, what to do, in one line."""

from __future__ import annotations


class WarmStartError(Exception):
    """Base of all errors that this package raises on purpose."""


class SearchSpaceError(WarmStartError, ValueError):
    """A search space, a parameter or a configuration is not usable."""


class HistoryError(WarmStartError, ValueError):
    """A history, a record or a history store is not usable."""


class DescriptorError(WarmStartError, ValueError):
    """A data set or its description is not usable."""


class ArtifactError(WarmStartError, ValueError):
    """An artifact is corrupt, foreign, or of another format."""


class UnknownEstimatorError(WarmStartError, ValueError):
    """An estimator is not in the catalogue or not in the artifact."""


class MissingDependencyError(WarmStartError, ImportError):
    """An optional package is needed; the message names the line that installs it."""


class OpenMLError(WarmStartError, RuntimeError):
    """An OpenML server could not be read, after retries."""


class WarmStartWarning(UserWarning):
    """The sampler does less than it could, and says why."""
