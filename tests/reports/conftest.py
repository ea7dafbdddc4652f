"""Grids of invented runs for the tests of this room."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from invented_runs import make_store

from reports.collect import collect
from reports.runs import GridRuns, read_grid


@pytest.fixture
def make(tmp_path: Path) -> Callable[..., GridRuns]:
    """Makes a store of invented runs and reads its grid."""

    def _make(**changes: Any) -> GridRuns:
        store = make_store(tmp_path / "store", **changes)
        return read_grid(store, changes.get("name", "components"))

    return _make


@pytest.fixture
def frame(make: Callable[..., GridRuns]) -> Callable[..., pd.DataFrame]:
    """Makes a store of invented runs and collects its grid."""
    return lambda **changes: collect(make(**changes))
