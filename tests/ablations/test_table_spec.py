import re
from importlib.resources import files
from pathlib import Path

import pytest

from ablations.table_spec import (
    ColumnSpec,
    TableError,
    TableSpec,
    check_figures,
    load_specs,
    parse_specs,
)
from benchmarks.figures import FIGURES
from core.config.yaml_file import parse_yaml, read_yaml


def test_columns_may_be_named_or_described():
    (spec,) = parse_specs({"columns": ["AP", {"figure": "fps", "decimals": 0}]}, "grid.yaml")
    assert [column.figure for column in spec.columns] == ["AP", "fps"]
    assert spec.columns[1].decimals == 0


def test_numbers_and_booleans_in_yaml_are_axis_labels():
    (spec,) = parse_specs(
        {"order": {"tokens": [0, 8]}, "checks": {"shift": True}, "baseline": {"tokens": 0}}, "g"
    )
    assert spec.order == {"tokens": ("0", "8")}
    assert spec.checks == {"shift": "true"}
    assert spec.baseline == {"tokens": "0"}


def test_several_tables_get_names_of_their_own():
    specs = parse_specs([{"name": "main"}, {"shape": "main"}], "grid.yaml")
    assert [spec.name for spec in specs] == ["main", "table2"]
    assert parse_specs(None, "grid.yaml") == []


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ({"row": ["x"]}, ["grid.yaml: table 1", "unknown field row", "rows", "baseline"]),
        ({"columns": []}, ["columns"]),
        ({"columns": [{"figure": "AP", "digits": 1}]}, ["columns.0.digits", "decimals"]),
        ({"shape": "wide"}, ["shape", "components"]),
        ({"level": 95}, ["level", "less than 1"]),
        ({"name": "a b"}, ["name"]),
        (3, ["expected a mapping", "rows"]),
        ([{}, {"level": 2}], ["grid.yaml: table 2"]),
        ([{"name": "x"}, {"name": "x"}], ["two tables", "'x'"]),
    ],
)
def test_faults_name_file_table_field_and_choices(value, words):
    with pytest.raises(TableError) as caught:
        parse_specs(value, "grid.yaml")
    for word in words:
        assert word in str(caught.value)


def test_unknown_figure_lists_the_valid_ones():
    (spec,) = parse_specs({"columns": ["mAP"]}, "grid.yaml")
    with pytest.raises(TableError, match=r"unknown figure 'mAP'.*AP50.*latency"):
        check_figures(spec, ["ap.AP"])
    check_figures(TableSpec(columns=["train.steps"]), ["train.steps"])


def test_a_file_holds_a_table_or_a_grid_with_one(tmp_path):
    path = tmp_path / "t.yaml"
    path.write_text("title: Heads\nrows: [head]\n")
    assert load_specs(path)[0].title == "Heads"
    path.write_text("axes: {}\ntable: {title: Heads}\n")
    assert load_specs(path)[0].title == "Heads"
    path.write_text("table: null\n")
    with pytest.raises(TableError, match="no table in it"):
        load_specs(path)


def test_the_tables_of_the_shipped_grids_are_valid():
    shipped = [path for path in (files("ablations") / "grids").iterdir() if path.suffix == ".yaml"]
    assert shipped
    for path in shipped:
        grid = read_yaml(path)
        scales = (grid.get("scales") or {}).values()
        for table in (grid.get("table"), *(scale.get("table") for scale in scales)):
            parse_specs(table, path)


def test_the_document_names_every_figure_and_every_key():
    text = (Path(__file__).parents[2] / "docs" / "reports.md").read_text()
    words = set(re.findall(r"[A-Za-z_][A-Za-z0-9_]*", text))
    assert set(FIGURES) <= words
    assert {*TableSpec.model_fields, *ColumnSpec.model_fields} <= words


def test_the_documents_example_is_a_valid_table():
    text = (Path(__file__).parents[2] / "docs" / "reports.md").read_text()
    example = re.search(r"```yaml\n(.*?)```", text, re.DOTALL)[1]
    (spec,) = parse_specs(parse_yaml(example)["table"], "docs")
    check_figures(spec, [])
