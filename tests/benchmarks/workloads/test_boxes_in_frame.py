"""Initial weights that are measured have boxes as a trained model has."""

import pytest
import torch
from torch import nn

from benchmarks.workloads.boxes_in_frame import SIDES, put_boxes_in_frame
from benchmarks.workloads.tevit import tevit_workload
from benchmarks.workloads.workload import ClipShape
from core import build_model, preset

SHAPE = ClipShape(2, 64, 96, video_height=64, video_width=96)


@pytest.mark.parametrize("kind", ["stqi", "per_frame"])
def test_measured_initial_weights_have_boxes_inside_the_frame(kind):
    config = preset("tiny", {"head.kind": kind})
    workload = tevit_workload(config, SHAPE, torch.device("cpu"), name="tiny")
    (found,) = workload.detect()
    low, high = found.boxes[..., :2], found.boxes[..., 2:]
    size = torch.tensor([96.0, 64.0])
    assert (low >= -0.01).all()
    assert (high <= size + 0.01).all()
    shares = (high - low) / size
    assert shares.min() >= SIDES[0] - 1e-3
    assert shares.max() <= SIDES[1] + 1e-3
    assert shares.std() > 0.05
    assert workload.facts["weights"] == "initial, seed 0, boxes inside the frame"


def test_the_same_boxes_whatever_the_seed_and_the_model():
    models = [build_model(preset("tiny", {"head.stages": stages})) for stages in (2, 3)]
    assert all(put_boxes_in_frame(model) for model in models)
    first, second = (model.rpn_head.init_proposal_bboxes.weight for model in models)
    assert torch.equal(first, second)


def test_other_models_are_left_as_they_are():
    model = nn.Linear(2, 3)
    before = model.weight.clone()
    assert not put_boxes_in_frame(model)
    assert torch.equal(model.weight, before)
