"""``seeds: {first, most, until}``: the first seeds are cells, the others are in reserve."""

from __future__ import annotations

from typing import Any

import pytest

from ablations import GridError, build_grid

SPEC = {"base": "tiny", "axes": {"head.queries": [5, 10]}}


def test_the_first_seeds_are_cells_and_the_others_are_in_reserve() -> None:
    grid = build_grid({**SPEC, "seeds": {"first": 2, "most": 4}})
    assert [cell.seed for cell in grid.cells] == [0, 1, 0, 1]
    assert [cell.seed for cell in grid.reserve] == [2, 3, 2, 3]
    assert grid.limits is not None
    assert (grid.limits.until, grid.limits.looks) == (1.0, (2, 3, 4))


def test_cells_are_the_runs_that_a_count_of_seeds_gives() -> None:
    limited = build_grid({**SPEC, "seeds": {"first": 2, "most": 4}})
    counted = build_grid({**SPEC, "seeds": 4})
    together = {cell.signature for cell in (*limited.cells, *limited.reserve)}
    assert together == {cell.signature for cell in counted.cells}
    assert (counted.limits, counted.reserve) == (None, ())


def test_seeds_of_the_command_line_stand_in_place_of_the_limits() -> None:
    grid = build_grid({**SPEC, "seeds": {"first": 2, "most": 4}}, seeds=[7])
    assert [cell.seed for cell in grid.cells] == [7, 7]
    assert (grid.limits, grid.reserve) == (None, ())


def test_a_scale_has_its_own_limits() -> None:
    scales = {"small": {"seeds": {"first": 2, "most": 3, "until": 2.5}}}
    grid = build_grid({**SPEC, "seeds": 1, "scales": scales}, scale="small")
    assert grid.limits is not None
    assert grid.limits.until == 2.5


@pytest.mark.parametrize(
    ("seeds", "message"),
    [
        ({"most": 4, "until": 1.0}, "seeds.first: "),
        ({"first": 3, "until": 1.0}, "seeds.most: "),
        ({"first": 1, "most": 4}, "seeds.first: 1: Input should be greater than or equal to 2"),
        ({"first": 5, "most": 4}, "seeds: most is 4, below first, which is 5"),
        ({"first": 3, "most": 4, "until": 0}, "seeds.until: 0: Input should be greater than 0"),
        ({"first": 3, "most": 4, "til": 1}, "seeds.til: unknown key til (did you mean until?)"),
        ({"first": 3.5, "most": 4}, "seeds.first: 3.5: Input should be a valid integer"),
    ],
)
def test_limits_that_cannot_be_are_one_error(seeds: Any, message: str) -> None:
    with pytest.raises(GridError) as error:
        build_grid({**SPEC, "seeds": seeds})
    assert [str(fault).startswith(message) for fault in error.value.faults] == [True]
