"""The key ``design`` of a grid: its cells, its errors, and what ``tevit plan`` shows of it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from ablations import Grid, GridError, build_grid
from cli import app

AXES: dict[str, list[Any]] = {
    "messenger.tokens": [0, 4, 8],
    "head.kind": ["per_frame", "stqi"],
    "head.queries": [5, 10],
}
TWO_LEVELS: dict[str, list[Any]] = {
    "messenger.tokens": [0, 4],
    "head.kind": ["per_frame", "stqi"],
    "head.queries": [5, 10],
    "data.clip_length": [1, 3],
}


def grid(design: Any, axes: dict[str, list[Any]] = AXES, **keys: Any) -> Grid:
    return build_grid({"base": "tiny", "axes": axes, "design": design, "measure": ["ap"], **keys})


def rows(found: Grid) -> list[tuple[str, ...]]:
    return [tuple(cell.axes.values()) for cell in found.cells]


def fault(design: Any, axes: dict[str, list[Any]] = AXES, **keys: Any) -> str:
    with pytest.raises(GridError) as error:
        grid(design, axes, **keys)
    (found,) = error.value.faults
    return str(found)


def test_crossed_is_what_a_grid_is_without_a_word() -> None:
    plain = build_grid({"base": "tiny", "axes": AXES})
    assert rows(grid("crossed")) == rows(plain) and len(plain.cells) == 12
    assert plain.design == "crossed" and plain.aliases == ()


def test_around_the_first_values() -> None:
    assert rows(grid("around")) == [
        ("0", "per_frame", "5"),
        ("0", "per_frame", "10"),
        ("0", "stqi", "5"),
        ("4", "per_frame", "5"),
        ("8", "per_frame", "5"),
    ]


def test_around_a_base_leaves_one_out() -> None:
    base = {"messenger.tokens": 4, "head.kind": "stqi"}
    assert rows(grid({"kind": "around", "base": base})) == [
        ("0", "stqi", "5"),
        ("4", "per_frame", "5"),
        ("4", "stqi", "5"),
        ("4", "stqi", "10"),
        ("8", "stqi", "5"),
    ]


def test_a_path_builds_the_model_up() -> None:
    assert rows(grid("path")) == [
        ("0", "per_frame", "5"),
        ("4", "per_frame", "5"),
        ("8", "per_frame", "5"),
        ("8", "stqi", "5"),
        ("8", "stqi", "10"),
    ]


def test_a_fraction_of_resolution_4_runs_half_of_16() -> None:
    found = grid("fractional", TWO_LEVELS)
    assert len(found.cells) == 8 and found.design == "fractional"
    for axis, labels in found.axes.items():
        for label in labels:
            assert sum(cell.axes[axis] == label for cell in found.cells) == 4
    assert found.aliases == (
        "messenger.tokens × head.kind = head.queries × data.clip_length",
        "messenger.tokens × head.queries = head.kind × data.clip_length",
        "messenger.tokens × data.clip_length = head.kind × head.queries",
    )


def test_cells_of_a_design_share_their_runs_with_the_crossed_grid() -> None:
    crossed = {cell.name: cell.signature for cell in grid("crossed", TWO_LEVELS).cells}
    for design in ("around", "path", "fractional"):
        for cell in grid(design, TWO_LEVELS).cells:
            assert crossed[cell.name] == cell.signature


def test_axes_that_are_zipped_are_one_factor() -> None:
    axes = {"head.queries": [5, 10], "train.lr": [1e-4, 2e-4], "head.kind": ["per_frame", "stqi"]}
    found = grid("path", axes, zip=[["head.queries", "train.lr"]])
    assert rows(found) == [
        ("5", "0.0001", "per_frame"),
        ("10", "0.0002", "per_frame"),
        ("10", "0.0002", "stqi"),
    ]
    base = {"head.queries": 5, "train.lr": 2e-4}
    design = {"kind": "around", "base": base}
    message = fault(design, axes, zip=[["head.queries", "train.lr"]])
    assert message.startswith("design.base.") and "expected one value for each" in message


def test_a_scale_may_have_another_design() -> None:
    spec = {"base": "tiny", "axes": AXES, "scales": {"small": {"design": "path"}}}
    assert len(build_grid(spec).cells) == 12
    assert len(build_grid(spec, scale="small").cells) == 5


@pytest.mark.parametrize(
    ("design", "message"),
    [
        ("sparse", "design.kind: 'sparse': Input should be 'crossed', 'around', 'path' or"),
        ({"kind": "around", "center": {}}, "design.center: unknown key center; valid keys: kind"),
        ({"base": {"head.kind": "stqi"}}, "design: a crossed design has no base; only around"),
        ({"kind": "path", "resolution": 3}, "design: a path design has no resolution; only"),
        ({"kind": "fractional", "resolution": 6}, "design.resolution: 6: Input should be 3, 4 or"),
        ({"kind": "around", "base": {"head": 1}}, "design.base: unknown axis head"),
        ({"kind": "around", "base": {"head.kind": "x"}}, "design.base.head.kind: unknown label x"),
        (
            {"kind": "around", "base": {"head.queries": [5, 10]}},
            "design.base.head.queries: expected one value for each axis",
        ),
        ("fractional", "design: a fractional design has two values an axis; axes.messenger.tokens"),
    ],
)
def test_faulty_designs(design: Any, message: str) -> None:
    assert fault(design).startswith(message)


@pytest.mark.parametrize("design", ["around", "path"])
def test_exclusions_that_leave_an_axis_constant_are_refused(design: str) -> None:
    message = fault(design, exclude=[{"head.queries": 10}])
    assert message == "exclude: only 5 is left of axes.head.queries: the axis does not vary"


@pytest.mark.parametrize("design", ["around", "path"])
def test_an_exclusion_that_takes_out_the_base_is_refused(design: str) -> None:
    rule = {"messenger.tokens": 0, "head.kind": "per_frame", "head.queries": 5}
    message = fault(design, exclude=[rule])
    assert message.startswith("exclude[0]: takes out the base that the others of design")


def test_nothing_can_be_taken_out_of_a_fraction() -> None:
    message = fault("fractional", TWO_LEVELS, exclude=[{"head.kind": "stqi", "head.queries": 10}])
    assert message.startswith("exclude[0]: a fractional design tells effects apart only as a whole")


@pytest.mark.parametrize("design", ["crossed", "around", "path", "fractional"])
def test_plan_shows_the_cells_of_a_design(design: str, tmp_path: Path) -> None:
    path = tmp_path / "study.yaml"
    axes = "\n".join(f"  {axis}: {labels}" for axis, labels in TWO_LEVELS.items())
    path.write_text(f"base: tiny\ndesign: {design}\naxes:\n{axes}\n")
    arguments = ["plan", str(path), "--no-costs", "--executor", "inline", "--store", str(tmp_path)]
    result = CliRunner().invoke(app, arguments, env={"COLUMNS": "200"})
    assert result.exit_code == 0, result.output
    found = grid(design, TWO_LEVELS)
    assert sum(f" {cell.name} " in result.output for cell in found.cells) == len(found.cells)
    assert f"{len(found.cells)} new" in result.output
    told = "the fractional design cannot tell apart: messenger.tokens × head.kind = head.queries"
    assert (told in result.output) == (design == "fractional")
