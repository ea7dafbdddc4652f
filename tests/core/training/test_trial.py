from __future__ import annotations

import pytest
import torch

from core import preset
from core.config.overrides import override
from core.data.clips import ClipDataset
from core.errors import UserError
from core.training import trial
from core.training.trial import try_step
from core.training.world import World

SMALL = {
    "data.synthetic.videos": 4,
    "data.synthetic.frames": 3,
    "data.synthetic.size": [32, 48],
    "data.clip_length": 2,
    "data.train_sizes": [[96, 64], [48, 32]],
    "train.clips": 2,
    "head.queries": 4,
    "head.stages": 1,
}


@pytest.fixture
def passes(monkeypatch, tmp_path):
    """Frames and targets of each pass, which is not taken."""
    monkeypatch.setenv("TEVIT_CACHE", str(tmp_path))
    seen = []
    monkeypatch.setattr(trial, "_forward_backward", lambda *args: seen.append(args[1]))
    return seen


def config(**values):
    return override(preset("tiny"), SMALL | {k.replace("__", "."): v for k, v in values.items()})


@pytest.mark.parametrize("resize", ["range", "choice"])
def test_the_step_that_is_tried_is_as_large_as_training_ever_makes_one(passes, resize):
    assert try_step(config(data__train_resize=resize)) == (64, 96)
    ((frames, targets),) = passes
    assert frames.shape == (2, 2, 3, 64, 96)
    assert [target.masks.shape[-2:] for target in targets] == [(64, 96)] * 2


def test_a_range_is_as_large_as_its_longest_long_and_its_longest_short_side(passes):
    sizes = [[96, 32], [64, 64]]
    assert try_step(config(data__train_sizes=sizes, data__train_resize="range")) == (64, 96)


def test_clips_are_shared_out_among_processes_and_forward_passes(passes):
    shared = config(train__clips=8, train__accumulate=2)
    try_step(shared, World(rank=0, size=2))
    ((frames, _),) = passes
    assert len(frames) == 2


@pytest.mark.parametrize("error", [MemoryError(), torch.OutOfMemoryError("CUDA out of memory")])
def test_too_little_memory_is_said_with_clips_frames_and_size(passes, monkeypatch, error):
    def fail(*args):
        raise error

    monkeypatch.setattr(trial, "_forward_backward", fail)
    said = "out of memory in one forward and backward pass of 2 clips of 2 frames of 96x64 on cpu"
    with pytest.raises(UserError, match=said) as caught:
        try_step(config())
    assert caught.value.__cause__ is error


def test_a_frame_that_cannot_be_read_is_said_before_training(passes, monkeypatch):
    def broken(*args):
        raise UserError("frame 3 cannot be read")

    monkeypatch.setattr(ClipDataset, "__getitem__", broken)
    with pytest.raises(UserError, match="frame 3"):
        try_step(config())
    assert passes == []


def test_a_real_step_runs_back_through_the_model(monkeypatch, tmp_path):
    monkeypatch.setenv("TEVIT_CACHE", str(tmp_path))
    grown = []
    original = torch.Tensor.backward
    monkeypatch.setattr(
        torch.Tensor, "backward", lambda loss: grown.append(loss.item()) or original(loss)
    )
    assert try_step(config()) == (64, 96)
    assert len(grown) == 1
    assert grown[0] > 0
