"""Our modules against mmdet's, and mmdet's models through our measurements."""

import copy

import pytest
import torch

from benchmarks.request import Request
from benchmarks.workloads.boxes_in_frame import put_boxes_in_frame
from benchmarks.workloads.mmdet import mmdet_available
from benchmarks.workloads.workload import ClipShape
from core import build_model, preset
from core.config.schema import BackboneConfig, HeadConfig, MessengerConfig
from core.model.backbones.pvt_v2 import PVTv2
from core.model.backbones.resnet import ResNet
from core.model.backbones.swin import Swin
from core.model.box_head import BoxHead
from core.model.mask_head import MaskHead
from core.model.neck import FPN
from core.model.structures import ClipTargets

pytestmark = [
    pytest.mark.mmdet,
    pytest.mark.skipif(not mmdet_available(), reason="needs the extra mmdet"),
]
QUERYINST = "queryinst/queryinst_r50_fpn_1x_coco.py"
CLOSE = {"rtol": 1e-4, "atol": 1e-4}


@pytest.fixture(autouse=True)
def seeded():
    torch.manual_seed(0)


def randomise(module):
    """Weights and statistics that no initialisation makes trivial."""
    for name, value in module.state_dict().items():
        if value.is_floating_point():
            noise = torch.randn_like(value)
            if name.endswith("running_var"):
                value.copy_(noise.abs() + 0.5)
            elif value.dim() > 1:
                value.copy_(noise / value[0].numel() ** 0.5)
            else:
                value.copy_(0.1 * noise + (1.0 if "weight" in name else 0.0))
    return module.eval()


def pair(ours, theirs):
    """The same weights in both, every name accounted for."""
    randomise(theirs)
    ours.load_state_dict(theirs.state_dict(), strict=True)
    return ours.eval(), theirs


@torch.no_grad()
def assert_same_features(ours, theirs, height=96, width=160):
    frames = torch.randn(1, 2, 3, height, width)
    for mine, other in zip(ours(frames), theirs(frames[0]), strict=True):
        torch.testing.assert_close(mine, other, **CLOSE)


def test_resnet():
    from mmdet.models import ResNet as Peer

    ours = ResNet(BackboneConfig(name="resnet50"))
    assert_same_features(*pair(ours, Peer(50, style="pytorch")))


@pytest.mark.parametrize(
    ("name", "depths", "ratios"),
    [("pvt_v2_b1", [2, 2, 2, 2], [8, 8, 4, 4]), ("pvt_v2_b2", [3, 4, 6, 3], [8, 8, 4, 4])],
)
def test_pvt_v2(name, depths, ratios):
    from mmdet.models import PyramidVisionTransformerV2 as Peer

    ours = PVTv2(BackboneConfig(name=name), MessengerConfig(tokens=0))
    theirs = Peer(embed_dims=64, num_layers=depths, mlp_ratios=ratios)
    assert_same_features(*pair(ours, theirs))


@pytest.mark.parametrize("size", [(96, 160), (84, 112)])
def test_swin(size):
    """Also at a size that needs padding to whole windows in every stage."""
    from mmdet.models import SwinTransformer as Peer

    ours = Swin(BackboneConfig(name="swin_t"))
    theirs = Peer(embed_dims=96, depths=[2, 2, 6, 2], num_heads=[3, 6, 12, 24])
    # an index computed from the window alone, which must not be noise
    index = {k: v.clone() for k, v in theirs.state_dict().items() if k.endswith("index")}
    ours, theirs = pair(ours, theirs)
    for name, value in index.items():
        assert torch.equal(ours.state_dict()[name], value)
    assert_same_features(ours, theirs, *size)


@torch.no_grad()
def test_fpn():
    from mmdet.models import FPN as Peer

    channels = [64, 128, 320, 512]
    ours, theirs = pair(FPN(channels, 256), Peer(channels, 256, num_outs=4))
    features = [
        torch.randn(2, c, 96 // s, 160 // s) for c, s in zip(channels, (4, 8, 16, 32), strict=True)
    ]
    for mine, other in zip(ours(features), theirs(features), strict=True):
        torch.testing.assert_close(mine, other, **CLOSE)


def queryinst():
    from benchmarks.workloads.mmdet import build_detector, find_config, read_config

    return read_config(find_config(QUERYINST)), build_detector


def heads():
    from mmdet.models import build_head

    config, _ = queryinst()
    roi = config.model.roi_head
    return [build_head(copy.deepcopy(roi[name][0])) for name in ("bbox_head", "mask_head")]


@torch.no_grad()
def test_box_head_is_the_dii_head():
    ours, theirs = pair(BoxHead(HeadConfig(kind="per_frame", classes=80)), heads()[0])
    queries, pooled = torch.randn(2, 10, 256), torch.randn(20, 256, 7, 7)
    logits, deltas, features, attention = theirs(pooled, queries)
    out = ours(queries[None], pooled.flatten(2).transpose(1, 2))
    torch.testing.assert_close(out.logits[0], logits, **CLOSE)
    torch.testing.assert_close(out.deltas[0], deltas, **CLOSE)
    torch.testing.assert_close(out.queries[0], features.view(2, 10, 256), **CLOSE)
    torch.testing.assert_close(out.attention_features[0], attention, **CLOSE)


@torch.no_grad()
def test_dynamic_mask_head():
    ours, theirs = pair(MaskHead(HeadConfig(classes=80)), heads()[1])
    features, pooled = torch.randn(5, 256), torch.randn(5, 256, 14, 14)
    expected = theirs(pooled, features)
    torch.testing.assert_close(ours(features, pooled.flatten(2).transpose(1, 2)), expected, **CLOSE)


OURS = {
    "head.kind": "per_frame", "head.classes": 80, "head.stages": 6, "inference.top_k": 100
}  # fmt: skip


@pytest.mark.slow
@torch.no_grad()
def test_queryinst_is_our_per_frame_model():
    """Same weights, same image, same boxes, scores and mask logits, RoIAlign included."""
    config, build = queryinst()
    model = build_model(preset("tevit_r50", OURS)).eval()
    peer = build(config).eval()
    put_boxes_in_frame(peer)
    for head in peer.roi_head.bbox_head:
        head.fc_reg.weight.normal_(std=0.02)  # so that every stage moves them, within the frame
    model.load_state_dict(peer.state_dict(), strict=True)
    images = torch.randn(1, 3, 96, 160)
    meta = {
        "img_shape": (96, 160, 3), "ori_shape": (96, 160, 3), "pad_shape": (96, 160, 3),
        "scale_factor": 1.0, "batch_input_shape": (96, 160),
    }  # fmt: skip
    boxes = peer.rpn_head.simple_test_rpn(peer.extract_feat(images), [meta])[0]
    peer.roi_head.mask_head[-1].get_seg_masks = lambda logits, boxes, labels, *_: (
        logits[:, 0], boxes, labels,
    )  # fmt: skip
    ((of_class, (mask_logits, mask_boxes, labels)),) = peer.roi_head.simple_test(
        peer.extract_feat(images), boxes, peer.rpn_head.init_proposal_features.weight[None],
        [meta], imgs_whwh=None,
    )  # fmt: skip
    theirs = torch.cat([torch.from_numpy(found) for found in of_class])
    order = theirs[:, 4].argsort(descending=True)
    (ours,) = model.detect(images[None])
    torch.testing.assert_close(ours.scores, theirs[order, 4], rtol=1e-3, atol=1e-5)
    # the best, whose order does not hang on the last digit
    best = theirs[order[:10], :4]
    torch.testing.assert_close(ours.boxes[0, :10], best, rtol=1e-3, atol=0.05)
    for box, label, logits in zip(
        ours.boxes[0, :10], ours.labels[:10], ours.mask_logits[0, :10], strict=True
    ):
        distance = (mask_boxes - box).abs().sum(1).where(labels == label, torch.inf)
        assert distance.min() < 0.2
        torch.testing.assert_close(logits, mask_logits[distance.argmin()], rtol=1e-3, atol=1e-3)


def two_clips():
    """Frames and true instances of two clips of one frame; one of its objects is out of sight."""
    masks = torch.zeros(2, 1, 3, 96, 160, dtype=torch.bool)
    boxes = torch.zeros(2, 1, 3, 4)
    for clip, of_clip in enumerate([[(10, 20, 50, 70), (80, 8, 150, 60)], [(30, 30, 64, 90)]]):
        for k, (left, top, right, bottom) in enumerate(of_clip):
            masks[clip, 0, k, top:bottom, left:right] = True
            boxes[clip, 0, k] = torch.tensor([left, top, right, bottom])
    labels = torch.tensor([3, 41, 79])
    targets = [
        ClipTargets(labels, boxes[clip], masks[clip], masks[clip].flatten(2).any(2), (90, 160))
        for clip in range(2)
    ]
    return torch.randn(2, 1, 3, 96, 160), targets


@pytest.mark.slow
def test_queryinsts_losses_and_gradients_are_ours():
    """Same weights, same clips of one frame: matching, losses and what they change are the same."""
    from benchmarks.workloads.mmdet import MmdetTraining, find_config

    peer = MmdetTraining(find_config(QUERYINST)).train()
    put_boxes_in_frame(peer.model)
    with torch.no_grad():
        for head in peer.model.roi_head.bbox_head:
            head.fc_reg.weight.normal_(std=0.02)
    model = build_model(preset("queryinst_coco_r50")).train()
    model.load_state_dict(peer.model.state_dict(), strict=True)
    frames, targets = two_clips()
    ours, theirs = model(frames, targets), peer(frames, targets)
    assert ours.keys() == theirs.keys() and len(ours) == 6 * 5
    for name, value in theirs.items():
        torch.testing.assert_close(ours[name], value.view(()), rtol=1e-5, atol=1e-6, msg=name)
    for losses in (ours, theirs):
        torch.stack([v.view(()) for n, v in losses.items() if "loss" in n]).sum().backward()
    trained = dict(peer.model.named_parameters())
    for name, parameter in model.named_parameters():
        assert parameter.requires_grad == trained[name].requires_grad, name
        if parameter.requires_grad:
            difference = (parameter.grad - trained[name].grad).norm()
            assert difference <= 1e-2 * trained[name].grad.norm() + 1e-6, name


@pytest.mark.slow
def test_a_training_step_of_queryinst_is_measured_beside_ours():
    from benchmarks.speed.isolated import SpeedJob, do_job
    from benchmarks.speed.timing import Sampling

    switches = ["data.root=synthetic", "data.train_sizes=[[160,96]]", "train.clips=2"]
    request = Request(["queryinst_coco_r50", *switches], ["queryinst_r50_fpn_1x_coco"])
    ours, theirs = do_job(SpeedJob("train", request.workloads(), "cpu", Sampling(1, 1, 0, 1)))
    assert theirs["parameters"] == ours["parameters"]
    assert theirs["achieved"]["multiply_adds"] == pytest.approx(
        ours["achieved"]["multiply_adds"], rel=0.05
    )


SHAPE = ClipShape(2, 96, 160, video_height=96, video_width=160)


@pytest.fixture(scope="module")
def queryinst_workload():
    from benchmarks.workloads.mmdet import find_config, mmdet_workload

    return mmdet_workload(find_config(QUERYINST), SHAPE, torch.device("cpu"), name="queryinst")


@pytest.mark.slow
def test_both_counters_agree_on_queryinst_and_with_our_model(queryinst_workload):
    from benchmarks.flops.record import flops_record, workload_record

    theirs = workload_record(queryinst_workload)
    ours = flops_record(preset("tevit_r50", OURS), name="ours", shape=SHAPE)
    assert theirs["figures"]["parameters"] == ours["figures"]["parameters"]
    for part in ("backbone", "neck", *(f"box_head.{k}" for k in range(6)), "mask_head"):
        assert theirs["by_module"][part] == pytest.approx(ours["by_module"][part], rel=0.005), part
    # they pool from every level and put the results together: the same products
    assert theirs["by_module"]["roi_align"] == pytest.approx(
        ours["by_module"]["roi_align"], rel=0.005
    )


@pytest.mark.slow
def test_every_scope_of_an_mmdet_model_runs(queryinst_workload):
    boxes, masks = queryinst_workload.detect()[0]
    assert len(boxes) == 80
    boxes, masks = queryinst_workload.segment()[0]
    shapes = {mask.shape for of_class in masks for mask in of_class}
    assert shapes == {(96, 160)}
    results = queryinst_workload.end_to_end()
    assert len(results) == SHAPE.frames
    assert all("counts" in rle for of_class in results[0][1] for rle in of_class)


@pytest.mark.slow
def test_counting_leaves_the_mmdet_models_roi_align_as_it_was(queryinst_workload):
    from mmcv.ops import RoIAlign

    from benchmarks.flops.record import count_workload

    count_workload(queryinst_workload)
    layers = [m for m in queryinst_workload.model.modules() if isinstance(m, RoIAlign)]
    assert layers and not any(layer.use_torchvision for layer in layers)
