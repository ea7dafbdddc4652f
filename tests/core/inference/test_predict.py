import gc
import json
import weakref

import numpy as np
import pytest
import torch
from torch import nn

from core import preset
from core.config.overrides import override
from core.data.dataset import Video, VideoDataset
from core.data.results import entry_faults, mask_faults
from core.data.rle import decode, encode
from core.data.youtube_vis import load_folder
from core.errors import UserError
from core.inference.classes import Classes
from core.inference.frames import FileFrames, prepare_frames
from core.inference.predict import (
    ahead,
    encode_masks,
    load_model,
    predict_dataset,
    predict_video,
    predict_videos,
)
from core.inference.results_writer import results_writer
from core.model.structures import Detections
from core.model.tevit import build_model
from tests.conftest import SHARED, need

TINY = preset("tiny", {"head.stages": 2, "head.queries": 6, "data.test_size": [64, 64]})


class Noise:
    """A video of ``count`` frames, made as they are asked for."""

    name, size = "noise", (48, 64)

    def __init__(self, count, seed=0):
        self.count, self.seed, self.alive, self.most = count, seed, 0, 0

    def __iter__(self):
        generator = torch.Generator().manual_seed(self.seed)
        for _ in range(self.count):
            frame = torch.randint(0, 255, (3, *self.size), generator=generator, dtype=torch.uint8)
            self.alive += 1
            self.most = max(self.most, self.alive)
            weakref.finalize(frame, self._died)
            yield frame

    def _died(self):
        self.alive -= 1


def near_online(config, clip_length, stride):
    return override(
        config,
        {
            "inference.mode": "near_online",
            "inference.clip_length": clip_length,
            "inference.stride": stride,
        },
    )


@pytest.fixture(scope="module")
def model():
    torch.manual_seed(0)
    return build_model(TINY).eval()


# --- offline and near online ---------------------------------------------------------------------


@pytest.mark.parametrize("clip_length", [7, 8, 100])
def test_one_clip_gives_identical_results_in_both_modes(model, clip_length):
    offline = predict_video(model, Noise(7), TINY)
    online = predict_video(model, Noise(7), near_online(TINY, clip_length, 3))
    assert json.dumps(online) == json.dumps(offline)
    assert len(offline) == 10 and all(len(r["segmentations"]) == 7 for r in offline)


def test_offline_is_the_models_own_output(model):
    """Same scores, classes and pixels as ``model(frames)``."""
    results = predict_video(model, Noise(3), TINY)
    frames, size = prepare_frames(list(Noise(3)), TINY.data)
    with torch.no_grad():
        (instances,) = model(frames[None], frame_sizes=[size], video_sizes=[Noise.size])
    assert [r["score"] for r in results] == instances.scores.tolist()
    assert [r["category_id"] - 1 for r in results] == instances.labels.tolist()
    for k, result in enumerate(results):
        for t, rle in enumerate(result["segmentations"]):
            mask = np.zeros(Noise.size, bool) if rle is None else decode(rle)
            assert (mask == instances.masks[k, t].numpy()).all()


def test_many_clips_fill_every_track(model):
    results = predict_video(model, Noise(11), near_online(TINY, 4, 2))
    assert 0 < len(results) <= 10
    assert all(len(r["segmentations"]) == 11 for r in results)
    scores = [r["score"] for r in results]
    assert scores == sorted(scores, reverse=True)


def test_near_online_memory_is_that_of_two_clips(model):
    source = Noise(24)
    predict_video(model, source, near_online(TINY, 4, 2))
    gc.collect()
    # a clip at the model, the next one in the making, and its frame of lookahead
    assert source.most <= 2 * (4 + 1)
    offline = Noise(24)
    next(iter(predict_videos(model, [(1, offline)], TINY)))
    assert offline.most == 24


class Squares(nn.Module):
    """Finds every bright square by its brightness: a perfect tracker of a scripted video.

    The pairs come out in another order at each call, and with scores that depend on it.
    """

    def __init__(self, shades, classes=3):
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(()))
        self.shades, self.calls = shades, 0
        self.config = TINY

    def detect(self, frames, frame_sizes):
        self.calls += 1
        pixels = frames[0, :, 0] * 58.395 + 123.675
        order = np.roll(np.arange(len(self.shades)), self.calls)
        length = len(pixels)
        boxes = torch.zeros(length, len(order), 4)
        for k, index in enumerate(order):
            for t in range(length):
                ys, xs = ((pixels[t] - self.shades[index]).abs() < 2).nonzero(as_tuple=True)
                if len(ys):
                    boxes[t, k] = torch.tensor([xs.min(), ys.min(), xs.max() + 1, ys.max() + 1])
        scores = torch.linspace(0.9, 0.5, len(order)) - 0.01 * self.calls
        logits = torch.full((length, len(order), 28, 28), 9.0)
        labels = torch.zeros(len(order), dtype=torch.int64)
        queries = torch.as_tensor(order)
        per_frame = scores.expand(len(boxes), -1)
        return [Detections(scores, labels, queries, boxes, logits, per_frame, frame_sizes[0])]


class Moving:
    """Two squares of one class that start at the left and right and change sides."""

    name, size = "moving", (64, 64)

    def __init__(self, count=20):
        self.count = count

    def __iter__(self):
        for t in range(self.count):
            image = torch.zeros(3, 64, 64, dtype=torch.uint8)
            image[:, 8:24, 2 * t : 2 * t + 16] = 200
            image[:, 36:52, 46 - 2 * t : 62 - 2 * t] = 120
            yield image


@pytest.mark.parametrize(("clip_length", "stride"), [(6, 3), (5, 4), (8, 2)])
def test_identities_survive_stitching(clip_length, stride):
    results = predict_video(Squares([200, 120]), Moving(), near_online(TINY, clip_length, stride))
    assert len(results) == 2
    centres = []
    for result in results:
        masks = [decode(rle) for rle in result["segmentations"]]
        assert len(masks) == 20
        centres.append([np.argwhere(mask).mean(0) for mask in masks])
        assert np.ptp([c[0] for c in centres[-1]]) < 2, "never changes its row"
    directions = sorted(track[-1][1] - track[0][1] for track in centres)
    assert directions == pytest.approx([-38, 38], abs=2)


# --- classes, videos, checkpoints ----------------------------------------------------------------


def test_category_ids(model):
    every = predict_video(model, Noise(2), TINY, video_id=7)
    assert {r["video_id"] for r in every} == {7}
    assert {r["category_id"] for r in every} <= {1, 2, 3}
    mapped = predict_video(model, Noise(2), TINY, category_ids={0: 40, 1: 50})
    assert {r["category_id"] for r in mapped} <= {40, 50}
    kept = [r for r in every if r["category_id"] < 3]
    assert [r["score"] for r in mapped] == [r["score"] for r in kept]


def test_videos_come_out_in_order_and_alone(model):
    sources = [(5, Noise(3, seed=1)), (2, Noise(4, seed=2))]
    together = list(predict_videos(model, sources, TINY))
    assert [r[0]["video_id"] for r in together] == [5, 2]
    assert together[1] == predict_video(model, Noise(4, seed=2), TINY, video_id=2)


def saved(model, path):
    torch.save({"state_dict": model.state_dict()}, path)
    return path


def test_load_model(tmp_path, model):
    path = saved(model, tmp_path / "a.pth")
    loaded = load_model(TINY, path, torch.device("cpu"))
    assert not loaded.training
    for name, value in model.state_dict().items():
        assert loaded.state_dict()[name].equal(value)
    with pytest.raises(UserError, match=r"not of this config(?s:.*)of another shape.*fc_cls"):
        load_model(override(TINY, {"head.classes": 4}), path)
    with pytest.raises(UserError, match=r"not of this config(?s:.*)not in the file"):
        load_model(override(TINY, {"head.stages": 3}), path)


def test_weights_that_are_no_numbers_are_an_error():
    torch.manual_seed(0)
    broken = build_model(TINY).eval()
    nn.init.constant_(broken.roi_head.bbox_head[-1].fc_cls.bias, float("nan"))
    with pytest.raises(UserError, match="scores for video 3 are not numbers"):
        predict_video(broken, Noise(2), TINY, video_id=3)


@pytest.fixture
def dataset(tmp_path):
    from tests.core.inference.test_frames import write_images

    videos = []
    for video_id, count in ((4, 3), (9, 2)):
        folder = write_images(tmp_path / str(video_id), [f"{k}.png" for k in range(count)])
        files = tuple(sorted(folder.iterdir()))
        videos.append(Video(video_id, str(video_id), 40, 24, files))
    return VideoDataset("d", tuple(videos), (), {3: "a", 11: "b", 12: "c"}, tmp_path / "a.json")


def test_predict_dataset_writes_valid_results(tmp_path, model, dataset):
    out = tmp_path / "out" / "predictions.json"
    path = saved(model, tmp_path / "a.pth")
    assert predict_dataset(TINY, path, dataset, out, progress=False) == out
    results = json.loads(out.read_text())
    assert {r["video_id"] for r in results} == {4, 9}
    assert {r["category_id"] for r in results} <= {3, 11, 12}
    assert entry_faults(results, dataset) == [] and mask_faults(results, dataset) == []
    assert [p.name for p in out.parent.iterdir()] == ["predictions.json"]


def test_a_broken_frame_leaves_no_results(tmp_path, model, dataset):
    dataset.videos[1].files[1].write_text("x")
    out = tmp_path / "predictions.json"
    with pytest.raises(UserError, match=r"1\.png: cannot be read"):
        predict_dataset(TINY, saved(model, tmp_path / "a.pth"), dataset, out, progress=False)
    assert not out.exists() and not list(tmp_path.glob("*.tmp")) + list(tmp_path.glob(".*.tmp"))


@pytest.mark.shared
def test_real_video(model):
    path = need(SHARED / "data" / "davis16_tiny" / "instances.json")
    dataset = load_folder(path)
    ids = Classes.of_dataset(dataset).ids
    assert ids == dict(enumerate(range(1, 8)))
    results = predict_video(model, FileFrames(dataset.videos[0]), near_online(TINY, 6, 3), 1, ids)
    assert entry_faults(results, dataset) == [] and mask_faults(results, dataset) == []


def test_bf16(model):
    config = override(TINY, {"inference.precision": "bf16"})
    low, full = (predict_video(model, Noise(2), c) for c in (config, TINY))
    assert low != full
    assert low[0]["score"] == pytest.approx(full[0]["score"], rel=0.1)


# --- parts ---------------------------------------------------------------------------------------


def test_masks_are_encoded_as_one_by_one():
    masks = torch.rand(5, 13, 7, generator=torch.Generator().manual_seed(0)) > 0.5
    masks[3] = False
    expected = [None if k == 3 else encode(mask.numpy()) for k, mask in enumerate(masks)]
    assert encode_masks(masks) == expected
    assert encode_masks(masks[:0]) == []


def test_writer_makes_an_array_at_every_length(tmp_path):
    for count in range(3):
        path = tmp_path / f"{count}.json"
        with results_writer(path) as write:
            assert not path.exists()
            for k in range(count):
                write([{"k": k}])
        assert json.loads(path.read_text()) == [{"k": k} for k in range(count)]


def test_writer_keeps_the_old_file_on_an_error(tmp_path):
    path = tmp_path / "a.json"
    path.write_text("old")
    with pytest.raises(ValueError, match="JSON"), results_writer(path) as write:
        write([{"score": float("nan")}])
    assert path.read_text() == "old" and [p.name for p in tmp_path.iterdir()] == ["a.json"]


def test_ahead_keeps_order_and_passes_errors_on():
    def items():
        yield from range(3)
        raise ValueError("third")

    seen = []
    with pytest.raises(ValueError, match="third"):
        for item in ahead(items()):
            seen.append(item)
    assert seen == [0, 1, 2]
