"""What each column of the collected frame is: a data dictionary for others' tools."""

from __future__ import annotations

import pandas as pd

from benchmarks.figures import FIGURES
from benchmarks.measurements import MEASUREMENTS
from core.config.switches import switches

_IDENTITY = {
    "grid": "name of the grid",
    "cell": "the cell without its seed, axis=value pairs",
    "seed": "of the run",
    "name": "of the run in the grid's manifest",
    "signature": "of the run: its folder's name; the same switches have the same one",
    "state": "new, queued, running, interrupted, failed, blocked or done",
    "cause": "why the run is in that state",
    "mixed": "protocol fields in which the seeds of the cell differ",
}


def dictionary(frame: pd.DataFrame) -> pd.DataFrame:
    """A row a column of ``frame``: ``column``, ``type``, ``about``."""
    known = {switch.name: switch.description for switch in switches()}
    figures = {figure.column: figure for figure in reversed(FIGURES.values())}

    def about(name: str) -> str:
        kind, _, rest = name.partition(".")
        if name in _IDENTITY or name in known:
            return _IDENTITY.get(name) or known[name]
        if kind == "axis":
            return f"label of the cell's value of the axis {rest}"
        if name in figures:
            figure = figures[name]
            unit = (
                "" if figure.inverse or figure.scale == 1 else f", printed times {figure.scale:g}"
            )
            return f"{figure.label}{f' ({figure.about})' if figure.about else ''}{unit}"
        if rest == "recorded":
            return f"when {MEASUREMENTS[kind].title.lower()} was measured"
        if rest.startswith("protocol."):
            return f"how {MEASUREMENTS[kind].label} was measured: {rest[9:].replace('_', ' ')}"
        if kind in MEASUREMENTS:
            return f"{MEASUREMENTS[kind].title}, as recorded: {rest.replace('_', ' ')}"
        return f"what the run was made with: {rest.replace('_', ' ')}"

    rows = [(name, str(frame[name].dtype), about(name)) for name in map(str, frame.columns)]
    return pd.DataFrame(rows, columns=["column", "type", "about"])
