"""How much of the doubt is the seeds' and how much the videos', as a table."""

from __future__ import annotations

import math
from collections.abc import Sequence

from ablations.analysis.variance import Resampled, TwoSources, resampled, variance_table
from benchmarks.figures import Figure
from core.errors import UserError
from reports.frame.runs import CellRun
from reports.frame.statistics import Difference
from reports.tables.labels import Names
from reports.tables.layout import TableLayout
from reports.tables.model import DASH, Column, Entry, Label, Notes, Row, Table

_PARTS = (
    Figure("seeds", "ap.seeds", "SD by seeds", decimals=2, exact=True),
    Figure("videos", "ap.videos", "SD by videos", decimals=2, exact=True),
    Figure("share", "ap.share", "Seeds' share (%)", decimals=0, exact=True),
)


def doubt_table(runs: Sequence[CellRun], names: Names, layout: TableLayout) -> Table | None:
    """Standard deviation of each difference to the baseline (of each mean where there is none)
    by seeds and by videos, and the interval for both; None where no cell has two seeds whose
    scores were bootstrapped over the same videos.

    Args:
        runs: of one grid.
        layout: of the table that it stands beside, with the baseline and the level.
    """
    cells, baseline, level = _resampled(runs), layout.baseline, layout.spec.level
    try:
        found = variance_table(cells, baseline if baseline in cells else None, level)
    except UserError:
        return None  # scored on other videos: the main table says so
    found = {name: sources for name, sources in found.items() if sources.seeds > 1}
    if not found:
        return None
    paired = baseline in cells
    interval = Column(Figure("AP", "ap.AP", "AP"), "Δ AP, both" if paired else "", 1, "difference")
    columns = (*([interval] if paired else []), *(Column(f, f.label, f.decimals) for f in _PARTS))
    notes = Notes()
    what = "difference to the baseline" if paired else "mean"
    notes.say(
        f"Standard deviation of the {what} of AP by each source: more seeds lessen the first, only "
        "more videos the second (bootstrap over the videos that all runs were scored on)."
    )
    if paired:
        notes.say(f"Interval: {100 * level:g} %, for both sources together, not corrected.")
    rows = tuple(_row(name, sources, names, paired) for name, sources in found.items())
    title = "Where the doubt comes from: seeds and videos."
    return Table(f"{layout.name}_variance", title, ("Cell",), columns, (rows,), notes.all())


def _resampled(runs: Sequence[CellRun]) -> dict[str, dict[int, Resampled]]:
    cells: dict[str, dict[int, Resampled]] = {}
    for run in runs:
        record = run.records.get("ap") or {}
        if "samples" in (record.get("bootstrap") or {}) and record.get("figures"):
            found = resampled(record)
            if found is not None:
                cells.setdefault(run.cell, {})[run.seed] = found
    return cells


def _row(name: str, sources: TwoSources, names: Names, paired: bool) -> Row:
    share = sources.share_seeds
    values = [
        math.sqrt(sources.variance_seeds or 0.0),
        math.sqrt(sources.variance_videos),
        None if share is None else 100 * share,
    ]
    entries = [Entry(text=DASH) if value is None else Entry({0: value}) for value in values]
    if paired:
        difference = Difference(sources.seeds, sources.mean, sources.low, sources.high)
        entries.insert(0, Entry(difference=difference))
    return Row((Label(names.by_cell[name]),), str(sources.seeds), tuple(entries), name)
