"""Where comparisons lie, and links to those of a grid's runs."""

from __future__ import annotations

import os
from pathlib import Path

from launch.records.run_folder import RunFolder
from launch.records.store import Store
from reports.frame.runs import GridRuns
from reports.html import Markup, tag


def _folder(store: Store) -> Path:
    return store.root / "reports" / "compare"


def page_of(store: Store, run: RunFolder, other: RunFolder) -> Path:
    """The page of a comparison, unless it was written elsewhere."""
    return _folder(store) / f"{run.signature}_{other.signature}.html"


def comparison_links(store: Store, grid: GridRuns, folder: Path) -> Markup | None:
    """Links from a page in ``folder`` to the comparisons of two runs of a grid; none: no such."""
    names = {run.signature: run.name for run in grid.runs}
    links = []
    for page in sorted(_folder(store).glob("*_*.html")):
        first, _, second = page.stem.partition("_")
        if first in names and second in names:
            said, address = f"{names[second]} against {names[first]}", os.path.relpath(page, folder)
            links.append(tag("li", tag("a", said, href=address)))
    return tag("ul", *links) if links else None
