"""docs/grids.md: its examples load, its keys are those that there are."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from ablations import build_grid, load_grid, shipped_grids
from ablations.grid_file import GridSpec
from core.config.yaml_file import parse_yaml

TEXT = (Path(__file__).parents[2] / "docs" / "grids.md").read_text()


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", TEXT, re.DOTALL)


@pytest.mark.parametrize("text", blocks("yaml"))
def test_examples_load(text: str) -> None:
    data = parse_yaml(text)
    for scale in (None, *data.get("scales", {})):
        assert build_grid({"seeds": 1, **data}, scale=scale).cells


def test_the_python_example_runs(capsys: pytest.CaptureFixture[str]) -> None:
    (text,) = blocks("python")
    exec(text, {})
    assert [line.split()[0] for line in capsys.readouterr().out.splitlines()] == [
        "per_frame,s0",
        "stqi,s0",
    ]


def test_cell_names_are_as_told() -> None:
    example = next(text for text in blocks("yaml") if "near" in text)
    names = {cell.name for cell in build_grid(parse_yaml(example)).cells}
    assert "near,few,s0" in names
    assert "`near,few,s0`" in TEXT


def test_keys_and_grids_are_all_told_of() -> None:
    table = TEXT[TEXT.index("## Keys") : TEXT.index("### Axes")]
    assert re.findall(r"^\| `(\w+)`", table, re.MULTILINE) == list(GridSpec.model_fields)
    table = TEXT[: TEXT.index("## Keys")]
    assert sorted(re.findall(r"^\| `(\w+)`", table, re.MULTILINE)) == shipped_grids()


def test_the_python_arguments_exist() -> None:
    assert load_grid("components", scale="tiny", overrides={"train.steps": 100}, seeds=[0, 1]).cells
