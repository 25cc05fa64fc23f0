"""Histories to and from pandas frames.

A frame has one row a trial: ``loss``, ``state``, ``run_id``, ``time``, ``seconds``,
``proposed_by``, ``reason``, one ``configuration.<name>`` for each hyperparameter and one
``measure.<name>`` for each measure. A frame of several histories also has the texts of
``TaskInfo`` as columns.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import date
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import numpy.typing as npt

from warmstart.column import ABSENT, Cell, Column, Kind, plain_value
from warmstart.errors import HistoryError
from warmstart.history import DESCRIPTIVE_TEXTS, History, TaskInfo
from warmstart.space import Integer
from warmstart.trial import check_name, plain_number

if TYPE_CHECKING:
    import pandas as pd

CONFIGURATION: Final = "configuration."
MEASURE: Final = "measure."
INFO_TEXTS: Final = ("estimator", "task", "metric", "source", *DESCRIPTIVE_TEXTS)


def history_to_frame(history: History) -> pd.DataFrame:
    """One row a trial, values of their own types.

    Where a hyperparameter holds more than one type, None, or nothing in some trials
    (``pandas.NA``), its column is of objects.
    """
    import pandas as pd

    data: dict[str, pd.Series[Any]] = {
        "loss": pd.Series(history.losses),
        "state": pd.Series(history.states.astype(object), dtype=object),
        "run_id": pd.Series(history.run_ids, dtype=object),
        "time": pd.Series(history.times, dtype=object),
        "seconds": pd.Series(history.seconds),
        "proposed_by": pd.Series(history.proposed_by, dtype=object),
        "reason": pd.Series(history.reasons, dtype=object),
    }
    for name, column in history.columns.items():
        data[CONFIGURATION + name] = _to_series(column)
    for name, values in history.measures.items():
        data[MEASURE + name] = pd.Series(values)
    return pd.DataFrame(data)


def histories_to_frame(histories: Sequence[History]) -> pd.DataFrame:
    """The trials of all, with what ``TaskInfo`` says in words in front."""
    import pandas as pd

    if not histories:
        return pd.DataFrame({name: pd.Series(dtype=object) for name in (*INFO_TEXTS, "loss")})
    everything = History.concatenate(histories[0].info, histories)
    sizes = [len(history) for history in histories]
    texts = {}
    for name in INFO_TEXTS:
        words = [getattr(history.info, name) for history in histories]
        distinct = sorted(set(words))
        codes = np.repeat([distinct.index(word) for word in words], sizes)
        texts[name] = pd.Categorical.from_codes(codes, distinct)
    return pd.concat([pd.DataFrame(texts), history_to_frame(everything)], axis=1)


def history_from_frame(
    info: TaskInfo,
    frame: pd.DataFrame,
    *,
    loss: str = "loss",
    configuration: Sequence[str] | Mapping[str, str] | None = None,
    measures: Sequence[str] | Mapping[str, str] | None = None,
    state: str = "state",
    run_id: str = "run_id",
    time: str = "time",
    seconds: str = "seconds",
    proposed_by: str = "proposed_by",
    reason: str = "reason",
) -> History:
    """Read a history from a frame of one row a trial.

    Missing cells (NaN, NaT, ``pandas.NA``) mean that the configuration does not hold the
    hyperparameter; None is a value. Where ``info.space`` calls a hyperparameter an integer,
    whole floats become integers, as pandas makes floats of integers next to missing cells.

    Args:
        info: What the trials belong to.
        frame: The trials.
        loss: The column of losses (lower is better); a missing one marks a failed trial.
        configuration: The columns of hyperparameters, or a mapping from hyperparameter to
            column; None takes those that begin with ``configuration.``.
        measures: The same for measures and ``measure.``.
        state: The column of states; where there is no such column, a trial with a loss is
            complete.
        run_id: The column of run ids, if there is one.
        time: The column of times (ISO 8601 text or timestamps), if there is one.
        seconds: The column of durations in seconds, if there is one.
        proposed_by: The column of proposers, if there is one.
        reason: The column of reasons for failures, if there is one.

    Raises:
        HistoryError: If a column is not there, or a value is not what ``Trial`` expects.
    """
    if loss not in frame.columns:
        raise HistoryError(f"loss={loss!r} given; expected one of {list(frame.columns)}.")
    n = len(frame)
    losses = _floats(frame[loss], loss)

    def objects(column: str, unknown: str | None) -> npt.NDArray[np.object_]:
        cells = _cells(frame[column], unknown) if column in frame.columns else [unknown] * n
        return _objects([unknown if cell is None else cell for cell in cells])

    states = np.where(np.isnan(losses), "failed", "complete")
    if state in frame.columns:
        states = np.array(frame[state].to_list(), dtype=np.str_)
    history = History(
        info=info,
        losses=losses,
        columns={
            name: _from_series(frame[column], name, info)
            for name, column in _chosen(frame, configuration, CONFIGURATION).items()
        },
        states=states,
        run_ids=objects(run_id, ""),
        times=_objects([_iso_time(cell) for cell in objects(time, None)]),
        seconds=_floats(frame[seconds], seconds)
        if seconds in frame.columns
        else np.full(n, np.nan),
        proposed_by=objects(proposed_by, ""),
        reasons=objects(reason, ""),
        measures={
            name: _floats(frame[column], column)
            for name, column in _chosen(frame, measures, MEASURE).items()
        },
    )
    history = _without_empty_columns(history)
    history.check()
    return history


def histories_from_frame(frame: pd.DataFrame, *, infos: Iterable[TaskInfo] = ()) -> list[History]:
    """Read histories from a frame as ``histories_to_frame`` makes it.

    Args:
        frame: With the columns ``estimator``, ``task``, ``metric`` and ``source``, and those
            that ``history_from_frame`` knows by default.
        infos: What else is known of some of the tasks, such as descriptors and spaces.

    Raises:
        HistoryError: If a column is not there, or a value is not what ``Trial`` expects.
    """
    missing = [name for name in INFO_TEXTS[:4] if name not in frame.columns]
    if missing:
        raise HistoryError(f"A frame without {missing} given; expected them as columns.")
    known = {info.key: info for info in infos}
    texts = [name for name in INFO_TEXTS if name in frame.columns]
    histories = []
    for values, rows in frame.groupby(texts, sort=False, observed=True, dropna=False):
        known_texts = {n: v for n, v in zip(texts, values, strict=True) if v == v}  # no NaN
        info = TaskInfo.from_json(known_texts)
        if info.key in known:
            info = info.updated(known[info.key])
        histories.append(history_from_frame(info, rows))
    return histories


def _without_empty_columns(history: History) -> History:
    """Leave out the hyperparameters and measures that no trial has."""
    return replace(
        history,
        columns={n: c for n, c in history.columns.items() if (c.kinds != Kind.ABSENT).any()},
        measures={n: m for n, m in history.measures.items() if not np.isnan(m).all()},
    )


def _to_series(column: Column) -> pd.Series[Any]:
    import pandas as pd

    kinds = set(np.unique(column.kinds))
    if kinds == {Kind.FLOAT} and not np.isnan(column.numbers).any():
        return pd.Series(column.numbers)
    if kinds == {Kind.INT}:
        return pd.Series(column.numbers.astype(np.int64))
    if kinds == {Kind.BOOL}:
        return pd.Series(column.numbers.astype(np.bool_))
    values = column.values()
    values[column.kinds == Kind.ABSENT] = pd.NA
    return pd.Series(values, dtype=object)


def _from_series(series: pd.Series[Any], name: str, info: TaskInfo) -> Column:
    check_name("the name of a hyperparameter", name)
    parameter = info.space.parameters.get(name) if info.space is not None else None
    cells: list[Cell] = [
        ABSENT if cell is ABSENT else plain_value(cell, name=name)
        for cell in _cells(series, ABSENT)
    ]
    if isinstance(parameter, Integer):
        cells = [
            int(cell) if isinstance(cell, float) and cell.is_integer() else cell for cell in cells
        ]
    return Column.from_values(cells)


def _chosen(
    frame: pd.DataFrame, chosen: Sequence[str] | Mapping[str, str] | None, prefix: str
) -> dict[str, str]:
    """Column of each name."""
    if chosen is None:
        return {
            column[len(prefix) :]: column
            for column in frame.columns
            if isinstance(column, str) and column.startswith(prefix)
        }
    out = dict(chosen) if isinstance(chosen, Mapping) else {name: name for name in chosen}
    for column in out.values():
        if column not in frame.columns:
            raise HistoryError(f"Column {column!r} given; expected some of {list(frame.columns)}.")
    return out


def _floats(series: pd.Series[Any], name: str) -> npt.NDArray[np.float64]:
    if series.dtype == object:
        return np.array([plain_number(cell, name) for cell in _cells(series, math.nan)])
    try:
        floats: npt.NDArray[np.float64] = series.to_numpy(dtype=np.float64, na_value=np.nan)
    except (TypeError, ValueError) as error:
        raise HistoryError(f"Column {name!r} given; expected numbers: {error}.") from error
    return floats


def _cells(series: pd.Series[Any], missing: object) -> list[Any]:
    """The cells, with ``missing`` for what pandas counts as missing; None stays None."""
    return [
        missing if is_missing and cell is not None else cell
        for cell, is_missing in zip(series.to_list(), series.isna(), strict=True)
    ]


def _iso_time(cell: Any) -> Any:
    """Timestamps as text; everything else is left to the check."""
    return cell.isoformat() if isinstance(cell, date) else cell


def _objects(values: Sequence[object]) -> npt.NDArray[np.object_]:
    out = np.empty(len(values), object)
    out[:] = values
    return out
