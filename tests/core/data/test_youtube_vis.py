import json
import logging
import time

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from pycocotools import mask as coco

from core.config.schema import DataConfig
from core.data.annotations import DatasetError
from core.data.categories import OVIS, YOUTUBE_VIS_2019, YOUTUBE_VIS_2021, public_name
from core.data.rle import decode, encode
from core.data.youtube_vis import load_dataset, load_folder
from core.errors import UserError
from tests.core.data.folders import annotation_file, track_entry, write_folder, write_images


def load(root, **switches):
    return load_dataset(DataConfig(root=str(root), **switches))


@pytest.mark.parametrize(
    ("annotations", "images"),
    [
        ("train/instances.json", "train/JPEGImages"),  # YouTube-VIS 2021
        ("train.json", "train/JPEGImages"),  # YouTube-VIS 2019
        ("instances_train_sub.json", "train/JPEGImages"),
        ("annotations/instances_train_sub.json", "train/JPEGImages"),
        ("annotations_train.json", "train"),  # OVIS
        ("annotations/annotations_train.json", "train"),
        ("instances.json", "JPEGImages"),
        ("instances.json", "."),
        ("valid.json", "valid/JPEGImages"),
    ],
)
def test_published_layouts_are_found(tmp_path, annotations, images):
    write_folder(tmp_path, annotation_file(), annotations, images)
    dataset = load(tmp_path)
    assert dataset.annotations_path == tmp_path / annotations
    assert dataset.videos[0].files[0].samefile(tmp_path / images / "v1" / "00000.png")
    assert (dataset.name, len(dataset.videos), len(dataset.tracks)) == (tmp_path.name, 3, 3)
    assert load_folder(tmp_path / annotations).videos == dataset.videos


def test_training_file_wins_over_validation_and_the_log_says_so(tmp_path, caplog):
    write_folder(tmp_path, annotation_file(), "train/instances.json", "train/JPEGImages")
    write_folder(tmp_path, annotation_file(2), "valid/instances.json", "valid/JPEGImages")
    with caplog.at_level(logging.INFO):
        assert len(load(tmp_path).videos) == 3
    assert "chosen before valid/instances.json" in caplog.text
    assert len(load(tmp_path / "valid").videos) == 2
    valid = load(tmp_path, annotations="valid/instances.json", images="valid/JPEGImages")
    assert len(valid.videos) == 2


def test_what_was_looked_for_is_listed(tmp_path):
    with pytest.raises(UserError, match=r"nowhere: no such folder"):
        load(tmp_path / "nowhere")
    with pytest.raises(
        UserError, match=r"looked for train/instances\.json, train\.json, annotations_train"
    ):
        load(tmp_path)
    with pytest.raises(UserError, match=r"my\.json: no such annotation file \(data\.annotations"):
        load(tmp_path, annotations="my.json")
    (tmp_path / "train.json").write_text(json.dumps(annotation_file()))
    with pytest.raises(UserError, match=r"looked for v1/00000\.png in .*data\.images=FOLDER"):
        load(tmp_path)
    with pytest.raises(UserError, match=r"pictures: no such image folder"):
        load(tmp_path, images="pictures")


def test_all_mask_forms_null_frames_and_crowds(tmp_path):
    mask = np.zeros((20, 30), bool)
    mask[4:12, 5:15] = True
    polygon = [[5, 4, 15, 4, 15, 12, 5, 12]]
    uncompressed = {"size": [20, 30], "counts": [104] + [8, 12] * 9 + [8, 308]}
    raw = annotation_file(1)
    raw["annotations"] = [
        {
            "id": 7,
            "video_id": 1,
            "category_id": 2,
            "segmentations": [encode(mask), uncompressed, polygon, None],
        },
        track_entry(8, 1, absent=(0, 1), iscrowd=1),
    ]
    dataset = load(write_folder(tmp_path, raw))
    track, crowd = dataset.tracks_of(1)
    for rle in track.segmentations[:3]:
        assert (decode(rle) == mask).all()
    assert track.segmentations[3] is None
    assert track.boxes == ((5, 4, 10, 8),) * 3 + (None,)
    assert track.areas == (80, 80, 80, None)
    assert not track.crowd
    assert crowd.crowd
    assert [crowd.visible(t) for t in range(4)] == [False, False, True, True]


def test_boxes_and_areas_of_the_file_win(tmp_path):
    raw = annotation_file(1)
    raw["annotations"][0]["bboxes"] = [[1.5, 2, 9, 9], None, [0, 0, 0.5, 9], [1, 1, 9, 9]]
    raw["annotations"][0]["areas"] = [70.5, None, 60, 0]
    [track] = load(write_folder(tmp_path, raw)).tracks
    assert track.boxes == ((1.5, 2, 9, 9), (3, 3, 8, 8), (4, 3, 8, 8), (1, 1, 9, 9))
    assert track.areas == (70.5, 64, 60, 64)


def test_validation_set_without_annotations(tmp_path):
    raw = annotation_file()
    raw["annotations"] = None
    dataset = load(write_folder(tmp_path, raw, "valid.json", "valid/JPEGImages"))
    assert (len(dataset.videos), dataset.tracks) == (3, ())


def test_labels_follow_the_ids_not_the_order_in_the_file(tmp_path):
    raw = annotation_file()
    raw["categories"] = [{"id": 9, "name": "owl"}, {"id": 2, "name": "dog"}, {"id": 1, "name": "c"}]
    dataset = load(write_folder(tmp_path, raw))
    assert dataset.labels == {1: 0, 2: 1, 9: 2}
    assert dataset.class_names == ("c", "dog", "owl")


def test_a_subset_keeps_the_classes(tmp_path):
    dataset = load(write_folder(tmp_path, annotation_file(3)))
    part = dataset.subset([3, 1])
    assert [v.id for v in part.videos] == [1, 3]
    assert [t.id for t in part.tracks] == [10, 30]
    assert part.categories == dataset.categories
    with pytest.raises(KeyError, match=r"no such videos in .*instances\.json: \[8\]"):
        dataset.subset([1, 8])


@given(absent=st.sets(st.integers(0, 3), max_size=3), frames=st.just(4))
def test_visible_where_there_is_a_mask(absent, frames, tmp_path_factory):
    raw = annotation_file(1, frames)
    raw["annotations"] = [track_entry(1, 1, 1, frames, absent)]
    root = tmp_path_factory.mktemp("folder")
    [track] = load(write_folder(root, raw)).tracks
    assert {t for t in range(frames) if not track.visible(t)} == absent


def test_faults_stop_the_loading_with_a_list(tmp_path):
    raw = annotation_file(30)
    for entry in raw["annotations"]:
        entry["category_id"] = 77
    root = write_folder(tmp_path, raw)
    with pytest.raises(DatasetError, match="30 faults in the dataset") as raised:
        load(root)
    lines = str(raised.value).splitlines()
    assert len(lines) == 1 + 20 + 1
    assert "track 10 (video 1): unknown category 77; the file has 1, 2" in lines[1]
    assert lines[-1] == f"  ... and 10 more (tevit data check {root})"
    assert len(raised.value.faults) == 30


def test_missing_image_stops_the_loading(tmp_path):
    root = write_folder(tmp_path, annotation_file())
    gone = root / "JPEGImages" / "v2" / "00001.png"
    gone.unlink()
    with pytest.raises(DatasetError, match="1 fault in the dataset") as raised:
        load(root)
    assert f"{gone}: video 2 (v2), frame 1: no such image" in str(raised.value)


def test_no_videos(tmp_path):
    (tmp_path / "train.json").write_text('{"videos": [], "annotations": [], "categories": []}')
    with pytest.raises(UserError, match=r"train\.json: it has no videos"):
        load(tmp_path)


def test_public_class_lists():
    assert [len(YOUTUBE_VIS_2019), len(YOUTUBE_VIS_2021), len(OVIS)] == [40, 40, 25]
    assert all(len(set(n)) == len(n) for n in (YOUTUBE_VIS_2019, YOUTUBE_VIS_2021, OVIS))
    assert YOUTUBE_VIS_2019[39] == YOUTUBE_VIS_2021[33] == "tennis_racket"
    assert list(YOUTUBE_VIS_2021) == sorted(YOUTUBE_VIS_2021)
    assert public_name(list(YOUTUBE_VIS_2021)) == "YouTube-VIS 2021"
    assert public_name(["cat", "dog"]) is None


@pytest.mark.shared
def test_real_video_loads(shared):
    root = shared / "data" / "davis16_tiny"
    dataset = load(root)
    assert (len(dataset.videos), len(dataset.tracks)) == (9, 9)
    assert sum(video.length for video in dataset.videos) == 165
    assert dataset.class_names == ("swan", "camel", "car", "cow", "person", "dog", "goat")
    # the file's boxes are those around its masks, so is what we would compute
    for track in dataset.tracks:
        for rle, box, area in zip(track.segmentations, track.boxes, track.areas, strict=True):
            if rle is not None:
                assert tuple(coco.toBbox(rle)) == box
                assert decode(rle).sum() == area
    derived = load(root, annotations="instances_two_object_derived.json")
    assert [len(derived.tracks_of(v.id)) for v in derived.videos] == [2, 2]
    assert not all(derived.tracks[0].visible(t) for t in range(derived.videos[0].length))


@pytest.mark.slow
def test_loading_a_dataset_of_published_size_takes_seconds(tmp_path):
    """1/20 of YouTube-VIS 2019: 112 videos, 27 frames, 188 tracks, masks of 1,095 runs."""
    rows, columns = np.mgrid[:720, :1280]
    wave = np.sin(columns / 9) * np.cos(rows / 11)
    mask = (rows - 360) ** 2 + (columns - 600) ** 2 + 3000 * wave < 250**2
    flat = np.concatenate(([False], mask.T.reshape(-1), [False]))
    counts = np.diff(np.concatenate(([0], np.flatnonzero(np.diff(flat)), [mask.size])))
    masks = [{"size": [720, 1280], "counts": counts.tolist()}] * 27
    raw = annotation_file(1)
    raw["videos"] = [
        {**raw["videos"][0], "id": v, "height": 720, "width": 1280, "length": 27}
        | {"file_names": [f"v{v}/{t:05d}.jpg" for t in range(27)]}
        for v in range(112)
    ]
    raw["annotations"] = [
        {"id": i, "video_id": i % 112, "category_id": 1, "segmentations": masks}
        | {"bboxes": [[350, 110, 500, 500]] * 27, "areas": [196000] * 27}
        for i in range(188)
    ]
    for video in raw["videos"]:
        for name in video["file_names"]:
            path = tmp_path / "JPEGImages" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch()
    (tmp_path / "instances.json").write_text(json.dumps(raw))
    start = time.process_time()
    assert len(load(tmp_path).tracks) == 188
    assert time.process_time() - start < 5


def test_image_written_helpers_agree(tmp_path):
    raw = annotation_file(1)
    write_images(tmp_path, raw)
    assert Image.open(tmp_path / "v1" / "00000.png").size == (30, 20)
