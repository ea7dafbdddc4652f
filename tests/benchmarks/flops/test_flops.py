import json

import pytest

from benchmarks.flops.record import flops_record, planned_costs
from benchmarks.workloads.workload import ClipShape, clip_shape
from core import preset
from core.errors import UserError

SMALL = ClipShape(2, 64, 96)


@pytest.fixture(scope="module")
def tiny():
    return flops_record(preset("tiny"), name="tiny", shape=SMALL)


def test_the_record_names_its_protocol(tiny):
    protocol = tiny["protocol"]
    assert (tiny["kind"], tiny["schema"], tiny["name"]) == ("flops", 1, "tiny")
    assert protocol["unit"] == "multiply-adds" and protocol["per"] == "frame"
    assert (protocol["height"], protocol["width"]) == (64, 96)
    assert (protocol["clip_length"], protocol["batch"]) == (2, 1)
    assert protocol["counters"] == ["fvcore", "torch"]
    assert json.loads(json.dumps(tiny)) == tiny


def test_modules_add_up_and_every_stage_is_there(tiny):
    parts = dict(tiny["by_module"])
    assert list(parts) == [
        "backbone", "neck", "box_head.0", "box_head.1", "box_head.2", "mask_head", "roi_align",
        "other",
    ]  # fmt: skip
    assert parts.pop("other") == 0 and all(parts.values())
    assert sum(parts.values()) == pytest.approx(tiny["figures"]["total"], abs=len(parts))
    assert parts["box_head.0"] == parts["box_head.1"] == parts["box_head.2"]


def test_fpn_has_its_closed_form(tiny):
    """Lateral 1x1 and output 3x3 convolutions at strides 4 to 32."""
    channels = (16, 32, 80, 128)
    places = [64 * 96 // stride**2 for stride in (4, 8, 16, 32)]
    expected = sum(p * (c * 64 + 9 * 64 * 64) for p, c in zip(places, channels, strict=True))
    assert tiny["by_module"]["neck"] == expected


def test_box_head_has_its_closed_form():
    """Per-frame head: attention, dynamic convolution, feed-forward network, branches."""
    config = preset("tiny", {"head.kind": "per_frame"})
    record = flops_record(config, name="t", shape=SMALL)
    n, c, d, bins, ffn, classes = 10, 64, 16, 49, 128, 3
    attention = 4 * n * c * c + 2 * n * n * c
    dynamic = n * (c * 2 * c * d + 2 * bins * c * d + bins * c * c)
    branches = n * (c * c + c * classes + 3 * c * c + c * 4)
    expected = attention + dynamic + 2 * n * c * ffn + branches
    assert record["by_module"]["box_head.1"] == expected


def test_roi_align_is_counted_at_sixteen_rows_a_bin(tiny):
    top_k, queries, stages = 10, 10, 3
    expected = 16 * 64 * (stages * queries * 49 + top_k * 196)
    assert tiny["by_module"]["roi_align"] == expected


def test_stqi_adds_one_attention_over_the_frames_a_stage(tiny):
    per_frame = flops_record(preset("tiny", {"head.kind": "per_frame"}), name="p", shape=SMALL)
    n, c, frames = 10, 64, 2
    added = 4 * n * c * c + 2 * n * frames * c
    assert tiny["by_module"]["box_head.0"] - per_frame["by_module"]["box_head.0"] == added
    unshared = flops_record(preset("tiny", {"head.kind": "stqi_unshared"}), name="u", shape=SMALL)
    assert unshared["by_module"] == tiny["by_module"]
    assert unshared["figures"]["parameters"] > tiny["figures"]["parameters"]


def test_the_messenger_shift_is_free_but_messengers_are_not(tiny):
    still = flops_record(preset("tiny", {"messenger.shift": False}), name="s", shape=SMALL)
    none = flops_record(preset("tiny", {"messenger.tokens": 0}), name="n", shape=SMALL)
    assert still["figures"]["total"] == tiny["figures"]["total"]
    assert none["by_module"]["backbone"] < tiny["by_module"]["backbone"]


@pytest.mark.parametrize(
    "overrides",
    [{"backbone.name": "resnet50", "messenger.tokens": 0, "backbone.width": 8},
     {"backbone.name": "swin_t", "messenger.tokens": 0, "backbone.width": 24}],
    ids=["resnet", "swin"],
)  # fmt: skip
def test_the_other_backbones_are_counted_in_full(overrides):
    record = flops_record(preset("tiny", overrides), name="b", shape=SMALL)
    assert record["by_module"]["backbone"] > 0
    assert record["by_counter"]["fvcore"] == record["by_counter"]["torch"]


@pytest.mark.versions
@pytest.mark.parametrize(
    "overrides",
    [{}, {"backbone.name": "swin_t", "messenger.tokens": 0, "backbone.width": 24}],
    ids=["pvt", "swin"],
)
def test_plans_count_on_shapes_what_records_count(overrides):
    config = preset("tiny", {**overrides, "data.clip_length": 2})
    figures = flops_record(config, name="r")["figures"]
    assert planned_costs(config) == (figures["parameters"], figures["total"])


def test_more_clips_a_call_do_not_change_a_frame(tiny):
    two = flops_record(preset("tiny"), name="t", shape=ClipShape(2, 64, 96, batch=2))
    assert two["figures"]["total"] == tiny["figures"]["total"]
    assert two["figures"]["clip_total"] == 2 * tiny["figures"]["clip_total"]


def test_frozen_parameters_are_not_trainable():
    config = preset(
        "tiny", {"backbone.name": "resnet50", "messenger.tokens": 0, "backbone.width": 8,
                 "backbone.frozen_stages": 1}
    )  # fmt: skip
    figures = flops_record(config, name="f", shape=SMALL)["figures"]
    assert 0 < figures["trainable"] < figures["parameters"]


@pytest.mark.slow
def test_the_published_model_costs_what_was_measured_over_its_code():
    """39.3 G a frame: backbone 12.3, FPN 12.5, heads 14.4, without RoIAlign."""
    record = flops_record(preset("tevit_msgshift"), name="m", shape=ClipShape(5, 384, 640))
    giga = {part: value / 1e9 for part, value in record["by_module"].items()}
    heads = giga["mask_head"] + sum(v for k, v in giga.items() if k.startswith("box_head"))
    assert giga["backbone"] == pytest.approx(12.3, abs=0.05)
    assert giga["neck"] == pytest.approx(12.5, abs=0.05)
    assert heads == pytest.approx(14.4, abs=0.05)
    without_roi_align = record["figures"]["total"] / 1e9 - giga["roi_align"]
    assert without_roi_align == pytest.approx(39.3, abs=0.05)
    assert record["figures"]["parameters"] == 161_832_616


@pytest.mark.parametrize(
    ("changes", "expected"),
    [({}, (5, 384, 640, 1, 720, 1280)),
     ({"size": (96, 160), "clip_length": 2}, (2, 96, 160, 1, 720, 1280)),
     ({"video_size": (480, 640), "batch": 3}, (5, 384, 480, 3, 480, 640))],
)  # fmt: skip
def test_shape_of_a_config_for_real_data(changes, expected):
    config = preset("tevit_msgshift", {"data.root": "somewhere"})
    assert clip_shape(config, **changes) == ClipShape(*expected)


def test_shape_of_a_config_for_the_generated_data():
    assert clip_shape(preset("tiny")) == ClipShape(3, 64, 96, 1, 64, 96)


def test_near_online_measures_its_own_clips():
    config = preset("tiny", {"inference.mode": "near_online"})
    assert clip_shape(config).clip_length == 36


def test_the_frame_before_padding_is_the_videos():
    assert ClipShape(1, 384, 640).frame_size == (360, 640)
    # a size that the video cannot be padded to is taken as it is
    assert ClipShape(1, 640, 640).frame_size == (640, 640)


@pytest.mark.parametrize(
    ("shape", "message"),
    [((5, 360, 640), "measure at 640x384"), ((0, 384, 640), "clip_length=0"),
     ((1, 32, 32, 0), "batch=0")],
)  # fmt: skip
def test_shapes_that_the_model_cannot_take(shape, message):
    with pytest.raises(UserError, match=message):
        ClipShape(*shape)
