"""What optimisation can be switched to: update rules, averages, recomputing, compiling."""

from __future__ import annotations

import shutil

import pytest
import torch
from torch import nn

from core.config.overrides import ConfigError
from core.config.schema import TrainConfig
from core.errors import UserError
from core.inference.predict import load_model
from core.model.tevit import build_model
from core.training.average import WeightAverage
from core.training.checkpoint import read_file
from core.training.schedule import make_optimizer, set_lr
from core.training.setup import prepare
from core.training.train import TrainingRun, train
from core.training.world import World
from tests.core.training.runs import losses, small

RESNET = {"messenger__tokens": 0, "backbone__name": "resnet50"}
SWIN = {"messenger__tokens": 0, "backbone__name": "swin_t", "backbone__width": 24}

pytestmark = pytest.mark.usefixtures("one_thread", "own_cache")


def trained(folder, **overrides):
    """The checkpoint of a whole run, and the numbers on the way to it."""
    result = train(small(**overrides), folder, progress=False)
    return read_file(result.checkpoint), losses(folder)


# --- update rules --------------------------------------------------------------------------------


def options(model, train):
    """Rate multiplier and decay of every parameter, by name."""
    of = {
        id(parameter): (group["multiplier"], group["weight_decay"])
        for group in make_optimizer(model, train).param_groups
        for parameter in group["params"]
    }
    return {name: of[id(p)] for name, p in model.named_parameters() if id(p) in of}


def test_norms_and_biases_decay_or_not():
    model = build_model(small(head__kind="relative_attention"))
    plain = TrainConfig(weight_decay=0.5)
    assert {decay for _, decay in options(model, plain).values()} == {0.5}
    found = options(model, plain.model_copy(update={"decay_norms": False}))
    spared = {name for name, (_, decay) in found.items() if decay == 0}
    assert all(found[name][1] == 0.5 for name in found.keys() - spared)
    shapes = dict(model.named_parameters())
    assert spared == {n for n in found if shapes[n].dim() == 1 or n.endswith("time_bias")}
    assert "backbone.msg_tokens" not in spared and "backbone.layers.0.0.norm.weight" in spared


@pytest.mark.parametrize(
    ("overrides", "expected"),
    [
        (
            {},  # 8 blocks, 2 a stage
            {"msg_tokens": 0, "layers.0.0.projection.weight": 0, "layers.0.1.0.norm1.weight": 1,
             "layers.0.1.1.norm1.weight": 2, "layers.0.2.weight": 2,
             "layers.1.0.projection.weight": 2, "layers.3.1.1.ffn.layers.4.bias": 8,
             "layers.3.2.weight": 8},
        ),
        (
            RESNET,  # 3, 4, 6 and 3 blocks
            {"conv1.weight": 0, "bn1.bias": 0, "layer1.0.conv1.weight": 1,
             "layer2.0.downsample.0.weight": 4, "layer4.2.bn3.weight": 16},
        ),
        (
            {**SWIN, "backbone__temporal": "attention"},  # 2, 2, 6 and 2 blocks
            {"patch_embed.norm.bias": 0, "stages.0.blocks.1.norm1.weight": 2,
             "stages.0.downsample.norm.weight": 2, "stages.3.blocks.1.norm2.bias": 12,
             "norm0.weight": 12, "mixer.norm.weight": 12},
        ),
    ],
    ids=["pvt", "resnet", "swin"],
)  # fmt: skip
def test_the_rate_falls_from_block_to_block_towards_the_image(overrides, expected):
    model = build_model(small(**overrides))
    found = options(model, TrainConfig(layer_decay=0.5, backbone_lr=0.1))
    last = max(expected.values())
    for name, layer in expected.items():
        assert found[f"backbone.{name}"][0] == pytest.approx(0.1 * 0.5 ** (last + 1 - layer)), name
    assert found["neck.fpn_convs.0.conv.weight"][0] == 1


def test_sgd_moves_by_gradient_and_momentum():
    train = TrainConfig(
        optimizer="sgd", momentum=0.5, lr=0.1, backbone_lr=1, warmup=0, weight_decay=0
    )
    model = build_model(small())
    optimizer = make_optimizer(model, train)
    set_lr(optimizer, 0, train)
    before = {n: p.detach().clone() for n, p in model.named_parameters()}
    for _ in range(2):
        for parameter in model.parameters():
            parameter.grad = torch.ones_like(parameter)
        optimizer.step()
    for name, parameter in model.named_parameters():
        torch.testing.assert_close(before[name] - parameter, torch.full_like(parameter, 0.25))


# --- the average of weights ----------------------------------------------------------------------


def test_the_average_follows_its_formula_and_steps_in_for_the_weights():
    model = nn.BatchNorm1d(2)
    average = WeightAverage(model, decay=0.6)
    expected = torch.ones(2)
    for step in range(1, 30):
        with torch.no_grad():
            model.weight.fill_(float(step))
        model.num_batches_tracked.fill_(step)
        average.update(step)
        decay = min(0.6, (1 + step) / (10 + step))
        expected = decay * expected + (1 - decay) * step
        torch.testing.assert_close(average.state["weight"], expected)
    assert average.state["num_batches_tracked"] == 29
    with average.in_place():
        torch.testing.assert_close(model.weight.detach(), expected)
    assert model.weight.tolist() == [29, 29]
    torch.testing.assert_close(average.state["weight"], expected)


def test_a_stopped_and_resumed_run_is_the_same_to_the_last_bit(tmp_path):
    """With everything that has a state of its own: average, momentum, batch norm, drop path."""
    overrides = {
        "train__ema": 0.9, "train__optimizer": "sgd", "train__schedule": "wsd", "train__lr": 1e-3,
        "train__layer_decay": 0.9, "train__decay_norms": False, "head__bce_weight": 2.0,
        **RESNET,
    }  # fmt: skip
    whole, numbers = trained(tmp_path / "whole", **overrides)
    polls = iter(range(1, 100))
    first = train(
        small(**overrides), tmp_path / "cut", should_stop=lambda: next(polls) == 3, progress=False
    )
    assert not first.finished
    resumed, resumed_numbers = trained(tmp_path / "cut", **overrides)
    assert resumed_numbers == numbers
    for part in ("state_dict", "ema"):
        assert resumed[part].keys() == whole[part].keys()
        assert all(resumed[part][name].equal(value) for name, value in whole[part].items())
    assert any(not whole["ema"][n].equal(v) for n, v in whole["state_dict"].items())


def test_predictions_are_made_from_the_weights_or_from_their_average(tmp_path):
    contents, _ = trained(tmp_path, train__ema=0.5, train__steps=2)
    last = tmp_path / "checkpoints" / "last.pt"
    name = "neck.fpn_convs.0.conv.weight"
    for weights, part in (("raw", "state_dict"), ("ema", "ema")):
        config = small(train__ema=0.5, inference__weights=weights)
        assert load_model(config, last).state_dict()[name].equal(contents[part][name])
    del contents["ema"]
    torch.save(contents, last)
    with pytest.raises(UserError, match=r"last.pt: holds no average .*inference.weights=raw"):
        load_model(config, last)


def test_an_average_that_is_not_kept_is_refused():
    with pytest.raises(ConfigError, match=r"inference.weights=ema, but with train.ema=0"):
        small(inference__weights="ema")


# --- recomputing and compiling -------------------------------------------------------------------


@pytest.mark.parametrize("overrides", [{}, RESNET, SWIN], ids=["pvt", "resnet", "swin"])
def test_recomputing_activations_changes_no_number(tmp_path, overrides):
    plain, numbers = trained(tmp_path / "plain", train__steps=3, **overrides)
    again, recomputed = trained(
        tmp_path / "again", train__steps=3, train__checkpointing=True, **overrides
    )
    assert recomputed == numbers
    assert again["state_dict"].keys() == plain["state_dict"].keys()
    assert all(again["state_dict"][n].equal(v) for n, v in plain["state_dict"].items())


def test_recomputing_runs_blocks_and_heads_twice(tmp_path):
    run = TrainingRun(small(train__checkpointing=True), tmp_path, World())
    calls = []
    parts = (run.model.backbone.layers[0][1][0].attn, run.model.roi_head.bbox_head[0].fc_cls)
    for part in (*parts, run.model.neck):
        part.register_forward_hook(lambda module, *_: calls.append(module))
    run._forward_backward(next(run.batches())[0], last=True)
    assert [calls.count(part) for part in (*parts, run.model.neck)] == [2, 2, 1]


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("c++") is None, reason="needs a C++ compiler")
def test_a_compiled_model_trains_as_the_plain_one(tmp_path):
    plain, numbers = trained(tmp_path / "plain", train__steps=3)
    compiled, nearly = trained(tmp_path / "compiled", train__steps=3, train__compile=True)
    assert compiled["state_dict"].keys() == plain["state_dict"].keys()
    assert [n[1] for n in nearly] == pytest.approx([n[1] for n in numbers], rel=1e-3)


def test_without_a_compiler_nothing_begins(monkeypatch):
    def compile_nothing(*_, **__):
        raise RuntimeError("No working C++ compiler found\nand so on")

    monkeypatch.setattr(torch, "compile", compile_nothing)
    message = r"train.compile=true, but .*\(No working C\+\+ compiler found\)"
    with pytest.raises(UserError, match=message):
        prepare(build_model(small()), TrainConfig(compile=True), torch.device("cpu"))
