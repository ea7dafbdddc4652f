"""Damaged files of a store are met where they are read."""

import json

import pytest

from core.errors import UserError
from launch.records.journal import Batch, Journal
from launch.records.shapes import (
    AttemptFile,
    BootstrapPart,
    DoneFile,
    EndFile,
    FailureFile,
    HolderFile,
    LineFile,
    RecordFile,
    RunFile,
    misfit,
)
from launch.records.store import Manifest, ManifestCell, Store

CELL = ManifestCell("a=x", "0123abcd", 0, {"a": "x"}, ("ap",))
GRID = Manifest("g", "2026-01-02T03:04:05+00:00", "", {"a": ["x"]}, ("ap",), None, (CELL,))


@pytest.mark.parametrize(
    ("shape", "value", "wrong"),
    [
        (DoneFile, {"wall_s": []}, "wall_s=[]: Input should be a valid number"),
        (DoneFile, {"wall_s": float("nan")}, "wall_s=nan: Input should be a finite number"),
        (AttemptFile, {"environment": None}, "environment=None: "),
        (AttemptFile, {"environment": {"git": {"dirty": "0"}}}, "environment.git.dirty='0': "),
        (FailureFile, {"cause": ["error"]}, "cause=["),
        (RecordFile, {"figures": {"AP": "0.5"}}, "AP is '0.5', expected a number"),
        (RecordFile, {"figures": {"a": {"b": float("inf")}}}, "b is inf, expected a number"),
        (RecordFile, {"figures": {"AP": True}}, "AP is True, expected a number"),
        (RecordFile, {"by_module": {"backbone": False}}, "backbone is False, expected a number"),
        (RecordFile, {"memory": {"allocated": "5"}}, "memory.allocated='5': "),
        (RecordFile, {"energy": {"joules_per_frame": True}}, "energy.joules_per_frame=True: "),
        (LineFile, {"loss": 3.0}, "step: is missing"),
        (LineFile, {"step": 2**63}, "step=9223372036854775808: "),
        (LineFile, {"step": 1, "losses": 5}, "losses=5: "),
        (LineFile, {"step": 1, "heldout": {"AP": "x"}}, "heldout.AP='x': "),
        (BootstrapPart, {"samples": {"AP": [None, "x"]}}, "samples.AP.1='x': "),
        (RunFile, {"start": "../elsewhere"}, "names no run folder"),
        (RunFile, {"measure": "ap"}, "measure='ap': "),
        (EndFile, {"cause": 5}, "cause=5: "),
        (HolderFile, {"pid": "x"}, "pid='x': "),
        (RunFile, [], "not a JSON object"),
    ],
)
def test_what_does_not_fit_is_named(shape, value, wrong):
    assert wrong in misfit(value, shape)


def test_keys_may_be_missing_and_others_be_there():
    assert (
        misfit({"of": "later"}, AttemptFile)
        is misfit({}, DoneFile)
        is misfit({}, RecordFile)
        is None
    )
    assert misfit({"figures": {"AP": None, "n": 2**70}}, RecordFile) is None


@pytest.mark.parametrize(
    "change",
    [
        {"created": None},
        {"description": "\ud800"},
        {"axes": {"\ud800": ["x"]}},
        {"axes": None},
        {"axes": {"a": "x"}},
        {"limits": {"first": 1}},
        {"cells": [{}]},
        {"cells": [{"name": "a", "signature": "../../x", "seed": 0, "axes": {}}]},
        {"cells": [{"name": "a", "signature": "x", "seed": "0", "axes": {}}]},
        {"of": "later"},
    ],
)
def test_a_damaged_manifest_is_one_line(tmp_path, change):
    store = Store(tmp_path)
    store.write_manifest(GRID)
    assert store.manifest("g") == GRID
    path = store.grids / "g.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **change}))
    with pytest.raises(UserError, match=r"g\.json: not a grid's manifest") as caught:
        store.manifest("g")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("change", [{"signatures": [1]}, {"pack": {"cells": "2"}}, {"names": None}])
def test_a_damaged_batch_is_one_line(tmp_path, change):
    journal = Journal(Store(tmp_path))
    batch = Batch("b", "g", "slurm", ("0123abcd",), ("a=x",), "launch.node.job:run_cell")
    journal.begin(batch)
    assert journal.read("b") == batch
    journal.file(batch).write_text(
        json.dumps({**json.loads(journal.file(batch).read_text()), **change})
    )
    with pytest.raises(UserError, match=r"b\.json: not a batch's record"):
        journal.read("b")
