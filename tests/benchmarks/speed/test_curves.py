import csv
import io
import json

import pytest

from benchmarks.speed.curves import CURVE_COLUMNS, at, curve_csv, measure_curve, parse_axis
from benchmarks.speed.isolated import SpeedJob
from benchmarks.workloads.spec import WorkloadSpec
from benchmarks.workloads.workload import ClipShape
from core import preset
from core.errors import UserError

SPEC = WorkloadSpec("tiny", ClipShape(5, 32, 64), preset("tiny").to_dict())


def test_axis_and_values():
    assert parse_axis("clip_length=1,5,10") == ("clip_length", ["1", "5", "10"])
    assert parse_axis("size=64x32") == ("size", ["64x32"])


@pytest.mark.parametrize("text", ["clip=1", "clip_length", "clip_length=", "=1"])
def test_a_wrong_axis_names_the_valid_ones(text):
    with pytest.raises(UserError, match="clip_length, size, queries"):
        parse_axis(text)


def test_each_axis_changes_what_it_says():
    assert at(SPEC, "clip_length", "7").shape.clip_length == 7
    sized = at(SPEC, "size", "96x32").shape
    assert (sized.height, sized.width) == (32, 96)
    assert at(SPEC, "queries", "3").config["head"]["queries"] == 3
    assert at(SPEC, "batch", "3").shape.batch == 3
    of_training = at(SPEC, "batch", "3", "train").config["train"]
    assert (of_training["clips"], of_training["accumulate"]) == (3, 1)
    assert SPEC.config["head"]["queries"] == 10


@pytest.mark.parametrize(
    ("axis", "value", "words"),
    [("clip_length", "0", "whole number"), ("queries", "many", "whole number"),
     ("batch", "²", "whole number"), ("size", "²x32", "WIDTHxHEIGHT"),
     ("size", "96", "WIDTHxHEIGHT"), ("size", "95x32", "96x32")],
)  # fmt: skip
def test_values_that_do_not_fit(axis, value, words):
    with pytest.raises(UserError, match=words):
        at(SPEC, axis, value)


def test_an_mmdet_model_has_no_queries_of_ours():
    with pytest.raises(UserError, match="own configuration"):
        at(WorkloadSpec("peer", SPEC.shape, mmdet="x.py"), "queries", "3")


def test_an_mmdet_model_trains_on_as_many_clips_as_a_curve_says():
    peer = WorkloadSpec("peer", SPEC.shape, preset("tiny").to_dict(), mmdet="x.py")
    assert at(peer, "batch", "5", "train").config["train"]["clips"] == 5


def run(job):
    (spec,) = job.workloads
    shape = spec.shape
    protocol = {
        "clip_length": shape.clip_length, "batch": 1, "height": shape.height, "width": shape.width
    }  # fmt: skip
    head = {"name": spec.name, "protocol": protocol}
    if shape.clip_length > 4:
        return [{**head, "figures": None, "oom": f"OOM at T={shape.clip_length}"}]
    figures = {"fps_model": 10.0, "fps_postprocess": 5.0, "fps_end_to_end": None}
    scopes = {"model": {"low": 9.0, "high": 11.0}}
    return [{**head, "figures": figures, "scopes": scopes, "memory": {"host_peak": 100}}]


def test_a_curve_keeps_every_record_and_running_out_is_a_point():
    told = []
    curve = measure_curve(
        SpeedJob("fps", (SPEC,)), "clip_length", ["2", "8"], run=run,
        report=lambda value, record: told.append(value),
    )  # fmt: skip
    assert curve["kind"] == "curve" and curve["axis"] == "clip_length" and told == ["2", "8"]
    assert curve["points"][1]["record"]["oom"] == "OOM at T=8"
    assert json.loads(json.dumps(curve)) == curve
    rows = list(csv.DictReader(io.StringIO(curve_csv(curve))))
    assert tuple(rows[0]) == CURVE_COLUMNS
    assert (rows[0]["value"], rows[0]["fps_model"], rows[0]["low"]) == ("2", "10.0", "9.0")
    assert rows[0]["host_peak"] == "100" and rows[0]["fps_end_to_end"] == ""
    assert (rows[1]["fps_model"], rows[1]["oom"]) == ("", "OOM at T=8")


def test_a_faulty_value_is_found_before_anything_is_measured():
    def never(job):
        raise AssertionError

    with pytest.raises(UserError):
        measure_curve(SpeedJob("fps", (SPEC,)), "size", ["64x32", "65x32"], run=never)


def test_drift_is_in_the_points_of_a_curve():
    def drifting(job):
        return [record | {"environment": {"drift": ["hot", "busy"]}} for record in run(job)]

    curve = measure_curve(SpeedJob("fps", (SPEC,)), "clip_length", ["2"], run=drifting)
    (row,) = csv.DictReader(io.StringIO(curve_csv(curve)))
    assert row["drift"] == "hot; busy"
