from pathlib import Path

import pytest

from benchmarks import request
from benchmarks.request import Request, named_config, origin
from benchmarks.workloads.workload import ClipShape, parse_size
from core import preset
from core.config.overrides import config_from_dict, override
from core.config.schema import Config
from core.errors import UserError


def test_switches_of_one_config_and_of_all():
    config = named_config(
        "tiny,head.kind=per_frame,messenger.shift_steps=[1,-1]", ["head.stages=2"]
    )
    assert config.head.kind == "per_frame" and config.head.stages == 2
    assert config.messenger.shift_steps == (1, -1)


def test_a_configs_own_switch_wins():
    assert named_config("tiny,head.stages=1", ["head.stages=2"]).head.stages == 1


def test_configs_and_switches_in_any_order():
    request = Request(["head.stages=2", "tiny", "tiny,head.kind=per_frame"], size="64x32", clip=2)
    first, second = request.workloads()
    assert (first.name, second.name) == ("tiny", "tiny,head.kind=per_frame")
    assert Config(**second.config) == preset("tiny", {"head.stages": 2, "head.kind": "per_frame"})
    assert first.shape == second.shape == ClipShape(2, 32, 64)


def test_what_is_not_told_is_the_configs_own():
    tiny, real = Request(["tiny", "tevit_msgshift,data.root=somewhere"]).workloads()
    assert tiny.shape == ClipShape(3, 64, 96, 1, 64, 96)
    assert real.shape == ClipShape(5, 384, 640)


def test_video_size_and_batch():
    (spec,) = Request(["tiny"], batch=2, video_size="640x480").workloads()
    assert (spec.shape.video_height, spec.shape.video_width, spec.shape.batch) == (480, 640, 2)


@pytest.mark.parametrize(
    ("request_", "words"),
    [(Request([]), "give a config"), (Request(["head.stages=2"]), "give a config"),
     (Request(["tiny", "tiny"]), "named twice"), (Request(["tinny"]), "tiny"),
     (Request(["tiny,head.kind=x"]), "head.kind"), (Request(["tiny"], size="640"), "640x384"),
     (Request(["tiny"], size="640x360"), "640x384"), (Request(["tiny"], clip=0), "clip_length=0"),
     (Request(["tiny", "tevit_r50"], checkpoint=Path("a.pt")), "one config")],
)  # fmt: skip
def test_faults_are_named_before_anything_runs(request_, words):
    with pytest.raises(UserError, match=words):
        request_.workloads()


def test_mmdet_models_are_measured_at_the_first_configs_shape(monkeypatch):
    monkeypatch.setattr(request, "find_config", lambda path: Path("/there") / path)
    ours, theirs = Request(["tiny"], mmdet=["query.py"], clip=2).workloads()
    assert theirs.name == "mmdet query" and theirs.mmdet == "/there/query.py"
    assert theirs.shape == ours.shape


def test_mmdet_models_train_on_the_first_configs_clips_in_full_precision(monkeypatch):
    monkeypatch.setattr(request, "find_config", Path)
    switches = ["train.precision=bf16", "train.compile=true", "train.ema=0.9", "train.clips=3"]
    ours, theirs = Request(["tiny", *switches], mmdet=["query.py"]).workloads()
    plain = {"train.precision": "fp32", "train.compile": False, "train.ema": 0.0}
    assert config_from_dict(theirs.config) == override(config_from_dict(ours.config), plain)
    (alone,) = Request(["data.root=synthetic", "train.clips=2"], mmdet=["query.py"]).workloads()
    wanted = preset("tevit_msgshift", {"data.root": "synthetic", "train.clips": 2})
    assert config_from_dict(alone.config) == wanted


def test_an_mmdet_model_alone_is_measured_at_the_published_size(monkeypatch):
    monkeypatch.setattr(request, "find_config", Path)
    (spec,) = Request([], mmdet=["query.py"], size="640x384").workloads()
    assert spec.shape == ClipShape(5, 384, 640)


@pytest.mark.parametrize(("text", "size"), [("640x384", (384, 640)), ("96X64", (64, 96))])
def test_sizes_are_width_by_height(text, size):
    assert parse_size(text) == size


@pytest.mark.parametrize("text", ["", "640", "640x", "axb", "-1x5", "6.5x4"])
def test_sizes_that_are_none(text):
    with pytest.raises(UserError, match="WIDTHxHEIGHT"):
        parse_size(text)


def test_a_file_of_records_says_how_they_were_made(monkeypatch):
    monkeypatch.setattr("sys.argv", ["/bin/tevit", "flops", "tiny"])
    found = origin()
    assert found["command"] == "tevit flops tiny" and "diff" in found["git"]
