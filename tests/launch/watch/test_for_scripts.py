"""The state of a grid for programs: JSON and exit statuses."""

from __future__ import annotations

import json

import pytest
from toy_grids import toy_grid

from cli import app
from core.errors import UserError
from core.files import write_json
from launch.records import lease
from launch.records.journal import Batch, Journal
from launch.records.process import myself
from launch.submit.launcher import manifest_of


@pytest.fixture
def grid(store):
    made = toy_grid(2)
    store.write_manifest(manifest_of(made))
    for cell in made.cells:
        store.run(cell.signature).create(
            schema=1, name=cell.name, config=cell.config, measure=["ap"]
        )
    return made


def attempt(store, cell, outcome=None, **end):
    run = store.run(cell.signature)
    claim = lease.acquire(run.state_folder, myself())
    if outcome == "done":
        write_json(run.result("ap"), {"kind": "ap", "figures": {"AP": 0.25}})
        write_json(run.done_path, {"summary": {"ap": 0.25, "loss": float("1e3"), "step": 3}})
    if outcome:
        claim.end({"outcome": outcome, **end})


def status(store, *options):
    """Exit status of the command."""
    with pytest.raises(SystemExit) as left:
        app(["status", "toys", *options, "--store", str(store.root)], standalone_mode=False)
    return left.value.code


def test_the_exit_status_says_how_the_grid_stands(store, grid):
    first, second = grid.cells
    assert status(store, "--exit-status") == 1, "never launched"
    attempt(store, first, "done")
    attempt(store, second)
    assert status(store, "--exit-status") == 3
    lease.latest(store.run(second.signature).state_folder)
    claim = lease.Lease(store.run(second.signature).state_folder, 1)
    claim.end({"outcome": "failed", "cause": "error"})
    assert status(store, "--exit-status", "--tsv") == 1
    attempt(store, second, "done")
    assert status(store, "--exit-status", "--watch") == 0


def test_without_being_asked_the_exit_status_says_nothing(store, grid):
    app(["status", "toys", "--store", str(store.root)], standalone_mode=False)


def test_json_holds_what_the_table_shows(store, grid, capsys):
    first, second = grid.cells
    attempt(store, first, "done")
    attempt(store, second, "failed", cause="out of memory")
    store.run(second.signature).history.write_text('{"step": 2, "steps": 3, "loss": NaN}\n')
    assert status(store, "--json", "--exit-status") == 1
    found = json.loads(capsys.readouterr().out, parse_constant=pytest.fail)
    assert found["counts"] == {"failed": 1, "done": 1} and found["exit_status"] == 1
    assert found["grid"] == "toys" and found["problems"] == []
    done, failed = found["cells"]
    assert done["name"] == first.name and done["signature"] == first.signature
    assert done["axes"] == {"a": "x"} and done["seed"] == 0
    assert (done["state"], done["ap"], done["step"]) == ("done", 0.25, 3)
    assert (failed["state"], failed["cause"]) == ("failed", "out of memory")
    assert (failed["step"], failed["loss"]) == (2, None), "what is no number is not known"


def test_one_form_at_a_time(store, grid):
    with pytest.raises(UserError, match="one of them"):
        app(
            ["status", "toys", "--json", "--tsv", "--store", str(store.root)], standalone_mode=False
        )


def test_json_names_the_code_of_each_cell(store, grid, capsys):
    first, second = grid.cells
    claim = lease.acquire(store.run(first.signature).state_folder, myself(code="c0de"))
    claim.end({"outcome": "failed", "cause": "error"})
    batch = Batch("b", "toys", "local", (first.signature, second.signature), ("x", "y"), "f",
                  codes=("", "ba5e"))  # fmt: skip
    Journal(store).begin(batch)
    Journal(store).submitted("b", "1")
    store.run(second.signature).mark_queued("b", 1)
    capsys.readouterr()
    app(["status", "toys", "--json", "--store", str(store.root)], standalone_mode=False)
    cells = json.loads(capsys.readouterr().out)["cells"]
    assert [cell["code"] for cell in cells] == ["c0de", "ba5e"]
