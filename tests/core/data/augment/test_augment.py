"""What is switched on beyond the published clips: frames, masks, boxes and labels stay together."""

import math

import numpy as np
import pytest
import torch
from PIL import Image
from torchvision.transforms import functional

from core.config.overrides import ConfigError
from core.config.presets import preset
from core.config.schema import AugmentConfig, DataConfig
from core.data.augment.colour import turned_hue
from core.data.augment.view import boxes_around, draw_views, placed, view_frame, view_masks, whole
from core.data.clips import ClipDataset, pick_frames
from core.data.loader import make_loader
from core.data.rle import decode
from core.data.transforms import MEAN, STD, read_frame, resize_frame
from core.data.youtube_vis import load_folder
from tests.core.data.folders import square, track_entry, video_entry, write_folder

DATA = DataConfig(
    clip_length=3,
    clip_order="sorted",
    train_sizes=((64, 48),),
    train_resize="choice",
    flip=0,
    workers=0,
)
ALL = {"photometric": 1, "crop": 1, "jitter": (0.5, 2), "reverse": 0.5, "copy_paste": 1}


def switched(**values):
    augment = {k: v for k, v in values.items() if k in AugmentConfig.model_fields}
    rest = {k: v for k, v in values.items() if k not in augment}
    return DATA.model_copy(update={**rest, "augment": AugmentConfig(**augment)})


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    """Videos of 48x64 whose instances are white squares, two a video, and black elsewhere."""
    root, frames = tmp_path_factory.mktemp("squares"), 6
    raw = {
        "categories": [{"id": 3, "name": "a"}, {"id": 5, "name": "b"}],
        "videos": [video_entry(v, frames, 48, 64) for v in (1, 2, 3)],
        "annotations": [],
    }
    for v in (1, 2, 3):
        for n, (x, y, category) in enumerate([(4 + v, 6, 5), (40, 26 - v, 3)]):
            masks = [square(x + t, y, 14, 48, 64) for t in range(frames)]
            entry = track_entry(10 * v + n, v, category, frames)
            raw["annotations"].append({**entry, "segmentations": masks})
    write_folder(root, raw)
    for video in raw["videos"]:
        tracks = [a for a in raw["annotations"] if a["video_id"] == video["id"]]
        for t, name in enumerate(video["file_names"]):
            union = np.any([decode(track["segmentations"][t]) for track in tracks], axis=0)
            Image.fromarray(np.uint8(union) * 255).convert("RGB").save(root / "JPEGImages" / name)
    return load_folder(root)


def levels(frames):
    return frames * torch.tensor(STD)[:, None, None] + torch.tensor(MEAN)[:, None, None]


def check(frames, targets):
    """White is where a mask is; boxes are around the masks; nobody is a target without a pixel."""
    white = levels(frames).mean(1) > 150  # the mean colour outside of a picture is darker
    assert (white == targets.masks.any(1)).float().mean() > 0.97
    assert targets.boxes.equal(boxes_around(targets.masks))
    assert targets.present.equal(targets.masks.flatten(2).any(2))
    assert targets.present.any(0).all() and len(targets.labels) == targets.masks.shape[1] > 0
    assert frames.shape[2:] == targets.masks.shape[2:] == targets.frame_size


@pytest.mark.parametrize(
    "values",
    [
        {"crop": 1},
        {"crop": 1, "crop_least": 0.2},
        {"jitter": (0.3, 0.6)},
        {"jitter": (1.5, 2.5)},
        {"copy_paste": 1},
        {"pseudo_clips": "all"},
        {"pseudo_clips": "all", "crop": 1, "jitter": (0.5, 2), "copy_paste": 1, "flip": 1},
    ],
)
def test_frames_masks_and_boxes_fit_each_other(dataset, values):
    clips = ClipDataset(dataset, switched(**values), seed=0)
    samples = [clips[k] for k in range(8)]
    for frames, targets in samples:
        check(frames, targets)
    plain = ClipDataset(dataset, switched(flip=values.get("flip", 0)), seed=0)
    assert not any(
        a.shape == b.shape and a.equal(b)
        for (a, _), (b, _) in zip(samples, map(plain.__getitem__, range(8)), strict=True)
    )


def test_off_is_the_published_clip(dataset):
    """A share of almost nothing draws no other video, frame, size or flip."""
    plain = ClipDataset(dataset, switched(flip=0.5), seed=4)
    rare = ClipDataset(
        dataset, switched(flip=0.5, **{n: 1e-9 for n in ALL if n != "jitter"}), seed=4
    )
    for k in range(6):
        (frames, targets), (other, others) = plain[k], rare[k]
        assert targets.labels.equal(others.labels) and targets.frame_size == others.frame_size
        # sampled another way, but the same picture
        assert (frames - other).abs().mean() < 0.05
        assert (targets.masks != others.masks).float().mean() < 0.03


def test_a_clip_is_a_function_of_seed_and_number(dataset):
    data = switched(**ALL, pseudo_clips="all", flip=0.5)
    first, second = (ClipDataset(dataset, data, seed=7) for _ in range(2))
    for k in (5, 0, 3):
        assert first[k][0].equal(second[k][0]) and first[k][1].masks.equal(second[k][1].masks)
    assert not first[0][0].equal(ClipDataset(dataset, data, seed=8)[0][0])


def test_workers_and_resuming_change_nothing(dataset):
    data = switched(**ALL, flip=0.5)
    whole_run = [frames for frames, _ in make_loader(dataset, data, 0, clips=2, batches=3)]
    helped = make_loader(
        dataset, data.model_copy(update={"workers": 1}), 0, start_clip=4, clips=2, batches=1
    )
    assert next(iter(helped))[0].equal(whole_run[2])


def test_photometric_changes_levels_alone_and_alike_in_all_frames(dataset):
    plain, lit = (ClipDataset(dataset, switched(photometric=p), seed=1) for p in (0, 1))
    changed = 0
    for k in range(6):
        (before, targets), (after, others) = plain[k], lit[k]
        assert targets.masks.equal(others.masks) and targets.boxes.equal(others.boxes)
        changed += not before.equal(after)
        black = ~targets.masks.any(1)
        spread = levels(after).permute(0, 2, 3, 1)[black].std(0)
        assert (spread < 25).all()
    assert changed >= 5
    assert all(levels(lit[k][0]).max() <= 255.5 for k in range(6))


@pytest.mark.parametrize("turn", [-0.05, 0.03, 0.5])
def test_hues_turn_as_torchvision_turns_them(turn):
    frames = torch.rand(2, 3, 9, 40)
    frames[0, :, :3] = frames[0, :1, :3]  # grey
    frames[0, 1, 3:6] = frames[0, 0, 3:6]  # two channels alike
    frames[1, :, 0], frames[1, 0, 1], frames[1, 2, 2] = 0, 1, 1
    found = turned_hue(frames, turn)
    torch.testing.assert_close(found, functional.adjust_hue(frames, turn), atol=5e-6, rtol=0)
    assert (found - frames).abs().max() > 0.1


def test_a_pseudo_clip_reads_its_frame_once(dataset, monkeypatch):
    read = []
    monkeypatch.setattr(
        "core.data.clips.read_frame", lambda path: read.append(path) or read_frame(path)
    )
    frames, _ = ClipDataset(dataset, switched(pseudo_clips="all"), seed=0)[0]
    assert len(frames) == 3 and len(read) == 1


def test_reversed_clips_run_backwards(dataset):
    forwards, backwards = (ClipDataset(dataset, switched(reverse=r), seed=1) for r in (0, 1))
    for k in range(3):
        assert forwards[k][0].equal(backwards[k][0].flip(0))
        assert forwards[k][1].boxes.equal(backwards[k][1].boxes.flip(0))


def test_a_crop_enlarges_and_jitter_scales(dataset):
    def sides(**values):
        clips = ClipDataset(dataset, switched(**values), seed=0)
        boxes = torch.cat([clips[k][1].boxes[clips[k][1].present] for k in range(12)])
        return (boxes[:, 2:] - boxes[:, :2]).max(1).values.median()

    plain = sides()
    assert sides(crop=1, crop_least=0.4) > 1.2 * plain
    assert sides(jitter=(0.4, 0.6)) < 0.7 * plain
    assert sides(jitter=(1.8, 2.2)) > 1.3 * plain


def test_jitter_keeps_the_frames_size(dataset):
    clips = ClipDataset(dataset, switched(jitter=(0.3, 0.3)), seed=0)
    frames, targets = clips[0]
    assert targets.frame_size == (48, 64)
    outside = (frames.abs() < 1e-4).all(1)
    assert 0.85 < outside.float().mean() < 0.95, "0.3 squared is the picture's share"


def test_frames_of_a_pseudo_clip_are_one_frame(dataset):
    clips = ClipDataset(dataset, switched(pseudo_clips="all"), seed=0)
    for k in range(4):
        frames, targets = clips[k]
        assert not frames[0].equal(frames[1])
        areas = targets.masks.flatten(2).sum(2).float()
        assert (areas[targets.present] > 0).all()
    images = ClipDataset(dataset, switched(pseudo_clips="images"), seed=0)
    assert images[0][0].equal(ClipDataset(dataset, DATA, seed=0)[0][0]), "these are videos"


def test_pasted_instances_bring_their_classes_and_cover_others(dataset):
    plain, more = (ClipDataset(dataset, switched(copy_paste=c), seed=2) for c in (0, 1))
    counts = [(len(plain[k][1].labels), len(more[k][1].labels)) for k in range(10)]
    assert sum(after > before for before, after in counts) >= 7
    for k in range(10):
        _, targets = more[k]
        assert targets.masks.sum(1).max() <= 1, "a pixel is of one instance"


def test_a_view_that_shows_nothing_is_drawn_again(tmp_path):
    """One small instance in a corner: crops of a fifth mostly miss it."""
    raw = {
        "categories": [{"id": 1, "name": "a"}],
        "videos": [video_entry(1, 2, 48, 64)],
        "annotations": [
            {**track_entry(1, 1, 1, 2), "segmentations": [square(0, 0, 3, 48, 64)] * 2}
        ],
    }
    clips = ClipDataset(
        load_folder(write_folder(tmp_path, raw)), switched(crop=1, crop_least=0.1), seed=0
    )
    assert all(clips[k][1].present.any() for k in range(12))


# --- frames that are near their anchor ---


def test_reach_bounds_the_frames():
    rng = np.random.default_rng(0)
    for _ in range(50):
        frames = pick_frames(range(40), 40, 4, rng, reach=3)
        assert max(abs(frame - frames[0]) for frame in frames) <= 3 and len(set(frames)) == 4
    short = pick_frames([9], 10, 5, rng, reach=1)
    assert sorted(set(short)) == [8, 9] and len(short) == 5
    alike = [pick_frames(range(9), 9, 4, np.random.default_rng(1), reach) for reach in (None, 9)]
    assert alike[0] == alike[1]


# --- views ---


def test_the_whole_view_is_a_resized_frame():
    frame = torch.randint(0, 256, (3, 40, 60), dtype=torch.uint8)
    view = whole((40, 60), (20, 33))
    assert (view_frame(frame, view) - resize_frame(frame, (20, 33))).abs().max() < 0.02
    masks = np.random.default_rng(0).random((2, 40, 60)) < 0.5
    assert (view_masks(masks, whole((40, 60), (40, 60))) == masks).all()


def test_moved_views_turn_about_the_middle():
    rng = np.random.default_rng(0)
    views = draw_views((40, 60), (60, 40), 50, AugmentConfig(), True, rng)
    matrices = np.stack([view.matrix for view in views])
    turns = np.degrees(np.arctan2(matrices[:, 1, 0], matrices[:, 0, 0]))
    scales = np.sqrt(np.linalg.det(matrices[:, :, :2]))
    assert 10 < np.abs(turns).max() <= 15
    assert 0.8 <= scales.min() < 0.9 and 1.1 < scales.max() <= 1.25
    centres = matrices @ [30, 20, 1]
    assert np.abs(centres - [30, 20]).max() <= 6 + 1e-9
    fixed = draw_views((40, 60), (60, 40), 3, AugmentConfig(), False, rng)
    assert all(np.allclose(view.matrix, [[1, 0, 0], [0, 1, 0]]) for view in fixed)


def test_a_placed_view_shows_all_of_the_source():
    rng = np.random.default_rng(0)
    masks = np.ones((1, 30, 50), bool)
    for _ in range(10):
        shown = view_masks(masks, placed((30, 50), (48, 64), rng))[0]
        height, width = shown.any(1).sum(), shown.any(0).sum()
        assert math.isclose(width / height, 50 / 30, rel_tol=0.1)
        assert 0.45 < max(height / 48, width / 64) <= 1


def test_boxes_around_masks():
    masks = torch.zeros(3, 10, 12, dtype=torch.bool)
    masks[0, 2:5, 3:9] = True
    masks[2, 9, 11] = True
    assert boxes_around(masks).tolist() == [[3, 2, 9, 5], [0, 0, 0, 0], [11, 9, 12, 10]]


# --- what the switches refuse ---


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"data.augment.jitter": [2, 1]}, r"jitter=\[2.0, 1.0\]: the least factor comes first"),
        ({"data.augment.jitter": [0, 1]}, "data.augment.jitter"),
        ({"data.augment.crop": 1.5}, "data.augment.crop"),
        ({"data.mix": [["a", 0.6], ["b", 0.4]]}, "its shares leave no clips of data.root"),
        ({"data.mix": [["a", 0]]}, "data.mix"),
        ({"data.mix": [["a"]]}, r"data\.mix\[0\]\[1\]: is missing$"),
        ({"data.mix": ["a"]}, r"data\.mix\[0\]='a': Input should be a list"),
        ({"data.mix": [["synthetic", 0.5]]}, "'synthetic' is generated for data.root alone"),
        ({"data.clip_range": 0}, "data.clip_range"),
        ({"data.pseudo_clips": True}, "data.pseudo_clips"),
    ],
)
def test_wrong_values_are_named(values, message):
    with pytest.raises(ConfigError, match=message):
        preset("tiny", values)
