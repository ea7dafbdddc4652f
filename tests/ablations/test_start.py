"""Cells that start from another run: signatures, order, what is wanted of the start run."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from typer.testing import CliRunner

from ablations import Cell, Grid, GridError, build_grid
from ablations.inherited import inherited
from ablations.signature import signature, training_signature
from cli import app
from core.config.overrides import field_names, override
from core.config.presets import preset
from core.config.schema import Config
from tests.switches import NEEDS, SWITCHES

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


def test_what_a_start_run_starts_from_comes_before_it() -> None:
    middle = replace(FOLLOWER, name="middle")
    tester = replace(FOLLOWER, name="tester", start=middle, trains=False)
    assert tester.starts == (middle, TRAINED)
    assert [cell.name for cell in grid(tester).all_cells] == ["start", "tester"]
    other = preset("tiny", {"inference.top_k": 3})
    tester = replace(tester, config=other)
    assert [cell.name for cell in grid(tester).all_cells] == ["start", "middle", "tester"]


# --- in a grid -----------------------------------------------------------------------------------

STUDY: dict[str, Any] = {
    "base": "tiny",
    "axes": {"backbone.name": ["pvt_v2_b0", "pvt_v2_b1"], "head.kind": ["per_frame", "stqi"]},
    "seeds": 3,
    "start": {
        "base": "tiny",
        "overrides": {"head.kind": "per_frame", "messenger.tokens": 0, "train.steps": 9},
    },
}


def study(_given: dict[str, Any] | None = None, _start: dict[str, Any] | None = None, **keys: Any):
    start = {**STUDY["start"], **(_start or {})}
    return build_grid({**STUDY, "start": start, **keys}, **(_given or {}))


def fault(*arguments: Any, **keys: Any) -> str:
    with pytest.raises(GridError) as error:
        study(*arguments, **keys)
    (found,) = error.value.faults
    return str(found)


def test_all_cells_begin_with_one_start_run() -> None:
    grid = study()
    (start,) = grid.start_cells
    assert start.name == "start,s0" and start.measure == ("train",) and start.start is None
    expected = preset("tiny", {"head.kind": "per_frame", "messenger.tokens": 0, "train.steps": 9})
    assert start.config == expected
    assert len(grid.cells) == 12 and all(cell.start is start for cell in grid.cells)
    assert len(grid.all_cells) == 13 == len({cell.signature for cell in grid.all_cells})
    plain = build_grid({k: v for k, v in STUDY.items() if k != "start"})
    assert not {c.signature for c in plain.cells} & {c.signature for c in grid.cells}
    assert [c.config for c in plain.cells] == [c.config for c in grid.cells]


def test_a_followed_axis_has_a_start_run_for_each_value() -> None:
    grid = study(_start={"follows": ["backbone.name"], "measure": ["ap"]})
    assert [cell.name for cell in grid.start_cells] == ["start,pvt_v2_b0,s0", "start,pvt_v2_b1,s0"]
    for cell in grid.cells:
        assert cell.start is not None
        assert cell.start.config.backbone.name == cell.config.backbone.name
        assert cell.start.axes == {"backbone.name": cell.axes["backbone.name"]}
        assert cell.start.measure == ("ap", "train")


@pytest.mark.parametrize(("seeds", "starts"), [(1, [0, 0, 0]), (2, [0, 1, 0]), ("same", [0, 1, 2])])
def test_seeds_of_start_runs(seeds: int | str, starts: list[int]) -> None:
    cells = study(_start={"seeds": seeds}, axes={}).cells
    assert [cell.start.seed for cell in cells if cell.start] == starts


def test_without_a_base_the_start_run_has_the_grids() -> None:
    grid = study(_start={"base": None}, overrides={"head.queries": 5})
    assert grid.start_cells[0].config.head.queries == 5
    assert study(overrides={"head.queries": 5}).start_cells[0].config.head.queries != 5


def test_fields_of_the_command_line_go_to_both_and_the_start_runs_own_have_the_last_word() -> None:
    given = {"head.queries": 6, "train.steps": 4, "start.train.lr": 0.001}
    grid = study({"overrides": given})
    start, cell = grid.start_cells[0].config, grid.cells[0].config
    assert (start.head.queries, start.train.steps, start.train.lr) == (6, 9, 0.001)
    assert (cell.head.queries, cell.train.steps) == (6, 4)
    assert cell.train.lr == preset("tiny").train.lr


def test_weights_of_the_command_line_are_the_start_runs(tmp_path: Any) -> None:
    path = tmp_path / "w.pth"
    path.write_bytes(b"x")
    grid = study({"overrides": {"train.init": str(path)}})
    assert grid.start_cells[0].config.train.init == path
    assert all(cell.config.train.init is None for cell in grid.cells)


def test_a_scale_may_start_from_another_run() -> None:
    tiny = {"start": {"base": "tiny", "overrides": {"train.steps": 3}}}
    grid = build_grid({**STUDY, "scales": {"toy": tiny}}, scale="toy")
    assert grid.start_cells[0].config.train.steps == 3


@pytest.mark.parametrize(
    ("start", "message"),
    [
        (
            {"overrides": {}, "base": "tiny"},
            "start: cell pvt_v2_b0,stqi,s0 would start from itself: the start run has the same",
        ),
        ({"follows": ["backbone"]}, "start.follows: unknown axis backbone (did you mean backb"),
        ({"follows": ["head.kind"]}, "start.overrides.head.kind: has no effect: every value of"),
        ({"overrides": {"head.kidn": 1}}, "start.overrides.head.kidn: unknown field head.kidn"),
        ({"overrides": {"head.queries": 0}}, "start.overrides.head.queries: head.queries=0"),
        ({"overrides": {"seed": 1}}, "start.overrides.seed: seed cannot be set here"),
        ({"base": "tinny"}, "start.base: unknown preset tinny (did you mean tiny?)"),
        ({"overrides": {"backbone.name": "resnet50"}}, "start.overrides.backbone.name: messenger"),
    ],
)
def test_faulty_start_runs(start: dict[str, Any], message: str) -> None:
    assert fault(_start=start).startswith(message), "one fault, however many cells have it"


@pytest.mark.parametrize(
    ("start", "message"),
    [
        ({"seeds": 0}, "start.seeds: 0: expected a count of at least 1, or same"),
        ({"seeds": True}, "start.seeds: True: expected a count of at least 1, or same"),
        ({"seeds": "some"}, "start.seeds: 'some': expected a count of at least 1, or same"),
        ({"start": {}}, "start.start: unknown key start; valid keys: base, overrides, follows"),
        ({"measure": ["mAP"]}, "start.measure[0]: 'mAP'"),
    ],
)
def test_keys_of_a_start_run(start: dict[str, Any], message: str) -> None:
    assert fault(_start=start).startswith(message)


def test_own_weights_beside_a_start_run_are_refused(tmp_path: Any) -> None:
    path = tmp_path / "w.pth"
    path.write_bytes(b"x")
    message = fault(overrides={"train.init": str(path)})
    assert message.startswith("overrides.train.init: train.init has no effect: every cell begins")


def test_an_override_of_a_start_run_that_is_not_there_is_refused() -> None:
    with pytest.raises(GridError, match=r"override\.start\.train\.lr: the grid has no start run"):
        build_grid({"base": "tiny"}, overrides={"start.train.lr": 0.1})


# --- train once, test many -----------------------------------------------------------------------

LENGTHS = {
    "base": "tiny",
    "overrides": {"inference.mode": "near_online", "inference.stride": 1},
    "axes": {"inference.clip_length": [2, 3, 4], "head.kind": ["per_frame", "stqi"]},
    "seeds": 2,
}


def test_cells_that_differ_in_testing_alone_share_a_training() -> None:
    grid = build_grid(LENGTHS)
    trainers = [cell for cell in grid.cells if cell.trains]
    assert [c.name for c in trainers] == [c.name for c in grid.cells[:4]]
    for cell in grid.cells[4:]:
        assert cell.start in trainers and cell.start.start is None
        assert cell.start.config.head == cell.config.head and cell.start.seed == cell.seed
    alone = [
        build_grid({**LENGTHS, "axes": {**LENGTHS["axes"], "inference.clip_length": [n]}})
        for n in (2, 3, 4)
    ]
    expected = {cell.signature for other in alone for cell in other.cells}
    assert {cell.signature for cell in grid.cells} == expected, "as if each trained itself"
    assert grid.start_cells == ()


def test_plan_says_which_cells_only_test_and_what_start_runs_there_are(tmp_path: Any) -> None:
    path = tmp_path / "lengths.yaml"
    path.write_text(json.dumps({**LENGTHS, "seeds": 1, "start": {"overrides": {"train.steps": 3}}}))
    arguments = ["plan", str(path), "--executor", "inline", "--store", str(tmp_path), "--no-costs"]
    result = CliRunner().invoke(app, arguments, env={"COLUMNS": "200"})
    assert result.exit_code == 0, result.output
    assert result.output.count("tests the weights of clip_length=2,per_frame,s0") == 2
    assert " start,s0 " in result.output and "7 new" in result.output
    assert "2 cells begin with the weights of start\nstart run: " in result.output


def test_testing_alone_may_follow_a_start_run() -> None:
    grid = build_grid({**LENGTHS, "start": {"overrides": {"train.steps": 3}}})
    first, last = grid.cells[0], grid.cells[-1]
    assert first.trains and not last.trains and last.start is not None
    assert last.start.start == first.start
    itself = replace(last, start=last.start.start, trains=True)
    assert itself.signature == last.signature


def test_where_nothing_is_scored_nothing_is_trained_for_others() -> None:
    assert all(cell.start is None for cell in build_grid({**LENGTHS, "measure": ["flops"]}).cells)


@pytest.mark.parametrize("name", field_names())
def test_only_what_testing_reads_leaves_the_training_as_it_is(name: str) -> None:
    from core.training.setup import FREE_FIELDS

    base = override(Config(), {"inference.mode": "near_online", **NEEDS.get(name, {})})
    changed = override(base, {name: SWITCHES[name]})
    same = training_signature(changed) == training_signature(base)
    if name.startswith("inference.") or name == "data.test_size":
        assert same and name.startswith(FREE_FIELDS)
    else:
        assert same == (signature(changed) == signature(base))


def test_what_is_left_out_is_told_once_for_cells_alike() -> None:
    found = inherited(study(_start={"follows": ["backbone.name"]}).cells)
    assert [text.splitlines()[0] for text in found] == [
        "6 cells begin with the weights of start,pvt_v2_b0",
        "6 cells begin with the weights of start,pvt_v2_b1",
    ]
    for text in found:
        assert "1 not in the file: backbone.msg_tokens" in text


def test_a_start_run_of_another_backbone_says_what_does_not_fit() -> None:
    (text,) = inherited(study(axes={"backbone.name": ["pvt_v2_b2"]}).cells)
    assert "141 not in the file: backbone." in text and "346 of the model's tensors" in text


@pytest.mark.parametrize(
    ("cells", "start", "warned"),
    [
        ({}, {}, False),
        ({"data.split_seed": 1}, {}, False),  # shared with the start run
        ({}, {"data.split_seed": 1}, True),
        ({}, {"data.holdout": 0.1}, True),
        ({}, {"data.holdout": 0.1, "data.synthetic.seed": 1}, False),  # other videos
    ],
)
def test_a_start_run_that_sees_what_cells_are_scored_on_is_told(
    cells: dict[str, Any], start: dict[str, Any], warned: bool
) -> None:
    overrides = {"head.kind": "per_frame", "train.steps": 9, **start}
    spec = {"base": "tiny", "overrides": cells, "axes": {"head.queries": [5]}}
    (text,) = inherited(build_grid({**spec, "start": {"overrides": overrides}}).cells)
    assert ("trained on some that these cells are scored on" in text) == warned


def test_an_axis_of_splits_is_told_where_the_start_run_does_not_follow_it() -> None:
    spec = {"base": "tiny", "axes": {"data.split_seed": [0, 1]}}
    start: dict[str, Any] = {"overrides": {"train.steps": 9}}
    same, other = inherited(build_grid({**spec, "start": start}).cells)
    assert "scored on" not in same and "scored on" in other
    follows = inherited(
        build_grid({**spec, "start": {**start, "follows": ["data.split_seed"]}}).cells
    )
    assert not any("scored on" in text for text in follows)


def test_a_file_of_the_command_line_that_is_not_there_is_named_as_given() -> None:
    message = fault({"overrides": {"train.init": "nope.pth"}})
    assert message == "override.train.init: train.init='nope.pth': no such file"
