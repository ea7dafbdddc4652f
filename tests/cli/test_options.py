"""What options of the command line stand for."""

import inspect
import json

import pytest

from ablations.grid import launched_name
from cli.grids import launch_grid, plan_grid
from cli.options import ask_for, parse_seeds
from core.errors import UserError


@pytest.mark.parametrize(("text", "seeds"), [("3", (0, 1, 2)), ("0,5", (0, 5)), ("5,", (5,))])
def test_seeds(text, seeds):
    assert parse_seeds(text) == seeds


@pytest.mark.parametrize("text", ["", "x", "0", "-1", "1,1", "1,-2", "1000000000000"])
def test_faulty_seeds(text):
    with pytest.raises(UserError, match="--seeds"):
        parse_seeds(text)


def test_names_of_launched_grids(tmp_path):
    path = tmp_path / "small.yaml"
    path.write_text("base: tiny\naxes: {head.kind: [per_frame, stqi]}\n")
    assert launched_name("components") == "components"
    assert launched_name("components", "tiny") == "components-tiny"
    assert launched_name("components-tiny", "tiny") == "components-tiny"
    assert launched_name(str(path)) == "small"


def test_a_shipped_grid_is_read_with_overrides(tmp_path):
    asked = ask_for("components", ["train.steps=5"], "tiny", "2", executor="inline", store=tmp_path)
    request, grid = asked.request, asked.request.grid
    assert request.store.root == tmp_path and request.target.executor.name == "inline"
    assert {cell.config.train.steps for cell in grid.cells} == {5}
    assert {cell.seed for cell in grid.cells} == {0, 1}
    assert json.dumps(dict(grid.cells[0].axes))


def test_plan_and_launch_take_the_same_options_of_a_grid():
    shared = [*inspect.signature(ask_for).parameters]
    for command in (plan_grid, launch_grid):
        assert [*inspect.signature(command).parameters][: len(shared)] == shared


def test_an_unknown_published_entry_is_refused_before_anything_runs(tmp_path):
    path = tmp_path / "g.yaml"
    path.write_text("base: tiny\ntable: {published: [tevit_2021]}\n")
    with pytest.raises(UserError, match=r"unknown entry 'tevit_2021'.*; valid entries: "):
        ask_for(str(path), store=tmp_path)
