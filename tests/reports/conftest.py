"""Grids of invented runs for the tests of this room."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from invented_runs import SMALL_DATA, invent_predictions, make_store

from launch.records.store import Store
from reports.frame.collect import collect
from reports.frame.runs import GridRuns, read_runs


@pytest.fixture
def make(tmp_path: Path) -> Callable[..., GridRuns]:
    """Makes a store of invented runs and reads its grid."""

    def _make(**changes: Any) -> GridRuns:
        store = make_store(tmp_path / "store", **changes)
        return read_runs(store, changes.get("name", "components"))

    return _make


@pytest.fixture
def frame(make: Callable[..., GridRuns]) -> Callable[..., pd.DataFrame]:
    """Makes a store of invented runs and collects its grid."""
    return lambda **changes: collect(make(**changes))


@pytest.fixture(scope="session")
def small_data(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """A cache of generated videos that all tests of this room share."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TEVIT_CACHE", str(tmp_path_factory.mktemp("videos")))
        yield


@pytest.fixture
def predicted(tmp_path: Path, small_data: None) -> Callable[..., Store]:
    """Makes a store of invented runs with predictions on a small generated dataset."""

    def _predicted(**changes: Any) -> Store:
        store = make_store(tmp_path / "store", overrides=SMALL_DATA, **changes)
        invent_predictions(store, changes.get("name", "components"))
        return store

    return _predicted
