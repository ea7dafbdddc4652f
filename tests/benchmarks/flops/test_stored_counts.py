"""Exact multiply-adds of every preset and of every switch that changes the model, as stored.

``stored_counts.json`` was written by counting; what it holds must come out again, to the last
multiply-add, under every version of torch that setup.cfg allows.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import get_args

import pytest
import torch

from benchmarks.flops.record import count_workload
from benchmarks.workloads.tevit import tevit_workload
from benchmarks.workloads.workload import ClipShape
from core import preset
from core.config.presets import PRESETS
from core.config.schema import BackboneConfig, Config, HeadConfig, PVTName, ResNetName, SwinName

STORED = Path(__file__).with_name("stored_counts.json")
CASES = json.loads(STORED.read_text()) if STORED.exists() else []

SAME_COUNT = {
    *("backbone.drop_path", "backbone.frozen_stages", "backbone.norm_eval", "backbone.pretrained"),
    *("head.class_weight", "head.l1_weight", "head.giou_weight", "head.dice_weight"),
    *("head.bce_weight", "head.focal_alpha", "head.focal_gamma", "head.auxiliary_weight"),
}
"""Switches of the model that only training heeds."""


def counted(case):
    config = preset(case["preset"], case["switches"])
    shape = ClipShape(**case["shape"])
    workload = tevit_workload(config, shape, torch.device("cpu"), name="stored")
    found = count_workload(workload)
    return {
        "multiply_adds": found.total,
        "by_counter": found.counters,
        "by_part": found.by_part,
        "parameters": workload.parameters()[0],
    }


def name_of(case):
    return " ".join([case["preset"], *(f"{k}={v}" for k, v in case["switches"].items())])


def marks(case):
    return [pytest.mark.slow] if case["preset"].startswith(("tevit", "queryinst")) else []


@pytest.mark.versions
@pytest.mark.parametrize(
    "case",
    [pytest.param(case, marks=marks(case), id=name_of(case)) for case in CASES],
)
def test_the_count_is_the_stored_one(case):
    assert counted(case) == case["count"]


def test_every_preset_and_every_switch_of_the_model_has_a_stored_count():
    assert {case["preset"] for case in CASES if not case["switches"]} == set(PRESETS)
    switched = {name for case in CASES for name in case["switches"]}
    sections = ("backbone", "messenger", "head")
    fields = {
        f"{section}.{field}"
        for section in sections
        for field in type(getattr(Config(), section)).model_fields
    }
    assert fields - switched == SAME_COUNT
    names = {case["switches"].get("backbone.name") for case in CASES}
    assert {*get_args(PVTName), *get_args(ResNetName), *get_args(SwinName)} <= names
    for field, section in (("head.kind", HeadConfig), ("backbone.temporal", BackboneConfig)):
        info = section.model_fields[field.partition(".")[2]]
        counted_values = {case["switches"].get(field, info.default) for case in CASES}
        assert counted_values == set(get_args(info.annotation))


def test_switches_that_change_the_model_change_its_count_or_its_parameters():
    """But for those that only move data or share weights."""
    (base,) = (case["count"] for case in CASES if name_of(case) == "tiny")
    alike = {name_of(c) for c in CASES if c["preset"] == "tiny" and c["count"] == base}
    assert alike == {
        "tiny",
        "tiny backbone.name=pvt_v2_b0 backbone.width=16",
        "tiny backbone.name=pvt_v2_b1 backbone.width=16",  # which differ in width alone
        "tiny inference.mode=near_online",
        "tiny messenger.shift=False",
        "tiny messenger.shift_steps=[1, -1]",
        "tiny head.roi_base=32.0",
        "tiny head.attention_heads=2",
    }
