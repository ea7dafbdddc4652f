"""The cells of a collected frame: the rows of one cell together, one a seed."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import pandas as pd

from benchmarks.figures import Figure
from benchmarks.measurements import NAMES
from launch.records.run_folder import DONE_BUT_FOR
from reports.frame.protocol import Differences, mixed_within

FINISHED = "done"
URGENCY = ("failed", "blocked", "interrupted", "running", "queued", "new")
"""States but the last one, those that want an answer first."""


@dataclass(frozen=True)
class CellRows:
    """A cell without its seed.

    Attributes:
        name: ``axis=label`` pairs.
        rows: its part of the collected frame, one row a seed.
    """

    name: str
    rows: pd.DataFrame

    def values(self, figure: Figure) -> dict[int, float]:
        """Seed to figure in the printed unit; seeds without it are left out."""
        if figure.column not in self.rows:
            return {}
        collected = pd.to_numeric(self.rows[figure.column], errors="coerce")
        pairs = zip(self.rows["seed"], collected, strict=True)
        return {int(seed): figure.printed(float(value)) for seed, value in pairs if pd.notna(value)}

    def column(self, name: str) -> list[object]:
        """The values of a collected column that are there, in the order of the seeds."""
        if name not in self._columns:
            self._columns[name] = [] if name not in self.rows else list(self.rows[name].dropna())
        return self._columns[name]

    def first(self, name: str) -> object:
        """The value of a collected column in the first row."""
        if name not in self._firsts:
            self._firsts[name] = self.rows[name].iloc[0]
        return self._firsts[name]

    @cached_property
    def _columns(self) -> dict[str, list[object]]:
        return {}

    @cached_property
    def _firsts(self) -> dict[str, object]:
        return {}

    def mixed(self, kind: str) -> Differences:
        """Protocol fields of ``kind`` in which the seeds differ."""
        return self._mixed.get(kind, {})

    @cached_property
    def _mixed(self) -> dict[str, Differences]:
        if "mixed" in self.rows and self.rows["mixed"].isna().all():
            return {}  # already looked at, for all cells together
        return {kind: mixed_within(self.rows, kind) for kind in NAMES}

    @property
    def planned(self) -> int:
        """Seeds that the grid asks for."""
        return len(self.rows)

    @cached_property
    def finished(self) -> int:
        """Seeds whose run is done, be it without a measurement that failed."""
        return int(self._done.sum())

    @cached_property
    def _done(self) -> pd.Series:
        known = self.rows.get("cause", pd.Series("", self.rows.index)).fillna("").astype(str)
        return (self.rows["state"] == FINISHED) | known.str.startswith(DONE_BUT_FOR)

    @property
    def complete(self) -> bool:
        """Whether every seed's run is done."""
        return self.finished == self.planned

    @property
    def state(self) -> str:
        """``done``, or the most urgent state among its seeds."""
        states = set(self.rows["state"][~self._done])
        urgent = next((state for state in URGENCY if state in states), FINISHED)
        unknown = sorted(states - {FINISHED, *URGENCY})
        return unknown[0] if urgent == FINISHED and unknown else urgent

    def unfinished(self) -> str:
        """The seeds that are not done, with state and cause, in words."""
        known = [name for name in ("seed", "state", "cause") if name in self.rows]
        rows = self.rows[known][self.rows["state"] != FINISHED]
        return "; ".join(_one_seed(row) for _, row in rows.iterrows())


def _one_seed(row: pd.Series) -> str:
    cause = row.get("cause")
    if isinstance(cause, str) and cause.startswith(DONE_BUT_FOR):
        return f"seed {row['seed']} {cause}"
    reason = f" ({cause})" if isinstance(cause, str) and cause else ""
    return f"seed {row['seed']} {row['state']}{reason}"


def frame_cells(frame: pd.DataFrame) -> list[CellRows]:
    """The cells of ``frame``, in the order of their first rows."""
    return [CellRows(str(name), rows) for name, rows in frame.groupby("cell", sort=False)]
