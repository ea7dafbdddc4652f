"""mmdet models without mmdet: what is refused and what is made of a two-stage model."""

import numpy as np
import pytest
import torch
from torch import nn

from benchmarks.workloads import mmdet
from benchmarks.workloads.mmdet import (
    find_config,
    image_meta,
    mmdet_parts,
    mmdet_workload,
    without_pasting,
)
from benchmarks.workloads.workload import ClipShape
from core.errors import UserError


@pytest.fixture
def wheel(tmp_path, monkeypatch):
    """A folder of shipped configurations."""
    monkeypatch.setattr(mmdet, "mmdet_available", lambda: True)
    monkeypatch.setattr(mmdet, "shipped_configs", lambda: tmp_path)
    for name in ("queryinst/queryinst_r50_fpn_1x_coco.py", "queryinst/queryinst_r101.py"):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text("")
    return tmp_path


@pytest.mark.parametrize(
    "name",
    ["queryinst/queryinst_r50_fpn_1x_coco.py", "queryinst_r50_fpn_1x_coco", "queryinst_r50"],
)
def test_shipped_configurations_by_name(wheel, name):
    assert find_config(name) == wheel / "queryinst/queryinst_r50_fpn_1x_coco.py"


def test_a_file_of_ones_own_needs_no_shipped_one(tmp_path, monkeypatch):
    monkeypatch.setattr(mmdet, "mmdet_available", lambda: False)
    path = tmp_path / "mine.py"
    path.write_text("")
    assert find_config(str(path)) == path


def test_an_unclear_name_lists_what_it_could_be(wheel):
    with pytest.raises(UserError, match=r"any of: queryinst/queryinst_r101.py, queryinst/query"):
        find_config("queryinst")


def test_a_name_that_nothing_has(wheel):
    with pytest.raises(UserError, match="ships its own in"):
        find_config("nosuch")


def test_without_mmdet_the_message_says_how_to_get_it(monkeypatch, tmp_path):
    monkeypatch.setattr(mmdet, "mmdet_available", lambda: False)
    with pytest.raises(UserError, match=r"tools/install_mmdet.sh"):
        find_config("queryinst_r50")
    with pytest.raises(UserError, match=r"tools/install_mmdet.sh"):
        mmdet_workload(tmp_path, ClipShape(1, 32, 32), torch.device("cpu"), name="peer")


def test_an_image_is_described_as_our_frames_are():
    meta = image_meta(ClipShape(1, 384, 640))
    assert meta["img_shape"] == (360, 640, 3) and meta["pad_shape"] == (384, 640, 3)
    assert meta["ori_shape"] == (720, 1280, 3)
    np.testing.assert_allclose(meta["scale_factor"], [0.5] * 4)


class Head(nn.Module):
    def get_seg_masks(self, mask_pred, *args, **kwargs):
        return "pasted"


class TwoStage(nn.Module):
    def __init__(self, stages):
        super().__init__()
        self.backbone, self.neck = nn.Linear(1, 1), nn.Linear(1, 1)
        self.roi_head = nn.Module()
        cascade = stages > 1
        self.roi_head.bbox_head = nn.ModuleList(Head() for _ in range(2)) if cascade else Head()
        self.roi_head.mask_head = nn.ModuleList(Head() for _ in range(2)) if cascade else Head()


def test_parts_of_a_cascade():
    parts = mmdet_parts(TwoStage(2))
    assert list(parts) == ["backbone", "neck", "box_head.0", "box_head.1", "mask_head"]
    assert parts["mask_head"] == ["model.roi_head.mask_head.0", "model.roi_head.mask_head.1"]


def test_parts_of_a_single_stage_and_of_proposals():
    model = TwoStage(1)
    model.rpn_head = nn.Linear(1, 1)
    parts = mmdet_parts(model)
    assert parts["box_head"] == ["model.roi_head.bbox_head"]
    assert parts["rpn_head"] == ["model.rpn_head"]


def test_pasting_is_left_out_for_a_while_only():
    model = TwoStage(2)
    heads = [m for m in model.modules() if isinstance(m, Head)]
    with pytest.raises(ZeroDivisionError), without_pasting(model):
        assert [head.get_seg_masks("logits", 1, rescale=True) for head in heads] == ["logits"] * 4
        raise ZeroDivisionError
    assert [head.get_seg_masks("logits") for head in heads] == ["pasted"] * 4
