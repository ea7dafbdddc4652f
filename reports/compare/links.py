"""Where comparisons lie, and links to those of a grid's runs."""

from __future__ import annotations

import os
from itertools import permutations
from pathlib import Path

from launch.records.run_folder import RunFolder
from launch.records.store import Store
from reports.frame.runs import GridRuns
from reports.html import Markup, tag


def page_of(store: Store, run: RunFolder, other: RunFolder) -> Path:
    """The page of a comparison, unless it was written elsewhere."""
    return store.root / "reports" / "compare" / f"{run.signature}_{other.signature}.html"


def comparison_links(store: Store, grid: GridRuns, folder: Path) -> Markup | None:
    """Links from a page in ``folder`` to the comparisons of two runs of a grid; none: no such."""
    links = []
    for first, second in permutations(grid.runs, 2):
        page = page_of(store, first.folder, second.folder)
        if page.is_file():
            address = os.path.relpath(page, folder)
            links.append(tag("li", tag("a", f"{second.name} against {first.name}", href=address)))
    return tag("ul", *links) if links else None
