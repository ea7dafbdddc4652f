"""Grid files and table specifications, damaged: they work, or one error names the file."""

import pytest
import yaml
from hypothesis import given

from ablations.grid import find_grid, load_grid
from ablations.grid_file import GridError
from ablations.table_spec import load_specs
from tests.core.fuzz.mutations import edited_bytes, edited_trees, fuzzed, works_or_one_error

GRID = {
    "description": "Both components, and a longer clip.",
    "base": "tiny",
    "axes": {
        "messenger": [
            {"label": "off", "set": {"messenger.tokens": 0}},
            {"label": "on", "set": {"messenger.tokens": 8}},
        ],
        "head.stages": [1, 2],
    },
    "exclude": [{"messenger": "off", "head.stages": 2}],
    "seeds": 2,
    "overrides": {"train.steps": 2},
    "measure": ["ap", "flops"],
    "scales": {"small": {"seeds": [0], "overrides": {"train.lr": 0.001}}},
    "table": {"rows": ["messenger"], "columns": ["AP", "params"], "baseline": {"messenger": "off"}},
}
TABLE = [
    {
        "title": "Components",
        "rows": ["messenger", "head.stages"],
        "columns": ["AP", {"figure": "params", "decimals": 1}],
        "labels": {"on": "with"},
        "baseline": {"messenger": "off"},
    },
    {"columns": ["AP"]},
]
SHIPPED = yaml.safe_load(find_grid("components").read_text())


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    return tmp_path_factory.mktemp("grids") / "mine.yaml"


def grid_from(file, content):
    file.write_bytes(content)
    with works_or_one_error(file):
        load_grid(file)


@fuzzed
@given(tree=edited_trees(GRID))
def test_grids_with_other_values(file, tree):
    grid_from(file, yaml.safe_dump(tree).encode())


@fuzzed
@given(tree=edited_trees(SHIPPED))
def test_the_shipped_grid_with_other_values(file, tree):
    grid_from(file, yaml.safe_dump(tree).encode())


@fuzzed
@given(content=edited_bytes(yaml.safe_dump(GRID).encode()))
def test_grids_with_other_bytes(file, content):
    grid_from(file, content)


@fuzzed
@given(tree=edited_trees(TABLE))
def test_table_specifications_with_other_values(file, tree):
    file.write_text(yaml.safe_dump(tree))
    with works_or_one_error(file):
        load_specs(file)


@fuzzed
@given(content=edited_bytes(yaml.safe_dump(TABLE).encode()))
def test_table_specifications_with_other_bytes(file, content):
    file.write_bytes(content)
    with works_or_one_error(file):
        load_specs(file)


def test_the_sound_files_are_sound(file):
    file.write_text(yaml.safe_dump(GRID))
    assert len(load_grid(file).cells) == 6
    file.write_text(yaml.safe_dump(TABLE))
    assert len(load_specs(file)) == 2


@pytest.mark.parametrize("seeds", [10**12, {"first": 2, "most": 10**12}])
def test_a_number_of_seeds_that_no_memory_holds_is_refused(file, seeds):
    file.write_text(yaml.safe_dump(GRID | {"seeds": seeds}))
    with pytest.raises(GridError, match="1000") as caught:
        load_grid(file)
    assert "seeds" in str(caught.value)


LONG = "é" * 300  # longer than a file's name may be, at which pathlib raises


@pytest.mark.parametrize(
    "values",
    [
        {"data.root": LONG},
        {"data.root": ".", "data.annotations": LONG},
        {"data.root": ".", "data.annotations": "mine.yaml", "data.images": LONG},
        {"data.mix": [[LONG, 0.5]]},
        {"data.split_file": LONG},
        {"train.init": LONG},
        {"backbone.pretrained": LONG},
    ],
)
def test_names_that_no_file_can_have_are_not_found(file, values, monkeypatch):
    monkeypatch.chdir(file.parent)
    file.write_text(yaml.safe_dump(GRID | {"overrides": values}))
    with pytest.raises(GridError, match="no such"):
        load_grid(file)
    file.write_text(yaml.safe_dump(GRID | {"base": LONG}))
    with pytest.raises(GridError, match="unknown preset"):
        load_grid(file)
    with pytest.raises(GridError, match="unknown grid"):
        load_grid(LONG)
