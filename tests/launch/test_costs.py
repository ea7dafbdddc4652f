from __future__ import annotations

import json
import sys
import types

import pytest
from toy_grids import toy_grid

from ablations.cell import Cell
from core import preset
from core.errors import UserError
from core.files import write_json
from launch import costs
from launch.costs import Costs, costs_of, model_key, worth_counting


@pytest.fixture(autouse=True)
def counted(tmp_path, monkeypatch):
    """Counting replaced by a note of it, and a cache of its own."""
    monkeypatch.setenv("TEVIT_CACHE", str(tmp_path / "cache"))
    calls = []
    flops = types.ModuleType("benchmarks.flops.record")

    def planned_costs(config):
        calls.append(config.head.queries)
        return 7, 1000 * config.head.queries

    flops.planned_costs = planned_costs
    monkeypatch.setitem(sys.modules, "benchmarks.flops.record", flops)
    return calls


def cells(*queries):
    return [
        Cell(f"q{q}", preset("tiny", {"head.queries": q}), {"q": str(q)}, ("ap",)) for q in queries
    ]


def test_each_model_is_counted_once_and_kept(store, counted):
    grid = toy_grid(50)
    named = []
    found = costs_of(store, grid.cells, count=True, each=named.append)
    assert set(found.values()) == {Costs(7, 10_000)}
    assert (counted, named) == ([10], ["a=x,s0"])
    assert costs_of(store, grid.cells, count=False)[grid.cells[3].signature] == Costs(7, 10_000)
    assert len(costs_of(store, cells(10, 20, 20), count=True)) == 2
    assert counted == [10, 20]


def test_a_home_that_cannot_be_written_costs_the_cache_and_not_the_plan(
    store, counted, monkeypatch, caplog
):
    monkeypatch.setenv("TEVIT_CACHE", "/dev/null/cache")
    (cell,) = cells(5)
    assert costs_of(store, [cell], count=True) == {cell.signature: Costs(7, 5000)}
    assert "not kept for the next plan" in caplog.text and "/dev/null/cache" in caplog.text


def test_without_counting_only_what_is_known_is_shown(store, counted):
    (cell,) = cells(5)
    assert costs_of(store, [cell], count=False) == {cell.signature: Costs()}
    write_json(
        store.run(cell.signature).result("flops"), {"figures": {"total": 3, "parameters": 2}}
    )
    assert costs_of(store, [cell], count=False) == {cell.signature: Costs(2, 3)}
    assert counted == []


def test_a_count_that_cannot_be_trusted_does_not_stop_the_plan(store, monkeypatch, caplog):
    def refuse(config):
        raise UserError("nobody counts these operators")

    sys.modules["benchmarks.flops.record"].planned_costs = refuse
    monkeypatch.setattr(costs, "parameters", lambda config: 5)
    (cell,) = cells(5)
    assert costs_of(store, [cell], count=True) == {cell.signature: Costs(5, None)}
    assert "nobody counts these operators" in caplog.text


def test_what_a_key_depends_on():
    key = model_key(preset("tiny"))
    assert model_key(preset("tiny", {"train.lr": 0.5, "seed": 3})) == key
    assert model_key(preset("tiny", {"backbone.pretrained": "x.pth"})) == key
    for change in (
        {"head.stages": 2},
        {"data.test_size": [128, 64]},
        {"inference.top_k": 5},
        {"data.synthetic.size": [64, 64]},  # another aspect ratio is padded to another size
        {"data.root": "elsewhere"},
    ):
        assert model_key(preset("tiny", change)) != key


def test_two_real_datasets_share_a_count_since_they_are_measured_at_one_size():
    keys = {model_key(preset("tiny", {"data.root": root})) for root in ("one", "two")}
    assert len(keys) == 1


def test_what_is_worth_counting_unasked():
    assert worth_counting(toy_grid(3).cells)
    assert not worth_counting(toy_grid(501).cells)
    assert worth_counting(cells(*range(1, 13)))
    assert not worth_counting(cells(*range(1, 14)))


def test_a_damaged_cache_is_counted_anew(store, counted, tmp_path):
    (cell,) = cells(5)
    costs_of(store, [cell], count=True)
    (path,) = (tmp_path / "cache" / "costs").iterdir()
    for text in ("{", '{"multiply_adds": [1]}'):
        path.write_text(text)
        assert costs_of(store, [cell], count=True)[cell.signature] == Costs(7, 5000)
        assert json.loads(path.read_text())["multiply_adds"] == 5000


@pytest.mark.parametrize("total", ["3", [], {}, True, None])
def test_a_count_that_is_none_is_not_known(store, counted, total):
    (cell,) = cells(5)
    path = store.run(cell.signature).result("flops")
    write_json(path, {"figures": {"total": total, "parameters": 2}})
    assert costs_of(store, [cell], count=True)[cell.signature] == Costs(7, 5000)


@pytest.mark.slow
def test_parameters_are_those_of_the_built_model():
    from core.model.tevit import build_model

    config = preset("tiny")
    assert costs.parameters(config) == sum(p.numel() for p in build_model(config).parameters())
