"""How each figure was measured, and whether two figures were measured alike.

A protocol may differ between cells because the grid varies it (clip length, precision, ...):
that is the experiment.  Any other difference makes figures incomparable, and is said.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from benchmarks.measurements import MEASUREMENTS

PER_RUN = frozenset({"seed", "command", "created", "host", "weights", "tracks"})
"""Fields that differ from run to run without making figures incomparable."""

_DETAILS = frozenset(
    {
        *("counted", "not_counted", "unit", "scope", "clock", "device_type", "threads"),
        *("warmup", "host", "interleaved_with", "video_frames", "mask_size", "top_k", "queries"),
        "matmul_libraries",
    }
)

Differences = dict[str, dict[str, list[str]]]
"""Protocol field to its values, each with the names of the cells (or seeds) that have it."""


def protocol_fields(frame: pd.DataFrame, kind: str) -> list[str]:
    """Names of the protocol fields of ``kind`` that were collected, those of one run left out."""
    prefix = f"{kind}.protocol."
    names = [c.removeprefix(prefix) for c in frame.columns if c.startswith(prefix)]
    return [n for n in names if n.partition(".")[0] not in PER_RUN or (kind, n) == ("fps", "host")]


def measured(frame: pd.DataFrame, kind: str) -> pd.DataFrame:
    """The rows that have a record of ``kind``."""
    column = f"{kind}.recorded"
    return frame[frame[column].notna()] if column in frame else frame.iloc[:0]


def common_protocol(frame: pd.DataFrame, kind: str) -> dict[str, Any]:
    """The protocol fields that all records of ``kind`` in ``frame`` agree on."""
    rows = measured(frame, kind)
    found: dict[str, Any] = {}
    for field in protocol_fields(rows, kind):
        values = rows[f"{kind}.protocol.{field}"]
        if len(rows) and values.nunique(dropna=False) == 1 and pd.notna(values.iloc[0]):
            found[field] = values.iloc[0]
    return found


def mixed_within(frame: pd.DataFrame, kind: str) -> Differences:
    """Fields in which the seeds of one cell differ, with the seeds of each value.

    Args:
        frame: the rows of one cell.
    """
    rows = measured(frame, kind)
    found = _differences(rows, kind, rows["seed"].map("seed {}".format))
    # seeds that ran on several machines of one kind have a mean; their cell is marked as such
    return {field: values for field, values in found.items() if field != "host"}


def differs_between(frame: pd.DataFrame, kind: str) -> tuple[Differences, Differences]:
    """Fields in which cells differ: (because the grid varies them, for no such reason).

    Machines of several seeds are taken together: cells that ran on the same ones do not differ.
    """
    rows = measured(frame, kind)
    varied: Differences = {}
    unexplained: Differences = {}
    for field, values in _differences(rows, kind, rows["cell"]).items():
        (varied if _explained(rows, kind, field) else unexplained)[field] = values
    return varied, unexplained


def protocol_groups(frame: pd.DataFrame, kind: str) -> dict[str, str]:
    """Cell to what sets its protocol apart without a switch that explains it, such as ``A100``;
    empty where all cells were measured alike."""
    said: dict[str, list[str]] = {}
    for values in differs_between(frame, kind)[1].values():
        for value, cells in values.items():
            for cell in cells:
                said.setdefault(cell, []).append(value)
    return {cell: ", ".join(values) for cell, values in said.items()}


def _differences(rows: pd.DataFrame, kind: str, names: pd.Series) -> Differences:
    found: Differences = {}
    if len(rows) < 2:
        return found
    for field in protocol_fields(rows, kind):
        values = rows[f"{kind}.protocol.{field}"].map(show_value)
        if field == "host":
            values = values.groupby(names).transform(lambda of: " + ".join(sorted(set(of))))
        if values.nunique() > 1:
            found[field] = {
                value: list(dict.fromkeys(names[values == value])) for value in values.unique()
            }
    return found


def _explained(rows: pd.DataFrame, kind: str, field: str) -> bool:
    switches = [name for name in MEASUREMENTS[kind].varied_by.get(field, ()) if name in rows]
    if not switches:
        return False
    setting = rows[switches].map(show_value).agg("|".join, axis=1)
    values = rows[f"{kind}.protocol.{field}"].map(show_value)
    return bool((values.groupby(setting).nunique() == 1).all())


def show_value(value: Any) -> str:
    """A protocol value or switch in words; absent values are ``none``."""
    if value is None or pd.isna(value):
        return "none"
    if isinstance(value, bool | np.bool_):
        return "yes" if value else "no"
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    text = str(value)
    if text == "[]":
        return "none"
    if text.startswith('["'):
        with contextlib.suppress(ValueError):  # else a text that begins so
            return " + ".join(map(str, json.loads(text)))
    return text.replace(" 1 threads", " 1 thread")


def describe_protocol(kind: str, protocol: Mapping[str, Any]) -> str:
    """A protocol as a list of short phrases, the best known fields first, details left out."""
    rest = dict(protocol)
    phrases = [p for known in MEASUREMENTS[kind].phrases if (p := _take(rest, *known))]
    phrases += [
        f"{name.replace('_', ' ')} {show_value(value)}"
        for name, value in rest.items()
        if name not in _DETAILS
    ]
    return ", ".join(phrases)


def _take(rest: dict[str, Any], template: str, *names: str) -> str:
    """``template`` filled with the named fields, which leave ``rest``; empty if one is missing."""
    if any(name not in rest for name in names):
        return ""
    return template.format(*(show_value(rest.pop(name)) for name in names))
