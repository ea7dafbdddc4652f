"""Grids that are wrong: every fault at once, by file and field, with what would be valid."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from ablations import GridError, GridFault, build_grid, load_grid
from ablations.expand import LIMIT
from core.config.yaml_file import YamlError
from core.errors import UserError

KINDS = {"head.kind": ["per_frame", "stqi"]}
RESNET = {"backbone.name": ["pvt_v2_b0", "resnet50"]}


def faults(_given: dict[str, Any] | None = None, **keys: Any) -> list[GridFault]:
    with pytest.raises(GridError) as error:
        build_grid({"base": "tiny", **keys}, **(_given or {}))
    return list(error.value.faults)


def one(**keys: Any) -> str:
    (fault,) = faults(**keys)
    return str(fault)


# --- one error with everything -----------------------------------------------------------------


def test_everything_is_told_at_once(tmp_path: Path) -> None:
    path = tmp_path / "study.yaml"
    path.write_text(
        """
base: tinny
axis: {}
overrides: {head: {querys: 3}, train.lr: -1}
axes:
  head.knd: [stqi]
  head.kind: [per_frame, stqii]
  head.queries: []
  messenger:
    - {label: off, set: {messenger.tokens: 0}}
    - {set: {messenger.tokens: 1}}
    - {label: three, set: {messenger.toks: 3}}
exclude: [{messengers: off}]
seeds: 0
measure: [ap, fpss]
scales: {tiny: {axs: {}}}
"""
    )
    with pytest.raises(GridError) as error:
        load_grid(path)
    assert {fault.field for fault in error.value.faults} == {
        "base",
        "axis",
        "overrides.head.querys",
        "overrides.train.lr",
        "axes.head.knd[0]",
        "axes.head.kind[1]",
        "axes.head.queries",
        "axes.messenger[1]",
        "axes.messenger[2]",
        "exclude[0]",
        "seeds",
        "measure[1]",
        "scales.tiny.axs",
    }
    lines = str(error.value).split("\n")
    assert lines[0] == f"grid {path}: 13 faults"
    assert isinstance(error.value, UserError)


def test_a_long_list_is_cut_but_kept() -> None:
    with pytest.raises(GridError) as error:
        build_grid({"axes": {"head.kind": [f"kind {k}" for k in range(50)]}})
    assert len(error.value.faults) == 50
    assert str(error.value).endswith("... and 20 more")


def test_a_fault_in_many_cells_is_told_once() -> None:
    found = faults(axes={**RESNET, "head.queries": [5, 10, 20]}, seeds=3)
    assert [fault.field for fault in found] == ["axes.backbone.name[1]"]


def test_faults_between_good_values_are_told_beside_bad_values() -> None:
    found = faults(axes={"head.kind": ["per_frame", "stqii"], **RESNET})
    assert [fault.field for fault in found] == ["axes.head.kind[1]", "axes.backbone.name[1]"]


# --- the file and its keys ----------------------------------------------------------------------


def test_files_that_are_not_there(tmp_path: Path) -> None:
    with pytest.raises(GridError, match=r"nope.yaml: 1 fault\n.*no such file"):
        load_grid(tmp_path / "nope.yaml")
    with pytest.raises(GridError, match=r"unknown grid compnents \(did you mean components\?\)"):
        load_grid("compnents")
    with pytest.raises(GridError, match=r"or a path ending in \.yaml"):
        load_grid(tmp_path)


@pytest.mark.parametrize("text", ["", "3", "[1]", "text"])
def test_files_that_hold_no_keys(text: str, tmp_path: Path) -> None:
    path = tmp_path / "a.yaml"
    path.write_text(text)
    with pytest.raises(GridError, match="a mapping of keys is expected"):
        load_grid(path)


def test_files_that_are_not_yaml(tmp_path: Path) -> None:
    path = tmp_path / "a.yaml"
    path.write_text("axes:\n  head.kind: [stqi]\n  head.kind: [stqi]\n")
    with pytest.raises(YamlError, match=r"a.yaml: line 3, column 3: the key 'head.kind' is given"):
        load_grid(path)


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"axis": {}}, "axis: unknown key axis (did you mean axes?); valid keys: name, descr"),
        ({"scales": {"s": {"seed": 1}}}, "scales.s.seed: unknown key seed (did you mean seeds?)"),
        ({"axes": [1]}, "axes: [1]: Input should be a valid dictionary"),
        ({"axes": {"head.kind": "stqi"}}, "axes.head.kind: 'stqi': Input should be a valid list"),
        ({"axes": {"head.kind": []}}, "axes.head.kind: []: List should have at least 1 item"),
        ({"axes": {3: [1]}}, "axes[3]: 3: Input should be a valid string"),
        ({"zip": [["head.kind"]]}, "zip[0]: ['head.kind']: List should have at least 2 items"),
        ({"exclude": [{}]}, "exclude[0]: {}: Dictionary should have at least 1 item"),
        ({"seeds": 0}, "seeds: 0: at least one seed"),
        ({"seeds": []}, "seeds: []: Value should have at least 1 item"),
        ({"seeds": [1, 1]}, "seeds: [1, 1]: a seed is given twice"),
        ({"seeds": [-1]}, "seeds[0]: -1: Input should be greater than or equal to 0"),
        ({"seeds": [True]}, "seeds[0]: True: Input should be a valid integer"),
        (
            {"measure": ["app"]},
            "measure[0]: 'app': Input should be 'ap', 'tracking', 'errors', 'flops', 'fps'",
        ),
        ({"measure": []}, "measure: []: Value should have at least 1 item"),
        ({"name": "a/b"}, "name: 'a/b' names a file: letters, digits"),
        ({"name": ".a"}, "name: '.a' names a file"),
        ({"overrides": 3}, "overrides: 3: Input should be a valid dictionary"),
        ({"base": 3}, "base: 3: Input should be a valid string"),
        ({"base": "tinny"}, "base: unknown preset tinny (did you mean tiny?)"),
        ({"base": "nope.yaml"}, "base: nope.yaml: no such file"),
    ],
)
def test_keys(keys: dict[str, Any], message: str) -> None:
    assert message in one(**keys)


def test_a_bad_base_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_text("head.knd: stqi\n")
    (tmp_path / "study.yaml").write_text("base: mine.yaml\n")
    with pytest.raises(GridError, match=r"base: .*mine.yaml: unknown field head.knd"):
        load_grid(tmp_path / "study.yaml")


# --- axes ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("axes", "message"),
    [
        (
            {"head.knd": ["stqi"]},
            "axes.head.knd[0]: unknown field head.knd (did you mean head.kind?",
        ),
        ({"x": [1]}, "An axis of another name takes values of the form {label: TEXT, set:"),
        ({"x": [{"label": "a", "value": 1}]}, "axes.x[0]: unknown field x"),
        (
            {"head.kind": ["per_frame", "stqii"]},
            "axes.head.kind[1]: head.kind='stqii': Input should be 'stqi', 'per_frame', ",
        ),
        ({"head.queries": [0]}, "axes.head.queries[0]: head.queries=0: Input should be greater"),
        ({"head.queries": [True]}, "head.queries=True: Input should be a number, not true or"),
        (
            {"messenger.stages": [[1, 3], [3, 4]]},
            "axes.messenger.stages[0]: messenger.stages=[1, 3]",
        ),
        ({"x": [{"set": {"head.queries": 1}}]}, "axes.x[0]: label is missing"),
        ({"x": [{"label": "a"}]}, "axes.x[0]: expected one of set and value"),
        ({"x": [{"label": "a", "set": {}, "value": 1}]}, "expected one of set and value"),
        ({"x": [{"label": "a", "sets": {}}]}, "axes.x[0]: unknown key sets; a value with a label"),
        ({"x": [{"label": "a", "set": 3}]}, "axes.x[0]: set=3: expected a mapping of fields"),
        (
            {"x": [{"label": "a", "set": {"head": {"knd": 1}}}]},
            "axes.x[0]: unknown field head.knd (did you mean head.kind?)",
        ),
        (
            {"x": [{"label": "a", "set": {"head": {"kind": "stqi"}, "head.kind": "stqi"}}]},
            "axes.x[0]: head.kind is given twice",
        ),
        ({"x": [{"label": "a", "set": {"head.queries": -1}}]}, "axes.x[0]: head.queries=-1"),
        ({"x": [{"label": "a", "set": {"seed": 1}}]}, "axes.x[0]: seed cannot be set here"),
        ({"seed": [1]}, "axes.seed[0]: seeds are not an axis; use the key seeds"),
        ({"head.queries": [5, 5]}, "axes.head.queries[1]: the label '5' is used twice"),
        ({"head.queries": [5, "5"]}, "axes.head.queries[1]: the label '5' is used twice"),
        ({"train.init": ["nope.pth"]}, "axes.train.init[0]: train.init='nope.pth': no such file"),
        ({"data.root": ["/nope"]}, "axes.data.root[0]: data.root='/nope': no such folder"),
        ({"data.mix": [[], [["/nope", 0.5]]]}, "axes.data.mix[1]: data.mix: /nope: no such folder"),
        (
            {"data.mix": [["/nope", 0.5]]},
            "axes.data.mix[0]: data.mix[0]='/nope': Input should be a",
        ),
        ({"data.mix": ["/nope"]}, "axes.data.mix[0]: data.mix='/nope': Input should be a list"),
        (
            {"data.mix": [[["synthetic", 0.5]]]},
            "axes.data.mix[0]: data.mix: 'synthetic' is generated for data.root alone",
        ),
    ],
)
def test_values(axes: dict[str, Any], message: str) -> None:
    assert message in one(axes=axes)


def test_two_axes_that_disagree() -> None:
    few = {"label": "few", "set": {"head.queries": 5}}
    message = "axes.head.queries[1]: head.queries=10, but axes.size[0] sets 5"
    assert one(axes={"size": [few], "head.queries": [5, 10]}) == message
    grid = {"size": [few], "head.queries": [5, 10]}
    build_grid({"base": "tiny", "axes": grid, "exclude": [{"head.queries": 10}]})


def test_two_cells_of_one_name() -> None:
    values = [{"label": label, "set": {}} for label in ("a b", "a-b")]
    assert "two cells have the name 'a-b,s0'" in one(axes={"x": values})


def test_too_many_cells() -> None:
    axes = {"head.queries": list(range(1, 500)), "head.stages": list(range(1, 500))}
    assert one(axes=axes).startswith(f"axes: 249001 cells are more than a grid may have ({LIMIT})")


# --- rules between fields ------------------------------------------------------------------------


def test_a_rule_between_fields_names_the_values_that_break_it() -> None:
    found = one(axes=RESNET)
    assert found.startswith("axes.backbone.name[1]: messenger.tokens=2: backbone.name=resnet50")
    found = one(axes={**RESNET, "messenger.tokens": [8]})
    assert found.startswith("axes.backbone.name[1] with axes.messenger.tokens[0]: ")
    found = one(axes={"inference.stride": [3, 9]}, overrides={"inference.clip_length": 6})
    assert found.startswith("axes.inference.stride[1] with overrides.inference.clip_length: ")


def test_overrides_that_break_a_rule_by_themselves() -> None:
    found = one(overrides={"backbone.name": "resnet50"}, axes=KINDS)
    assert found.startswith("overrides.backbone.name: messenger.tokens=2: backbone.name=resnet50")


# --- overrides -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        ({"head.knd": 1}, "overrides.head.knd: unknown field head.knd (did you mean head.kind?"),
        ({"head": {"queries": 0}}, "overrides.head.queries: head.queries=0: Input should be"),
        ({"seed": 3}, "overrides.seed: seed cannot be set here; use the key seeds"),
        ({"train.init": "nope"}, "overrides.train.init: train.init='nope': no such file"),
        ({"data.root": "nope"}, "overrides.data.root: data.root='nope': no such folder"),
        (
            {"head": {"kind": "stqi"}, "head.kind": "stqi"},
            "overrides: head.kind is given twice",
        ),
    ],
)
def test_overrides(overrides: dict[str, Any], message: str) -> None:
    assert message in one(overrides=overrides)
    given = one(_given={"overrides": overrides})
    assert given.startswith("override")
    assert message.partition(": ")[2] in given


def test_an_override_without_effect() -> None:
    message = "has no effect: every value of axes.head.kind sets head.kind"
    assert one(axes=KINDS, overrides={"head.kind": "stqi"}) == f"overrides.head.kind: {message}"
    given = {"overrides": {"head.kind": "stqi"}}
    assert one(axes=KINDS, _given=given) == f"override.head.kind: {message}"
    off = {"label": "off", "set": {"messenger.tokens": 0}}
    axes = {"messenger": [off, {"label": "on", "set": {}}]}
    grid = build_grid({"base": "tiny", "axes": axes}, overrides={"messenger.tokens": 4})
    assert [cell.config.messenger.tokens for cell in grid.cells] == [0, 4]


def test_given_seeds_and_name() -> None:
    assert one(_given={"seeds": [1, 1]}) == "seeds: [1, 1]: a seed is given twice"
    assert one(_given={"seeds": 0}).startswith("seeds: 0: at least one seed")
    assert one(_given={"name": "a b"}).startswith("name: 'a b' names a file")


def test_a_base_file_whose_weights_are_gone(tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_text("train.init: gone.pth\n")
    found = one(base=str(tmp_path / "mine.yaml"))
    assert found == "base: train.init='gone.pth': no such file"


def test_a_dataset_without_annotations(tmp_path: Path) -> None:
    root = {"data.root": str(tmp_path)}
    assert one(overrides=root).startswith("overrides.data.root: ")
    assert "no annotation file; looked for" in one(overrides=root)
    assert one(axes={"data.root": ["synthetic", str(tmp_path)], **KINDS}).startswith(
        "axes.data.root[1]: "
    )


# --- zip and exclude -----------------------------------------------------------------------------

AXES = {**KINDS, "head.queries": [5, 10, 20], "head.stages": [1, 2]}


@pytest.mark.parametrize(
    ("groups", "message"),
    [
        ([["head.kind", "head.querys"]], "zip[0]: unknown axis head.querys (did you mean head.qu"),
        (
            [["head.kind", "head.queries"]],
            "zip[0]: zipped axes need equally many values: head.kind",
        ),
        ([["head.kind", "head.kind"]], "zip[0]: axis head.kind is zipped twice"),
        (
            [["head.kind", "head.stages"], ["head.stages", "head.kind"]],
            "zip[1]: axis head.stages is zipped twice",
        ),
    ],
)
def test_zip(groups: Any, message: str) -> None:
    assert any(message in str(fault) for fault in faults(axes=AXES, zip=groups))


@pytest.mark.parametrize(
    ("rule", "message"),
    [
        ({"head.knd": "stqi"}, "exclude[0]: unknown axis head.knd (did you mean head.kind?)"),
        ({"head.kind": "stqii"}, "exclude[0].head.kind: unknown label stqii (did you mean stqi?)"),
        ({"head.queries": [5, 7]}, "exclude[0].head.queries: unknown label 7; valid labels: 5, 10"),
        ({"head.kind": ["per_frame", "stqi"]}, "exclude: every combination is excluded"),
    ],
)
def test_exclude(rule: Any, message: str) -> None:
    assert message in one(axes=AXES, exclude=[rule])


def test_an_exclusion_of_what_never_meets() -> None:
    axes = {**KINDS, "head.stages": [1, 2]}
    rule = {"head.kind": "stqi", "head.stages": 1}
    found = one(axes=axes, zip=[["head.kind", "head.stages"]], exclude=[rule])
    assert found.startswith("exclude[0]: matches no combination")


def test_labels_at_fault_do_not_accuse_exclusions() -> None:
    axes = {"messenger": [{"lable": "off", "set": {}}, {"label": "on", "set": {}}]}
    found = faults(axes=axes, exclude=[{"messenger": "off"}])
    assert [fault.field for fault in found] == ["axes.messenger[0]"]


def test_axes_at_fault_do_not_accuse_the_rest() -> None:
    axes = {"head.queries": [], **KINDS, "head.stages": "x"}
    rules = {"zip": [["head.kind", "head.queries"]], "exclude": [{"head.stages": 5}]}
    found = faults(axes=axes, **rules)
    assert [fault.field for fault in found] == ["axes.head.queries", "axes.head.stages"]
    found = faults(axes={"head.kind": ["x"]}, overrides={"head.kind": "stqi"})
    assert [fault.field for fault in found] == ["axes.head.kind[0]"]


# --- scales --------------------------------------------------------------------------------------


def test_scales() -> None:
    tiny = {"scales": {"tiny": {}}}
    assert "unknown scale tny (did you mean tiny?)" in one(**tiny, _given={"scale": "tny"})
    assert "(none: the grid has no scales)" in one(_given={"scale": "tiny"})


@pytest.mark.parametrize(
    ("scale", "message"),
    [
        ({"base": "tinny"}, "scales.s.base: unknown preset tinny"),
        ({"overrides": {"head.knd": 1}}, "scales.s.overrides.head.knd: unknown field"),
        ({"axes": {"head.kind": ["x"]}}, "scales.s.axes.head.kind[0]: head.kind='x'"),
        ({"axes": {"head.knd": ["x"]}}, "scales.s.axes.head.knd: unknown axis head.knd (did you"),
        ({"exclude": [{"head.kind": "x"}]}, "scales.s.exclude[0].head.kind: unknown label x"),
        ({"zip": [["head.kind", "x"]]}, "scales.s.zip[0]: unknown axis x"),
        ({"table": {"baseline": {"head.kind": "x"}}}, "scales.s.table.baseline.head.kind: unknown"),
    ],
)
def test_faults_of_a_scale_say_so(scale: dict[str, Any], message: str) -> None:
    found = faults(axes=KINDS, scales={"s": scale}, _given={"scale": "s"})
    assert str(found[0]).startswith(message)


def test_a_scale_that_drops_an_excluded_label() -> None:
    spec = {"axes": KINDS, "exclude": [{"head.kind": "per_frame"}]}
    found = one(**spec, scales={"s": {"axes": {"head.kind": ["stqi"]}}}, _given={"scale": "s"})
    assert found.startswith("exclude[0].head.kind: unknown label per_frame; valid labels: stqi")


# --- tables --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ({"rows": ["head.knd"]}, "table.rows: unknown axis head.knd (did you mean head.kind?)"),
        ({"across": "x"}, "table.across: unknown axis x"),
        ({"group": "x"}, "table.group: unknown axis x"),
        ({"order": {"x": ["a"]}}, "table.order: unknown axis x"),
        ({"order": {"head.kind": ["stqi", "x"]}}, "table.order.head.kind: unknown label x"),
        ({"checks": {"head.kind": "x"}}, "table.checks.head.kind: unknown label x"),
        ({"baseline": {"head.kind": "stqi"}}, "table.baseline: {'head.kind': 'stqi'} is 3 cells"),
        ({"baseline": {"head.kind": "x", "head.queries": 5}}, "table.baseline.head.kind: unknown"),
        ([{"rows": ["x"]}], "table[0].rows: unknown axis x"),
        ({"tables": [{"rows": ["x"]}]}, "table[0].rows: unknown axis x"),
        ("components", "table: expected a mapping of table keys, not 'components'"),
        ({"row": ["x"]}, "table: unknown field row (did you mean rows?); valid fields: name, ti"),
        ({"level": 95}, "table: level=95: Input should be less than 1"),
        ({"columns": ["mAP"]}, "table.columns: unknown figure mAP (did you mean AP?); valid"),
        ({"decimals": {"PA": 1}}, "table.decimals: unknown figure PA; valid figures: AP, AP50"),
        ([{}, {"columns": [{"figure": "AP", "digits": 1}]}], "table[1]: unknown field columns.0."),
    ],
)
def test_tables(table: Any, message: str) -> None:
    axes = {**KINDS, "head.queries": [5, 10, 20]}
    assert str(faults(axes=axes, table=table)[0]).startswith(message)


@pytest.mark.parametrize(
    "table",
    [
        None,
        {},
        {"rows": ["head.kind", "method", "backbone", "train.lr"], "across": "head.queries"},
        {"baseline": {"head.kind": "stqi", "head.queries": 5}, "labels": {"x": "y"}},
        {"baseline": {"train.lr": 0.001}},
        {"order": {"head.queries": [20, 5]}},
        {"columns": ["AP", "ap.recorded", "train.steps", {"figure": "fps", "decimals": 0}]},
    ],
)
def test_tables_that_fit(table: Any) -> None:
    grid = build_grid({"base": "tiny", "axes": {**KINDS, "head.queries": [5, 20]}, "table": table})
    assert grid.table == table
