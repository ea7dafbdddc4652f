"""The records that ``measure: [tracking, errors]`` leaves of a cell."""

import json

import pytest
import torch

from ablations.grid import build_grid
from benchmarks.ap import evaluate as evaluation
from benchmarks.ap.score import heldout_videos
from benchmarks.diagnosis.errors import KINDS
from benchmarks.diagnosis.slices import slicings
from benchmarks.diagnosis.tracking import TRACKING_FIGURES
from benchmarks.figures import FIGURES as ALL
from benchmarks.figures import GROUPS, figure_of
from benchmarks.measurement import Inputs
from benchmarks.measurements import MEASUREMENTS
from core.errors import UserError
from tests.core.training.runs import small


@pytest.fixture(scope="module")
def records(tmp_path_factory):
    """By name: the truth as predictions, but for a track that is cut and one that is missing."""
    folder = tmp_path_factory.mktemp("cell")
    config = small()
    tracks = heldout_videos(config).tracks
    results = [
        {
            "video_id": track.video_id,
            "category_id": track.category_id,
            "score": 0.9,
            "segmentations": list(track.segmentations),
        }
        for track in tracks[1:]
    ]
    results[0]["segmentations"][1:] = [None] * (len(results[0]["segmentations"]) - 1)
    torch.save({"meta": {"step": 7}, "state_dict": {}}, folder / "last.pt")
    (folder / "predictions.json").write_text(json.dumps(results))
    files = (folder / "last.pt", folder / "predictions.json")
    names = ("ap", "tracking", "errors")
    inputs = Inputs("small", config, *files, frozenset(names))
    with pytest.MonkeyPatch.context() as patch:
        read = []
        patch.setattr(
            evaluation,
            "read_json",
            lambda path: (read.append(path), json.loads(path.read_text()))[1],
        )
        found = {name: MEASUREMENTS[name].run(inputs) for name in names}
    return found | {
        "read": len(read),
        "alone": MEASUREMENTS["ap"].run(Inputs("small", config, *files)),
    }


def test_predictions_are_read_once_for_all_three(records):
    assert records["read"] == 1
    together, alone = (records[name] | {"created": None} for name in ("ap", "alone"))
    assert together == alone


def test_a_diagnosis_that_fails_costs_no_ap(monkeypatch, tmp_path):
    config = small()
    (tmp_path / "predictions.json").write_text("[]")
    torch.save({"meta": {"step": 7}, "state_dict": {}}, tmp_path / "last.pt")

    def fails(*_, **__):
        raise MemoryError

    monkeypatch.setattr("benchmarks.diagnosis.examine.find_errors", fails)
    inputs = Inputs(
        "small", config, tmp_path / "last.pt", tmp_path / "predictions.json", frozenset({"errors"})
    )
    assert MEASUREMENTS["ap"].run(inputs)["figures"]["AP"] == 0
    with pytest.raises(MemoryError):
        MEASUREMENTS["errors"].run(inputs)


def test_figures_intervals_and_protocol_are_recorded(records):
    records = json.loads(json.dumps(records))
    tracking, errors = records["tracking"], records["errors"]
    assert list(tracking["figures"]) == list(TRACKING_FIGURES)
    assert list(errors["figures"]) == list(KINDS)
    for record in (tracking, errors):
        assert record["protocol"]["checkpoint"] == "last, step 7"
        assert record["protocol"]["videos"] == records["ap"]["protocol"]["videos"]
        assert record["bootstrap"]["resamples"] == 250
        assert set(record["bootstrap"]["samples"]) == set(record["figures"])
    assert tracking["protocol"]["min_score"] == 0.3
    assert tracking["figures"]["LocA"] == 1
    assert 0 < tracking["figures"]["HOTA"] < 1
    assert tracking["all_classes"].keys() == tracking["figures"].keys()
    assert errors["protocol"]["located"] == 0.1


def test_what_is_missing_is_where_it_was_taken_away(records):
    errors, ap = records["errors"], records["ap"]["figures"]["AP"]
    lost = {kind: loss for kind, loss in errors["figures"].items() if loss}
    assert set(lost) == {"frames", "missed"}
    assert ap < 1
    assert max(errors["counts"]["missed"]) == max(errors["counts"]["frames"]) == 1
    assert {"AP_short", "AR_long"} <= errors["slices"]["length"].keys()


def test_slices_have_intervals(records):
    errors = json.loads(json.dumps(records["errors"]))
    drawn = errors["bootstrap"]["slices"]
    assert drawn.keys() == errors["slices"].keys() == {"length", "speed", "occlusion", "instances"}
    heldout = heldout_videos(small())
    for slicing in slicings(heldout):
        figures, of_one = errors["slices"][slicing.name], slicing.of_one_video(heldout)
        assert drawn[slicing.name]["resamples"] == 250
        for figure, value in figures.items():
            interval = drawn[slicing.name][figure]
            if value is None or figure.partition("_")[2] in of_one:
                assert interval is None
            else:
                assert interval["low"] <= value <= interval["high"]


def test_tables_know_the_figures(records):
    for name, group in (("tracking", "tracking"), ("errors", "lost")):
        columns = {ALL[key].column for key in GROUPS[group]}
        assert columns == {f"{name}.{figure}" for figure in records[name]["figures"]}


def test_a_grid_asks_for_them_or_does_without():
    grid = {"name": "g", "base": "tiny", "axes": {"head.kind": ["stqi"]}}
    assert build_grid(grid).measure == ("ap", "flops", "fps")
    asked = build_grid(grid | {"measure": ["ap", "tracking", "errors"]})
    assert asked.cells[0].measure == ("ap", "tracking", "errors")
    with pytest.raises(UserError, match="'ap', 'tracking', 'errors', "):
        build_grid(grid | {"measure": ["track"]})


def test_a_name_stands_for_a_group_of_columns():
    table = {"columns": ["AP", "lost", {"figure": "HOTA", "decimals": 2}]}
    grid = build_grid(
        {"name": "g", "base": "tiny", "axes": {"head.kind": ["stqi"]}, "table": table}
    )
    from ablations.table_spec import parse_specs

    (spec,) = parse_specs(grid.table, "g")
    assert [column.figure for column in spec.columns] == ["AP", *GROUPS["lost"], "HOTA"]


def test_a_table_shows_a_slice_or_a_class_in_percent():
    shown = {
        "errors.slices.length.AP_short": ("AP short", "high"),
        "errors.bootstrap.slices.length.AP_short.std": ("AP short std", None),
        "ap.per_class.amber light": ("AP amber light", "high"),
        "ap.per_class_AR100.amber light": ("AR100 amber light", "high"),
    }
    for column, (label, better) in shown.items():
        figure = figure_of(column)
        assert (figure.column, figure.label, figure.better) == (column, label, better)
        assert figure.printed(0.5) == 50
    assert figure_of("errors.counts.class").printed(0.5) == 0.5
    assert figure_of("AP").column == "ap.AP"
