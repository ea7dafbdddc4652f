"""Every switch, what it refuses, and the names under which switches are set."""

from __future__ import annotations

import json
from typing import get_args

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.config.overrides import (
    ConfigError,
    config_from_dict,
    field_faults,
    field_names,
    fields,
    flatten,
    override,
    parse_assignments,
    unknown,
)
from core.config.presets import PRESETS, preset
from core.config.schema import Config, MessengerConfig, PVTName, ResNetName, SwinName
from tests.switches import NEEDS, SWITCHES

NO_MESSENGERS = {"messenger.tokens": 0}


def at(config: Config, name: str) -> object:
    value: object = config
    for part in name.split("."):
        value = getattr(value, part)
    return value


def test_every_field_is_tried_here() -> None:
    assert SWITCHES.keys() == set(field_names())


@pytest.mark.parametrize("name", SWITCHES)
def test_a_switch_changes_its_field_alone(name: str) -> None:
    before = override(Config(), NEEDS.get(name, {}))
    after = override(before, {name: SWITCHES[name]})
    assert at(after, name) != at(before, name)
    others = [n for n in field_names() if n != name]
    assert [at(after, n) for n in others] == [at(before, n) for n in others]


@pytest.mark.parametrize("name", field_names())
def test_every_field_is_described(name: str) -> None:
    assert fields()[name].description


REFUSED = {
    "backbone.name": ["resnet18", 1, None],
    "backbone.width": [0, 12, -8, "wide", True],
    "backbone.drop_path": [-0.1, 1.1, float("nan")],
    "backbone.frozen_stages": [-2, 5],
    "backbone.norm_eval": ["perhaps", 2],
    "backbone.temporal": ["shift", None],
    "messenger.tokens": [-1, 2.5, "many", None, True],
    "messenger.shift": ["left"],
    "messenger.shift_steps": ["1", [1, "a"], [[1], 2], [1.5], [[1], [1], [1]]],
    "messenger.stages": [[], [0], [5], [1, 3], [2, 1], [1, 1], 1],
    "head.kind": ["stqii", None],
    "head.queries": [0, -1, 1.5],
    "head.stages": [0],
    "head.classes": [0],
    "head.channels": [4, 100],
    "head.attention_heads": [0, 7],
    "head.ffn_channels": [0],
    "head.dynamic_channels": [0],
    "head.roi_base": [0, -1, float("inf")],
    "head.mask_convs": [-1],
    "head.bce_weight": [-1],
    "head.focal_alpha": [-0.1, 2],
    "head.focal_gamma": [-1],
    "head.auxiliary_weight": [-1],
    "data.root": [None, 3],
    "data.holdout": [0, 1, -0.1],
    "data.split_seed": [-1],
    "data.clip_length": [0],
    "data.clip_order": ["reverse"],
    "data.train_sizes": [[], [[96]], [[0, 64]], 96],
    "data.train_resize": ["all"],
    "data.test_size": [[96, 64, 1], 64],
    "data.flip": [-1, 2],
    "data.workers": [-1],
    "data.synthetic.videos": [1],
    "data.synthetic.frames": [0],
    "data.synthetic.size": [[0, 1]],
    "data.synthetic.hidden": [1.5],
    "data.synthetic.lookalikes": [-0.5],
    "train.steps": [0],
    "train.clips": [0],
    "train.accumulate": [0],
    "train.lr": [0, -1e-3, False],
    "train.backbone_lr": [-1],
    "train.weight_decay": [-1],
    "train.clip_norm": [0],
    "train.schedule": ["linear"],
    "train.warmup": [-1],
    "train.milestones": [[0]],
    "train.layer_decay": [0, 1.5],
    "train.optimizer": ["adam"],
    "train.momentum": [-0.1, 1],
    "train.final_lr": [-0.1, 2],
    "train.cooldown": [0, 1.5],
    "train.ema": [-0.1, 1],
    "train.eval_every": [-1, 0.5],
    "train.precision": ["fp16"],
    "train.checkpoint_every": [0],
    "train.log_every": [0],
    "inference.weights": ["average"],
    "inference.mode": ["online"],
    "inference.clip_length": [0, 17],
    "inference.stride": [0, 37],
    "inference.top_k": [0],
    "inference.mask_threshold": [0, 1],
    "inference.match_threshold": [-0.1, 1.1],
    "inference.precision": ["int8"],
    "seed": [-1, "x"],
}


@pytest.mark.parametrize(
    ("name", "value"), [(name, value) for name, values in REFUSED.items() for value in values]
)
def test_a_bad_value_is_refused_by_name(name: str, value: object) -> None:
    with pytest.raises(ConfigError) as error:
        override(Config(), {name: value})
    assert name in str(error.value)


def test_choices_are_listed() -> None:
    with pytest.raises(ConfigError, match=r"head.kind='x'.*'stqi', 'per_frame'.*or 'gru'"):
        preset("tiny", {"head.kind": "x"})
    with pytest.raises(ConfigError) as error:
        preset("tiny", {"backbone.name": "vit"})
    assert str(error.value).count("\n") == 0
    for family in (PVTName, ResNetName, SwinName):
        assert all(repr(name) in str(error.value) for name in get_args(family))


def test_every_fault_is_told_at_once() -> None:
    with pytest.raises(ConfigError) as error:
        preset("tiny", {"head.kind": "x", "train.lr": -1, "data.train_sizes": [[96, 0]]})
    lines = str(error.value).split("\n")
    assert [line.partition("=")[0] for line in lines] == [
        "head.kind",
        "data.train_sizes[0][1]",
        "train.lr",
    ]


@pytest.mark.parametrize("name", [*get_args(ResNetName), *get_args(SwinName)])
def test_only_pvt_carries_messengers(name: str) -> None:
    with pytest.raises(ConfigError, match=rf"messenger.tokens=32: backbone.name={name} cannot"):
        override(Config(), {"backbone.name": name})
    assert override(Config(), {"backbone.name": name, **NO_MESSENGERS}).backbone.name == name


@pytest.mark.parametrize(
    ("name", "width", "fits"),
    [("swin_t", 24, True), ("swin_t", 32, False), ("swin_b", 32, True), ("swin_l", 16, False)],
)
def test_width_divides_into_the_attention_heads(name: str, width: int, fits: bool) -> None:
    values = {"backbone.name": name, "backbone.width": width, **NO_MESSENGERS}
    if fits:
        assert override(Config(), values).backbone.width == width
    else:
        with pytest.raises(ConfigError, match=rf"backbone.width={width} .* heads of {name}"):
            override(Config(), values)


@pytest.mark.parametrize("stride", [4, 5])
def test_a_stride_of_the_clip_or_beyond_is_refused(stride: int) -> None:
    message = rf"inference.stride={stride} leaves clips without a shared frame .*clip_length=4"
    with pytest.raises(ConfigError, match=message):
        override(Config(), {"inference.clip_length": 4, "inference.stride": stride})
    assert override(Config(), {"inference.clip_length": 4, "inference.stride": 3})


@pytest.mark.parametrize(
    ("values", "steps"),
    [
        ({}, [(1, -1, 2, -2)] * 4),
        ({"tokens": 0}, [()] * 4),
        ({"shift": False}, [()] * 4),
        ({"shift_steps": ()}, [()] * 4),
        ({"stages": (3, 4)}, [(), (), (1, -1, 2, -2), (1, -1, 2, -2)]),
        ({"shift_steps": ((1,), (), (2, -2), ())}, [(1,), (), (2, -2), ()]),
    ],
)
def test_steps_of_each_stage(values: dict[str, object], steps: list[tuple[int, ...]]) -> None:
    messenger = MessengerConfig.model_validate(values)
    assert [messenger.steps_of_stage(stage) for stage in (1, 2, 3, 4)] == steps


def test_a_compiler_recomputes_as_it_sees_fit() -> None:
    with pytest.raises(ConfigError, match=r"train.compile=true chooses itself"):
        override(Config(), {"train.compile": True, "train.checkpointing": True})


def test_a_config_is_a_value() -> None:
    config = preset("tiny")
    with pytest.raises(ValueError, match="frozen"):
        config.head.queries = 5  # type: ignore[misc]
    assert preset("tiny") == config
    assert hash(preset("tiny")) == hash(config)
    assert override(config, {"head.queries": 11}) != config
    assert config.head.queries == 10


# --- round trips -----------------------------------------------------------------------------


EVIDENCE = [f"data.synthetic.{dial}" for dial in ("hidden", "motion_classes", "blinking", "light")]


@st.composite
def configs(draw: st.DrawFn) -> Config:
    chosen = draw(st.sets(st.sampled_from(list(SWITCHES))))
    # what classes are, or how they are hidden, is said by one group of dials or by the other
    chosen -= set(draw(st.sampled_from([EVIDENCE[:2], EVIDENCE[2:]])))
    chosen -= {draw(st.sampled_from(["train.compile", "train.checkpointing"]))}
    values = {name: SWITCHES[name] for name in chosen}
    for name in chosen & NEEDS.keys():
        values |= NEEDS[name]
    return override(Config(), values)


@settings(max_examples=50)
@given(configs())
def test_plain_values_give_the_config_back(config: Config) -> None:
    plain = config.to_dict()
    assert config_from_dict(plain) == config
    assert config_from_dict(json.loads(json.dumps(plain))) == config


@settings(max_examples=50)
@given(configs())
def test_flattened_values_give_the_config_back(config: Config) -> None:
    flat = flatten(config.to_dict())
    assert list(flat) == field_names()
    assert override(Config(), flat) == config


@settings(max_examples=50)
@given(configs(), st.sampled_from(list(SWITCHES)))
def test_an_assignment_as_typed_equals_the_value(config: Config, name: str) -> None:
    typed = parse_assignments([f"{name}={json.dumps(SWITCHES[name])}"])
    if name in (*EVIDENCE, "train.compile", "train.checkpointing"):
        config = Config()
    if name in NEEDS or name == "messenger.tokens":
        config = override(Config(), NEEDS.get(name, NO_MESSENGERS))
    assert override(config, typed) == override(config, {name: SWITCHES[name]})


# --- names -----------------------------------------------------------------------------------


def test_an_unknown_field_gets_a_hint_and_its_section() -> None:
    with pytest.raises(ConfigError) as error:
        override(Config(), {"head.querys": 10})
    message = str(error.value)
    assert "unknown field head.querys (did you mean head.queries?)" in message
    assert "head.kind" in message
    assert "train.lr" not in message


def test_an_unknown_section_lists_every_field() -> None:
    with pytest.raises(ConfigError) as error:
        override(Config(), {"bogus": 1})
    assert all(name in str(error.value) for name in field_names())


def test_all_unknown_fields_are_told_at_once() -> None:
    with pytest.raises(ConfigError, match=r"(?s)head.a.*train.b"):
        override(Config(), {"head.a": 1, "train.b": 2, "head.kind": "stqi"})


def test_a_section_is_not_a_field() -> None:
    with pytest.raises(ConfigError, match="unknown field messenger "):
        override(Config(), {"messenger": 0})


def test_unknown_fields_of_a_dict_are_refused() -> None:
    with pytest.raises(ConfigError, match=r"unknown field head.knd \(did you mean head.kind"):
        config_from_dict({"head": {"knd": "stqi"}})
    with pytest.raises(ConfigError, match="head=3"):
        config_from_dict({"head": 3})
    with pytest.raises(ConfigError, match="config="):
        config_from_dict([1])  # type: ignore[arg-type]


def test_kinds_have_their_plural() -> None:
    assert unknown("axis", "x", ["y"]) == "unknown axis x; valid axes: y"
    assert "(did you mean tiny?)" in unknown("scale", "tinny", ["tiny", "full"])


def test_flatten_refuses_a_field_in_two_forms() -> None:
    with pytest.raises(ConfigError, match=r"head.kind is given twice"):
        flatten({"head": {"kind": "stqi"}, "head.kind": "stqi"})
    with pytest.raises(ConfigError, match="field names are text"):
        flatten({"head": {1: 2}})


@pytest.mark.parametrize(
    ("item", "value"),
    [
        ("messenger.tokens=16", 16),
        ("train.lr=1e-3", 0.001),
        ("messenger.shift=false", False),
        ("messenger.shift_steps=[1, -1]", [1, -1]),
        ("backbone.width=null", None),
        ("data.root=a=b", "a=b"),
        ("data.root=", None),
    ],
)
def test_assignments(item: str, value: object) -> None:
    assert list(parse_assignments([item]).values()) == [value]


@pytest.mark.parametrize(
    ("items", "message"),
    [
        (["head.kind"], "expected field=value"),
        (["=1"], "expected field=value"),
        (["seed=1", "seed=2"], "seed is given twice"),
        (["head.kind=[1"], r"head.kind=\[1: line 1"),
    ],
)
def test_bad_assignments(items: list[str], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        parse_assignments(items)


def test_off_and_on_are_booleans_where_a_boolean_is_wanted() -> None:
    assert preset("tiny", parse_assignments(["messenger.shift=off"])).messenger.shift is False


def test_faults_name_field_and_section() -> None:
    with pytest.raises(ConfigError) as error:
        preset("tiny", {"messenger.stages": [1, 3], "head.queries": 0})
    assert error.value.__cause__ is not None
    found = [name for name, _ in field_faults(error.value.__cause__)]  # type: ignore[arg-type]
    assert found == ["messenger", "head.queries"]


# --- presets ---------------------------------------------------------------------------------


@pytest.mark.parametrize("name", PRESETS)
def test_presets_are_valid_and_differ(name: str) -> None:
    assert preset(name) == config_from_dict(preset(name).to_dict())
    assert [preset(other) for other in PRESETS].count(preset(name)) == 1


def test_the_default_is_the_published_model() -> None:
    assert preset("tevit_msgshift") == Config()


def test_published_settings() -> None:
    config, r50, swin = map(preset, ("tevit_msgshift", "tevit_r50", "tevit_swin_l"))
    assert (config.backbone.name, config.messenger.tokens) == ("pvt_v2_b1", 32)
    assert (config.head.queries, config.head.stages, config.data.clip_length) == (100, 6, 5)
    assert (config.train.steps, config.train.milestones, config.train.warmup) == (
        9200,
        (6100, 8500),
        770,
    )
    assert (r50.messenger.tokens, r50.backbone.frozen_stages, r50.backbone.norm_eval) == (
        0,
        1,
        True,
    )
    assert (swin.head.queries, swin.messenger.tokens) == (300, 0)
    assert swin.data.train_sizes[0] == (1333, 320)
    assert swin.data.train_sizes[-1] == (1333, 800)
    assert swin.data.train_resize == "choice"


def test_every_backbone_has_a_start_of_images_by_the_same_recipe() -> None:
    starts = {n: preset(n) for n in PRESETS if n.startswith("queryinst_coco")}
    names = [config.backbone.name for config in starts.values()]
    assert sorted(names) == sorted(n for t in (PVTName, ResNetName, SwinName) for n in get_args(t))
    recipe = preset("queryinst_coco")
    for name, config in starts.items():
        assert config.data == recipe.data and config.train.steps == recipe.train.steps
        assert config.head.kind == "per_frame" and config.messenger.tokens == 0
        clipped = 1.0 if "swin" in name else 0.1
        assert config.train == recipe.train.model_copy(update={"clip_norm": clipped})
    assert starts["queryinst_coco_r50"].backbone == preset("tevit_r50").backbone
    assert starts["queryinst_coco_swin_l"].backbone == preset("tevit_swin_l").backbone


def test_unknown_preset_lists_the_known() -> None:
    with pytest.raises(ConfigError) as error:
        preset("tinny")
    assert all(name in str(error.value) for name in PRESETS)


def test_preset_takes_overrides() -> None:
    assert preset("tiny", {"head.kind": "per_frame"}).head.kind == "per_frame"
    assert preset("tiny").head.kind == "stqi"
