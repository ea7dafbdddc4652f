"""Signatures: a field drops out where it cannot change a result, and nowhere else."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from ablations import signature as module
from ablations.signature import SCHEMA, SECTIONS, _files, effective, signature
from core.config.overrides import ConfigError, field_names, override
from core.config.presets import PRESETS, preset
from core.config.schema import Config, HeadConfig
from core.model.tevit import build_model
from tests.switches import NEEDS, SWITCHES

BOOKKEEPING = {
    *("data.workers", "train.checkpoint_every", "train.log_every", "train.eval_every"),
    "train.checkpointing",
}
UNREAD = {"train.momentum", "train.final_lr", "train.cooldown"}
READ = {"cosine": {"train.final_lr"}, "wsd by sgd": UNREAD}
"""What is heeded by some schedules and update rules alone, and in which contexts."""
MESSENGERS = {"messenger.shift", "messenger.shift_steps", "messenger.stages"}
STITCHING = {"inference.clip_length", "inference.stride", "inference.match_threshold"}
SYNTHETIC = {name for name in field_names() if name.startswith("data.synthetic.")}
FOLDER = {"data.annotations", "data.images"}

# What a default config differs by, and the fields that then have no effect.
CONTEXTS: dict[str, tuple[dict[str, Any], set[str]]] = {
    "default": ({}, {"backbone.norm_eval"} | STITCHING | FOLDER),
    "no messengers": (
        {"messenger.tokens": 0},
        {"backbone.norm_eval"} | MESSENGERS | STITCHING | FOLDER,
    ),
    "no shift": (
        {"messenger.shift": False},
        {"backbone.norm_eval", "messenger.shift_steps"} | STITCHING | FOLDER,
    ),
    "resnet": (
        {"backbone.name": "resnet50", "messenger.tokens": 0},
        {"backbone.drop_path"} | MESSENGERS | STITCHING | FOLDER,
    ),
    "swin": (
        {"backbone.name": "swin_t", "messenger.tokens": 0},
        {"backbone.norm_eval"} | MESSENGERS | STITCHING | FOLDER,
    ),
    "one_cycle": (
        {"train.schedule": "one_cycle"},
        {"backbone.norm_eval", "train.milestones"} | STITCHING | FOLDER,
    ),
    "cosine": (
        {"train.schedule": "cosine"},
        {"backbone.norm_eval", "train.milestones"} | STITCHING | FOLDER,
    ),
    "wsd by sgd": (
        {"train.schedule": "wsd", "train.optimizer": "sgd"},
        {"backbone.norm_eval", "train.milestones"} | STITCHING | FOLDER,
    ),
    "near_online": ({"inference.mode": "near_online"}, {"backbone.norm_eval"} | FOLDER),
    "split file": (
        {"data.split_file": "recorded.json"},
        {"backbone.norm_eval", "data.holdout", "data.split_seed"} | STITCHING | FOLDER,
    ),
    "folder": ({"data.root": "videos"}, {"backbone.norm_eval"} | STITCHING | SYNTHETIC),
}


def canonical(config: Config) -> dict[str, Any]:
    """What the signature is made of, as plain values."""
    sections = {name: effective(getattr(config, name)) for name in SECTIONS}
    return {**sections, "schema": SCHEMA, "seed": config.seed, **_files(config)}


FLIPPED: dict[str, tuple[Any, ...]] = {
    "messenger.shift": (True, False),
    "train.schedule": ("step", "one_cycle"),
    "train.optimizer": ("adamw",),
    "inference.mode": ("offline", "near_online"),
    "data.root": ("elsewhere",),
}


def changed(config: Config, name: str) -> Config | None:
    """``config`` with another value of the field; none where rules leave no other."""
    for value in (SWITCHES[name], *FLIPPED.get(name, ())):
        try:
            other = override(config, {name: value})
        except ConfigError:
            continue
        if other != config:
            return other
    return None


@pytest.mark.parametrize("context", CONTEXTS)
def test_what_drops_out(context: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    values, idle = CONTEXTS[context]
    config = override(Config(), values)
    same, refused = set(), set()
    for name in field_names():
        other = changed(config, name)
        if other is None:
            refused.add(name)
        elif signature(other) == signature(config):
            same.add(name)
    assert same == idle | BOOKKEEPING | (UNREAD - READ.get(context, set()))
    assert refused <= {"messenger.tokens", *NEEDS}, "which need others beside them"


def test_a_single_list_of_steps_equals_four_alike() -> None:
    one = override(Config(), {"messenger.shift_steps": [1, -1]})
    four = override(Config(), {"messenger.shift_steps": [[1, -1]] * 4})
    assert signature(one) == signature(four)


def test_steps_of_stages_without_messengers_drop_out() -> None:
    late = override(Config(), {"messenger.stages": [3, 4]})
    steps = [[5], [6], [1, -1, 2, -2], [1, -1, 2, -2]]
    assert signature(override(late, {"messenger.shift_steps": steps})) == signature(late)


def test_no_steps_equal_no_shift() -> None:
    off = override(Config(), {"messenger.shift": False})
    assert signature(override(Config(), {"messenger.shift_steps": []})) == signature(off)


@pytest.mark.parametrize(
    ("base", "values"),
    [
        ({"messenger.tokens": 0}, {"messenger.shift": False, "messenger.stages": [3, 4]}),
        ({}, {"backbone.norm_eval": True}),
        ({"messenger.shift": False}, {"messenger.shift_steps": [3]}),
        ({}, {"messenger.shift_steps": [[1, -1, 2, -2]] * 4}),
        (
            {"messenger.tokens": 0, "backbone.name": "resnet50", "backbone.width": 8},
            {"backbone.drop_path": 0.9},
        ),
    ],
)
def test_models_of_one_signature_are_equal(base: dict[str, Any], values: dict[str, Any]) -> None:
    small = {"head.stages": 1, "head.queries": 3, "backbone.drop_path": 0.5}
    one = preset("tiny", {**small, **base})
    other = override(one, values)
    assert signature(one) == signature(other)
    assert one != other
    outputs = []
    for config in (one, other):
        torch.manual_seed(0)
        model = build_model(config).train()
        torch.manual_seed(1)
        found = model.detect(torch.randn(1, 3, 3, 64, 64))[0]
        outputs.append((model.state_dict(), found.scores, found.boxes, found.mask_logits))
    assert outputs[0][0].keys() == outputs[1][0].keys()
    for a, b in zip(outputs[0][1:], outputs[1][1:], strict=True):
        assert torch.equal(a, b)


def test_the_default_written_out_keeps_the_signature() -> None:
    assert signature(override(Config(), {"head.kind": "stqi"})) == signature(Config())
    assert signature(preset("tevit_msgshift")) == signature(Config())
    assert len({signature(preset(name)) for name in PRESETS}) == len(PRESETS)


def test_defaults_are_part_of_the_signature() -> None:
    later = set(module.ADDED[HeadConfig])
    assert canonical(Config())["head"] == Config().head.model_dump(mode="json", exclude=later)


def test_runs_of_the_first_version_keep_their_signatures() -> None:
    """Stores made then are still in use; fields that came later stand in ``ADDED``."""
    assert signature(preset("tevit_msgshift")) == "011161ca6a774b92"
    assert signature(preset("tevit_r50")) == "de91288864151034"


def test_a_field_that_came_later_counts_once_it_is_used() -> None:
    used = override(Config(), {"data.synthetic.light": 0.5})
    assert signature(used) != signature(Config())
    assert "light" not in canonical(Config())["data"]["synthetic"]
    assert canonical(used)["data"]["synthetic"]["light"] == 0.5


def test_another_schema_is_another_signature(monkeypatch: pytest.MonkeyPatch) -> None:
    before = signature(Config())
    monkeypatch.setattr(module, "SCHEMA", module.SCHEMA + 1)
    assert signature(Config()) != before


def test_another_generator_is_another_signature_of_generated_data_alone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    folder = override(Config(), {"data.root": "videos"})
    before = signature(Config()), signature(folder)
    monkeypatch.setattr(module, "GENERATOR_VERSION", 2)
    assert signature(Config()) != before[0] and signature(folder) == before[1]


def test_signatures_are_the_same_in_another_process() -> None:
    code = "from ablations.signature import signature; from core import preset; "
    code += "print(signature(preset('tiny')))"
    found = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    ).stdout
    assert found.strip() == signature(preset("tiny"))
    assert len(found.strip()) == 16
    assert int(found, 16) >= 0


def test_planning_does_not_wait_for_torch() -> None:
    code = "import sys, ablations; ablations.load_grid('components').runs; "
    code += "assert 'torch' not in sys.modules, 'torch was imported'"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_canonical_is_plain_and_says_what_counts() -> None:
    plain = json.loads(json.dumps(canonical(preset("tiny", {"messenger.tokens": 0, "seed": 3}))))
    assert plain["messenger"] == {"tokens": 0}
    assert plain["seed"] == 3
    assert plain["schema"] == module.SCHEMA
    assert "workers" not in plain["data"]


@settings(max_examples=40)
@given(st.data())
def test_equal_canonical_values_and_equal_signatures_go_together(data: st.DataObject) -> None:
    def draw() -> Config:
        config = preset("tiny")
        for name in data.draw(st.sets(st.sampled_from(field_names()), max_size=4)):
            config = changed(config, name) or config
        return config

    one, other = draw(), draw()
    assert (canonical(one) == canonical(other)) == (signature(one) == signature(other))
