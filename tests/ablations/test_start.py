"""Cells that start from another run: signatures, order, what is wanted of the start run."""

from __future__ import annotations

from dataclasses import replace

from ablations import Cell, Grid
from core.config.presets import preset

TRAINED = Cell("start", preset("tiny", {"train.steps": 7}), {}, ("train",))
PLAIN = Cell("s0", preset("tiny"), {}, ("ap",))
FOLLOWER = replace(PLAIN, start=TRAINED)


def grid(*cells: Cell) -> Grid:
    return Grid("g", "", cells, {}, ("ap",), None)


def test_the_start_run_is_part_of_the_signature() -> None:
    assert FOLLOWER.signature != PLAIN.signature
    other = replace(TRAINED, config=preset("tiny", {"train.steps": 8}))
    assert replace(PLAIN, start=other).signature != FOLLOWER.signature
    assert replace(PLAIN, start=replace(TRAINED, name="x")).signature == FOLLOWER.signature


def test_a_cell_that_only_tests_has_the_signature_of_one_that_trains_itself() -> None:
    assert replace(PLAIN, start=TRAINED, trains=False).signature == PLAIN.signature


def test_a_start_run_comes_first_and_counts_once() -> None:
    two = grid(FOLLOWER, replace(FOLLOWER, config=preset("tiny", {"seed": 1})))
    assert [cell.name for cell in two.all_cells] == ["start", "s0", "s0"]
    assert two.start_cells == (TRAINED,)
    assert grid(PLAIN).all_cells == (PLAIN,)


def test_a_start_run_that_is_a_cell_of_the_grid_is_not_repeated() -> None:
    own = replace(TRAINED, name="own", measure=("ap",))
    both = grid(own, FOLLOWER)
    assert both.start_cells == () and both.all_cells == both.cells
    assert both.measures()[own.signature] == ("ap", "train")
