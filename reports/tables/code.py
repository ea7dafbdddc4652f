"""Which code made the runs of a table, and which cells were made by other code than most."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import pandas as pd

from reports.frame.cells import CellRows


def versions(frame: pd.DataFrame) -> list[str]:
    """Names of the codes that the runs were made by: frozen ones' own, else their commits."""
    return list(
        {key: name for each in _by_run(frame).values() for key, name in each.items()}.values()
    )


def diff_command(frame: pd.DataFrame) -> str:
    """What shows how two of the codes differ; empty if no two runs were made by different ones."""
    by_run = _by_run(frame)
    first = next(iter(by_run), "")
    other = next((s for s, each in by_run.items() if each.keys() != by_run[first].keys()), "")
    return f"tevit diff {first} {other}" if other else ""


def uncommitted(frame: pd.DataFrame) -> bool:
    """Whether a run was made with changes that no commit has."""
    return "run.dirty" in frame and bool((frame["run.dirty"] == True).any())  # noqa: E712


def other_code(cells: Sequence[CellRows]) -> dict[str, str]:
    """Cell to the code of those of its runs that most runs were not made by, in words.

    Empty where the cells do not differ in this.
    """
    found: dict[str, str] = {}
    of_cell = {cell.name: [*_by_run(cell.rows).values()] for cell in cells}
    counted = Counter(key for runs in of_cell.values() for each in runs for key in each)
    if len({frozenset(key for each in runs for key in each) for runs in of_cell.values()}) < 2:
        return found
    usual = counted.most_common(1)[0][0]
    for cell, runs in of_cell.items():
        others = {key: name for each in runs for key, name in each.items() if key != usual}
        if others:
            part = "in part " if any(usual in each for each in runs) else ""
            found[cell] = f"{part}made by other code than most: {', '.join(others.values())}."
    return found


def _by_run(frame: pd.DataFrame) -> dict[str, dict[str, str]]:
    """Signature to what tells each code of its attempts from other code, and that code's name."""
    if "run.code" not in frame:
        return {}
    rows = frame[frame["run.code"].notna()]
    columns = (rows["signature"], rows["run.modules"], rows["run.code"])
    return {
        signature: dict(zip(keys.split("; "), names.split("; "), strict=True))
        for signature, keys, names in zip(*columns, strict=True)
    }
