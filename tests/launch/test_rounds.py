"""Seeds round by round, on runs whose AP is made up."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
from typer.testing import CliRunner

from ablations.grid import build_grid
from cli import app
from core.errors import UserError
from core.files import write_json
from launch import commands
from launch.executors import inline
from launch.rounds import (
    comparison,
    next_round,
    rounds_text,
    standing,
    until_decided,
    with_earlier_rounds,
)
from launch.submit.launcher import manifest_of

LIMITS = {"first": 3, "most": 6, "until": 1.0}
NOISE = (0.1, -0.2, 0.3, 0.0, -0.1, 0.2)


def grid(**keys):
    data = {
        "base": "tiny",
        "axes": {"head.queries": [5, 10, 20]},
        "seeds": LIMITS,
        "measure": ["ap"],
        "table": {"baseline": {"head.queries": 5}},
    }
    return build_grid({**data, **keys}, name="q")


def test_a_plan_says_what_rounds_of_seeds_would_do_or_lack():
    assert rounds_text(grid()) == (
        "launch --until-decided: up to 6 seeds for cells whose difference is not settled to within "
        "1 AP"
    )
    lacks = rounds_text(grid(table={"title": "No baseline."}))
    assert lacks.startswith(
        "! launch --until-decided is not possible: q: whether a cell is decided"
    )


class Runner:
    """Runs cells by writing the AP that ``figure`` makes up of queries and seed."""

    def __init__(self, store, figure):
        self.store, self.figure, self.grids, self.ran = store, figure, [], []

    def __call__(self, grid):
        self.grids.append([f"{c.axes['head.queries']},{c.seed}" for c in grid.cells])
        well = True
        for cell in grid.cells:
            path = self.store.run(cell.signature).result("ap")
            ap = self.figure(int(cell.axes["head.queries"]), cell.seed)
            if ap is None:
                well = False
            elif not path.exists():
                self.ran.append(f"{cell.axes['head.queries']},{cell.seed}")
                write_json(path, {"figures": {"AP": ap / 100}})
        return well


def figure(queries, seed):
    """10 queries are much better in every seed, 20 differ by chance."""
    gain = {5: 0.0, 10: 12.0 + NOISE[seed], 20: (-4.0, 4.0, -1.0, 5.0, -5.0, 1.0)[seed]}
    return 50.0 + seed + gain[queries]


def counts(ran):
    return {q: sum(name.startswith(f"{q},") for name in ran) for q in (5, 10, 20)}


def test_further_seeds_go_to_the_undecided_cell_and_the_baseline_only(store):
    run, said = Runner(store, figure), []
    assert until_decided(store, comparison(grid()), run, said.append)
    assert counts(run.ran) == {5: 6, 10: 3, 20: 6}
    assert len(run.grids) == 4
    assert "head.queries=10 adds 12.1 AP" in said[0]
    assert "4 seeds for head.queries=20" in said
    assert "head.queries=20 is undecided" in said[-2]
    assert "look 4 of at most 4" in said[-1]


def test_all_decided_at_the_first_look_ends_it(store):
    def sure(queries, seed):
        return 50.0 + seed + (queries - 5) + NOISE[seed] * (queries - 5) / 100

    run = Runner(store, sure)
    assert until_decided(store, comparison(grid()), run, lambda _: None)
    assert counts(run.ran) == {5: 3, 10: 3, 20: 3}


def test_it_goes_on_from_the_runs_on_disk(store):
    asked = comparison(grid())
    first, again = Runner(store, figure), Runner(store, figure)
    first(next_round(asked, standing(store, asked)))
    assert counts(first.ran) == {5: 3, 10: 3, 20: 3}
    assert standing(store, asked).look == 1
    until_decided(store, asked, again, lambda _: None)
    assert counts(again.ran) == {5: 3, 10: 0, 20: 3}
    third = Runner(store, figure)
    until_decided(store, asked, third, lambda _: None)
    assert third.ran == []


def test_a_cell_whose_runs_fail_holds_no_other_up(store):
    def fails(queries, seed):
        return None if (queries, seed) == (10, 1) else figure(queries, seed)

    run, said = Runner(store, fails), []
    assert not until_decided(store, comparison(grid()), run, said.append)
    assert counts(run.ran) == {5: 6, 10: 2, 20: 6}
    assert any(line.startswith("head.queries=10 has no verdict: +12.2 AP") for line in said)


def test_a_baseline_that_fails_ends_it(store):
    run = Runner(store, lambda queries, seed: None if queries == 5 else figure(queries, seed))
    assert not until_decided(store, comparison(grid()), run, lambda _: None)
    assert len(run.grids) == 1


def test_a_round_has_every_cell_with_the_seeds_that_it_has_got(store):
    asked = comparison(grid())
    first = next_round(asked, standing(store, asked))
    assert [cell.name for cell in first.cells] == [cell.name for cell in grid().cells]
    run = Runner(store, figure)
    run(first)
    second = next_round(asked, standing(store, asked))
    assert len(second.cells) == 4 + 3 + 4
    assert second.reserve == ()


def test_launching_again_keeps_the_seeds_that_rounds_have_added(store):
    assert with_earlier_rounds(store, grid()) == grid()
    run, asked = Runner(store, figure), comparison(grid())
    until_decided(store, asked, run, lambda _: None)
    last = next_round(asked, standing(store, asked))
    store.write_manifest(manifest_of(last))
    again = with_earlier_rounds(store, grid())
    assert [cell.name for cell in again.cells] == [cell.name for cell in last.cells]
    assert len(again.reserve) == 3  # of the cell that was decided at the first look
    assert comparison(again).cells.keys() == asked.cells.keys()


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"seeds": 3}, r"where the grid says how many there may be, such as seeds: \{first: 3"),
        ({"measure": ["flops"]}, "cells are decided by AP, but the grid does not measure ap"),
        ({"table": None}, "shows against a baseline, but no table"),
        ({"table": {"baseline": "head.queries=7"}}, r"is no cell; cells: head\.queries=5, "),
    ],
)
def test_what_rounds_need_is_asked_for_before_anything_runs(keys, message):
    with pytest.raises(UserError, match=message):
        comparison(grid(**keys))


@pytest.fixture
def command(store, tmp_path, monkeypatch):
    """``command("--report")``: output and exit code of a launch until decided, its runs made up."""
    path, run, asked = tmp_path / "q.yaml", Runner(store, figure), []
    text = "base: tiny\naxes: {head.queries: [5, 10, 20]}\nmeasure: [ap]\n"
    path.write_text(f"{text}table: {{baseline: {{head.queries: 5}}}}\nseeds: {LIMITS}\n")

    def run_launch(request, options):
        assert request.target.code and not request.target.then, "one code, and no report of its own"
        asked.append((options.wait, options.report, len(request.grid.cells)))
        return run(request.grid)

    def run_process(words, check):
        asked.append(" ".join(words[-4:-2]))
        return SimpleNamespace(returncode=0)

    monkeypatch.setattr(commands, "run_launch", run_launch)
    monkeypatch.setattr(inline, "subprocess", SimpleNamespace(run=run_process))

    def invoke(*words):
        words = ("launch", path, "--until-decided", "--executor", "inline", *words)
        result = CliRunner().invoke(app, [*map(str, words), "--store", str(store.root)])
        return result, asked

    return invoke


def test_the_command_waits_for_each_round_and_reports_after_the_last(command):
    result, asked = command("--report")
    assert result.exit_code == 0
    assert asked == [
        (True, False, 9), (True, False, 11), (True, False, 13), (True, False, 15),
        "report q",
    ]  # fmt: skip
    assert "4 seeds for head.queries=20\n" in result.output
    assert "for all looks together" in result.output


def test_the_plan_says_how_many_seeds_there_may_be(command, tmp_path, store):
    words = ["plan", tmp_path / "q.yaml", "--no-costs", "--executor", "inline"]
    result = CliRunner().invoke(app, [*map(str, words), "--store", str(store.root)])
    assert "runs: 9 new" in result.output
    assert "up to 6 seeds for cells whose difference is not settled to within 1 AP" in result.output


def test_rounds_of_some_cells_are_refused(command):
    result, asked = command("--cell", "5,s0")
    assert "leave out --cell" in str(result.exception)
    assert asked == []
