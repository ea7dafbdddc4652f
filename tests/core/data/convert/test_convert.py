"""Datasets in other formats, each as a small folder of that format."""

import json

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from cli import app
from core.data.convert.formats import convert
from core.data.rle import decode
from core.data.youtube_vis import load_folder
from core.errors import UserError
from tests.core.data.folders import annotation_file, square, track_entry, write_folder

SIZE = (20, 30)


def picture(path, size=SIZE):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size[::-1], (9, 9, 9)).save(path)


def numbers(path, ids, mode="P"):
    """A PNG of instance numbers, with a palette as DAVIS has it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    image = Image.fromarray(np.asarray(ids, np.uint8), mode="L")
    if mode == "P":
        image = image.convert("P")
        image.putdata(np.asarray(ids, np.uint8).reshape(-1).tolist())
        image.putpalette([0, 0, 0, 128, 0, 0, 0, 128, 0] + [0] * 759)
    image.save(path)


def ids_of(t, second=True):
    ids = np.zeros(SIZE, np.uint8)
    ids[2:8, 3 + t : 9 + t] = 1
    if second:
        ids[10:15, 20:26] = 2
    ids[0, 0] = 255  # void
    return ids


def davis(root, below="480p", frames=3):
    for t in range(frames):
        picture(root / "JPEGImages" / below / "bear" / f"{t:05d}.jpg")
        numbers(root / "Annotations" / below / "bear" / f"{t:05d}.png", ids_of(t, t != 1))
    picture(root / "JPEGImages" / below / "bear" / "00009.jpg")  # without a mask
    return root


@pytest.mark.parametrize("below", ["480p", "."])
def test_davis_and_mose(tmp_path, below):
    out = tmp_path / "lists" / "instances.json"
    convert("davis" if below == "480p" else "mose", davis(tmp_path / "d", below), out)
    dataset = load_folder(out)
    [video] = dataset.videos
    assert video.length == 3 and (video.height, video.width) == SIZE
    assert dataset.class_names == ("object",)
    first, second = dataset.tracks_of(video.id)
    assert [decode(rle).sum() for rle in first.segmentations] == [36, 36, 36]
    assert decode(first.segmentations[1])[2:8, 4:10].all()
    assert [rle is None for rle in second.segmentations] == [False, True, False]


def test_the_only_number_of_davis_2016(tmp_path):
    for t in range(2):
        picture(tmp_path / "JPEGImages" / "cat" / f"{t}.jpg")
        numbers(tmp_path / "Annotations" / "cat" / f"{t}.png", 255 * (ids_of(t) == 1), "L")
    convert("davis", tmp_path, tmp_path / "instances.json")
    [track] = load_folder(tmp_path).tracks
    assert decode(track.segmentations[1]).sum() == 36


KITTI = "0 1001 1 20 30 {a}\n1 1001 1 20 30 {a}\n\n1 2004 2 20 30 {b}\n0 10000 10 20 30 {c}\n"


def mots(root, challenge=False):
    text = KITTI.format(
        a=square(2, 3, 6)["counts"], b=square(12, 3, 6)["counts"], c=square(22, 12, 7)["counts"]
    )
    images = root / "0002" / "img1" if challenge else root / "training" / "image_02" / "0002"
    path = root / "0002" / "gt" / "gt.txt" if challenge else root / "instances_txt" / "0002.txt"
    path.parent.mkdir(parents=True)
    path.write_text(text)
    for t in range(2):
        picture(images / f"{t:06d}.png")
    return path


@pytest.mark.parametrize("challenge", [False, True])
def test_mots(tmp_path, challenge):
    mots(tmp_path, challenge)
    convert("mots", tmp_path, tmp_path / "instances.json")
    dataset = load_folder(tmp_path)
    assert dataset.class_names == ("car", "pedestrian")
    car, walker, *ignored = dataset.tracks
    assert decode(car.segmentations[0]).sum() == 36 and walker.category_id == 2
    assert walker.segmentations[0] is None and not car.crowd
    # regions to ignore are crowds of both classes
    assert [(t.category_id, t.crowd) for t in ignored] == [(1, True), (2, True)]


def test_mots_challenge_with_its_training_folder(tmp_path):
    mots(tmp_path / "train", challenge=True)
    convert("mots", tmp_path, tmp_path / "instances.json")
    assert load_folder(tmp_path).videos[0].name == "train/0002/img1"


def test_mots_as_pngs(tmp_path):
    """Single-channel PNGs of 16 bits, as KITTI-MOTS' folder ``instances`` has them."""
    mots(tmp_path).unlink()
    ids = np.zeros((2, *SIZE), np.uint16)
    ids[:, 2:8, 3:9] = 1001
    ids[1, 12:18, 3:9] = 2004
    ids[0, 5:12, 22:29] = 10000
    folder = tmp_path / "instances" / "0002"
    folder.mkdir(parents=True)
    for t in range(2):
        Image.fromarray(ids[t]).save(folder / f"{t:06d}.png")
    convert("mots", tmp_path, tmp_path / "instances.json")
    car, *ignored, walker = load_folder(tmp_path).tracks
    assert car.category_id == 1 and (decode(car.segmentations[1]) == (ids[1] == 1001)).all()
    assert walker.category_id == 2 and walker.segmentations[0] is None
    assert [(t.category_id, t.crowd) for t in ignored] == [(1, True), (2, True)]
    Image.fromarray(ids[0] // 1000).save(folder / "000000.png")
    with pytest.raises(UserError, match=r"000000\.png: class 0; known: \[1, 2, 10\]"):
        convert("mots", tmp_path, tmp_path / "o.json")


def burst(root):
    rle = square(2, 3, 6)["counts"]
    sequence = {
        "id": 5,
        "dataset": "LaSOT",
        "seq_name": "bird-1",
        "width": 30,
        "height": 20,
        "fps": 30,
        "all_image_paths": [f"{t}.jpg" for t in range(6)],
        "annotated_image_paths": ["1.jpg", "3.jpg"],
        "neg_category_ids": [],
        "not_exhaustive_category_ids": [],
        "track_category_ids": {"1": 7, "2": 9},
        "segmentations": [
            {"1": {"rle": rle, "is_gt": True}},
            {"1": {"rle": rle}, "2": {"rle": square(12, 3, 6)["counts"]}},
        ],
    }
    for name in sequence["all_image_paths"]:
        picture(root / "frames" / "LaSOT" / "bird-1" / name)
    categories = [{"id": 7, "name": "bird"}, {"id": 9, "name": "kite"}]
    return {"sequences": [sequence], "categories": categories, "split": "train"}


def test_burst(tmp_path):
    (tmp_path / "train.json").write_text(json.dumps(burst(tmp_path)))
    out = tmp_path / "instances.json"
    convert("burst", tmp_path / "train.json", out, tmp_path / "frames")
    dataset = load_folder(out)
    assert [file.name for file in dataset.videos[0].files] == ["1.jpg", "3.jpg"]
    bird, kite = dataset.tracks
    assert bird.category_id == 7 and all(bird.segmentations)
    assert kite.segmentations[0] is None and decode(kite.segmentations[1]).sum() == 36


def test_burst_with_the_folder_of_all_splits(tmp_path):
    """As BURST's own reader has it: images/SPLIT/DATASET/SEQUENCE, annotations/SPLIT/*.json."""
    (tmp_path / "annotations" / "train").mkdir(parents=True)
    path = tmp_path / "annotations" / "train" / "all_classes.json"
    path.write_text(json.dumps(burst(tmp_path)))
    (tmp_path / "frames").rename(tmp_path / "train")
    (tmp_path / "images").mkdir()
    (tmp_path / "train").rename(tmp_path / "images" / "train")
    convert("burst", path, tmp_path / "instances.json", tmp_path / "images")
    assert [f.is_file() for f in load_folder(tmp_path).videos[0].files] == [True, True]


def test_an_empty_mask_is_none(tmp_path):
    raw = burst(tmp_path)
    raw["sequences"][0]["segmentations"][1]["1"]["rle"] = square(0, 0, 0)["counts"]
    raw["sequences"][0]["segmentations"][1]["2"]["rle"] = square(0, 0, 0)["counts"]
    (tmp_path / "train.json").write_text(json.dumps(raw))
    convert("burst", tmp_path / "train.json", tmp_path / "instances.json", tmp_path / "frames")
    [bird] = load_folder(tmp_path / "instances.json").tracks
    assert [rle is None for rle in bird.segmentations] == [False, True]


def vipseg(root):
    colours = np.zeros((*SIZE, 3), np.uint8)
    colours[2:8, 3:9] = (44, 1, 0)  # 44 + 256
    colours[10:15, 20:26] = (7, 0, 0)
    frames = []
    for t in range(2):
        picture(root / "imgs" / "v" / f"{t}.jpg")
        path = root / "panomasksRGB" / "v" / f"{t}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(colours).save(path)
        segments = [
            {"id": 300, "category_id": 61, "iscrowd": 0, "area": 36},
            {"id": 7, "category_id": 2, "iscrowd": 0, "area": 30},
        ]
        file = {"image_id": str(t), "file_name": f"{t}.png"}
        frames.append({**file, "segments_info": segments[: 2 - t]})
    # the published files call an image by the name of its mask
    images = [{"id": str(t), "height": 20, "width": 30, "file_name": f"{t}.png"} for t in range(2)]
    return {
        "videos": [{"video_id": "v", "images": images}],
        "annotations": [{"video_id": "v", "annotations": frames}],
        "categories": [
            {"id": 61, "name": "person", "isthing": 1, "color": [220, 20, 60]},
            {"id": 2, "name": "sky", "isthing": 0, "color": [70, 130, 180]},
        ],
    }


def test_the_things_of_vipseg(tmp_path):
    (tmp_path / "panoptic_gt_VIPSeg_train.json").write_text(json.dumps(vipseg(tmp_path)))
    convert("vipseg", tmp_path, tmp_path / "instances.json")
    dataset = load_folder(tmp_path)
    [track] = dataset.tracks
    assert dataset.class_names == ("person",)
    assert [decode(rle).sum() for rle in track.segmentations] == [36, 36]


def published_vipseg(root):
    """As it is downloaded: numbers are the class (from 1), or 100 times it plus the instance."""
    ids = np.zeros(SIZE, np.uint16)
    ids[0, :5] = 3  # sky
    ids[2:8, 3:9], ids[10:15, 20:26] = 6200, 6201
    ids[17:19, 2:4] = 62  # a thing without an instance's number
    for t in range(2):
        picture(root / "imgs" / "v_1" / f"{t}.jpg")
        path = root / "panomasks" / "v_1" / f"{t}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(ids * (np.arange(20) < 9 + 11 * t)[:, None].astype(np.uint16)).save(path)
    categories = vipseg(root / "other")["categories"]
    (root / "panoVIPSeg_categories.json").write_text(json.dumps(categories))
    (root / "train.txt").write_text("v_1\n")
    return root


def test_vipseg_as_published(tmp_path):
    root = published_vipseg(tmp_path / "d")
    convert("vipseg", root, tmp_path / "instances.json")
    dataset = load_folder(tmp_path / "instances.json")
    assert dataset.class_names == ("person",)
    areas = [track.areas for track in dataset.tracks]
    assert areas == [(36, 36), (None, 4), (None, 30)]
    convert("vipseg", root / "train.txt", tmp_path / "again.json")
    assert load_folder(tmp_path / "again.json").tracks == dataset.tracks
    (root / "val.txt").write_text("v_2\n")
    with pytest.raises(UserError, match=r"val\.txt: v_2: .*v_2 has no masks"):
        convert("vipseg", root / "val.txt", tmp_path / "o.json")
    Image.fromarray(np.full(SIZE, 9900, np.uint16)).save(root / "panomasks/v_1/1.png")
    with pytest.raises(UserError, match=r"1\.png: number 9900 is of none of VIPSeg's"):
        convert("vipseg", root, tmp_path / "o.json")
    (root / "train.txt").write_bytes(b"\xff\xfe")
    with pytest.raises(UserError, match=r"train\.txt: cannot be read"):
        convert("vipseg", root, tmp_path / "o.json")
    (root / "panoVIPSeg_categories.json").write_text("[1]")
    with pytest.raises(UserError, match="not the categories of VIPSeg"):
        convert("vipseg", root, tmp_path / "o.json")
    with pytest.raises(UserError, match=r"test\.txt: no such folder or file"):
        convert("vipseg", root / "test.txt", tmp_path / "o.json")


def test_all_of_vipsegs_splits_in_one_file(tmp_path):
    (tmp_path / "panoptic_gt_VIPSeg.json").write_text(json.dumps(vipseg(tmp_path)))
    convert("vipseg", tmp_path, tmp_path / "instances.json")
    assert len(load_folder(tmp_path).tracks) == 1


@pytest.mark.parametrize(
    ("annotations", "images"),
    [
        ("ytvis_hq-train.json", "train/JPEGImages"),  # HQ-YTVIS
        ("annotations/ytvis_hq-train.json", "train"),  # where its code looks for it
        ("train/instances.json", "train/JPEGImages"),  # YouTube-VIS 2022
        ("train_instances.json", "JPEGImages/train"),  # LV-VIS, as it describes itself
        ("train/train_instances.json", "train/JPEGImages"),  # and as its code has it
        ("annotations/train_instances.json", "JPEGImages/train"),
        ("Annotations/train_instances.json", "JPEGImages/train"),
        ("val/val_instances.json", "val/JPEGImages"),  # its validation set has masks
        ("Annotations/val_instances.json", "JPEGImages/val"),
    ],
)
def test_datasets_whose_files_are_read_as_they_are(tmp_path, annotations, images):
    raw = annotation_file(2, 60)  # long ones, as in the 2022 edition
    for key in ("info", "licenses"):
        raw[key] = [{}]
    for video in raw["videos"]:
        video |= {"license": 1, "coco_url": "", "flickr_url": "", "date_captured": "2019"}
    for category in raw["categories"]:
        category |= {"supercategory": "object", "partition": 1}
    dataset = load_folder(write_folder(tmp_path, raw, annotations, images))
    assert len(dataset.videos) == 2 and dataset.videos[0].length == 60


def test_the_validation_set_of_hq_ytvis_lies_among_the_training_images(tmp_path):
    write_folder(tmp_path, annotation_file(2), "ytvis_hq-val.json", "train/JPEGImages")
    assert len(load_folder(tmp_path / "ytvis_hq-val.json").videos) == 2


def test_file_names_of_windows(tmp_path):
    raw = annotation_file(2)
    write_folder(tmp_path, raw, "train_instances.json", "JPEGImages/train")
    for video in raw["videos"]:
        video["file_names"] = [f"train\\{name}".replace("/", "\\") for name in video["file_names"]]
    (tmp_path / "train_instances.json").write_text(json.dumps(raw))
    dataset = load_folder(tmp_path)
    assert dataset.videos[0].files[0] == tmp_path / "JPEGImages/train/v1/00000.png"
    assert dataset.videos[0].name == "train/v1"


def test_frames_of_the_training_videos(tmp_path):
    write_folder(tmp_path / "v", annotation_file(3, 2))
    split = tmp_path / "split.json"
    split.write_text(json.dumps({"train": [1, 3], "heldout": [2]}))

    def frames(kind="frames"):
        command = ["data", "convert", kind, tmp_path / "v", tmp_path / "o.json", "--split", split]
        return CliRunner().invoke(app, list(map(str, command)))

    assert frames().exit_code == 0
    files = [video.files[0].parent.name for video in load_folder(tmp_path / "o.json").videos]
    assert files == ["v1", "v1", "v3", "v3"]
    (tmp_path / "o.json").unlink()
    assert "split.json: of frames alone, not of davis" in str(frames("davis").exception)


def test_frames_as_images(tmp_path):
    raw = annotation_file(2, 3)
    raw["annotations"].append(track_entry(99, 1, 2, 3, absent=(0,), iscrowd=1))
    convert("frames", write_folder(tmp_path / "v", raw), tmp_path / "frames.json")
    images = load_folder(tmp_path / "frames.json")
    assert images.of_images and len(images.videos) == 6 and len(images.tracks) == 8
    assert images.class_names == ("cat", "dog")
    second = images.tracks_of(2)
    assert [track.crowd for track in second] == [False, True]
    assert (decode(second[0].segmentations[0]) == decode(square(3, 3, 8))).all()
    assert second[0].boxes == ((3, 3, 8, 8),)


def test_the_command_checks_what_it_wrote(tmp_path):
    out = tmp_path / "instances.json"

    def run(*more):
        source = davis(tmp_path / "d")
        return CliRunner().invoke(app, ["data", "convert", "davis", str(source), str(out), *more])

    result = run()
    assert result.exit_code == 0
    assert "1 video, 3 frames, 2 tracks, 1 class" in result.output
    assert f"next: tevit data show --data {out}" in result.output
    again = run()
    assert isinstance(again.exception, UserError) and "exists already" in str(again.exception)


# --- what is wrong is named ---


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            lambda root: (root / "Annotations/480p/bear/00001.png").write_bytes(b"x"),
            "00001.png: can",
        ),
        (
            lambda root: numbers(root / "Annotations/480p/bear/00001.png", np.ones((5, 6))),
            "00001.png: a mask of 6x5, but its frame has 30x20",
        ),
        (
            lambda root: picture(root / "Annotations/480p/bear/00001.png"),
            r"holds colours \(RGB\), not the numbers",
        ),
        (
            lambda root: (root / "JPEGImages/480p/bear").rename(root / "x"),
            "bear: no such folder of frames",
        ),
        (lambda root: (root / "Annotations").rename(root / "x"), "has none of Annotations_unsup"),
    ],
)
def test_faults_of_mask_folders(tmp_path, change, message):
    root = davis(tmp_path / "d")
    change(root)
    with pytest.raises(UserError, match=message):
        convert("davis", root, tmp_path / "o.json")
    assert not (tmp_path / "o.json").exists()


def test_masks_without_frames(tmp_path):
    numbers(tmp_path / "Annotations" / "a" / "7.png", ids_of(0))
    picture(tmp_path / "JPEGImages" / "a" / "8.jpg")
    with pytest.raises(UserError, match=r"Annotations/a: no mask belongs to a frame of"):
        convert("davis", tmp_path, tmp_path / "o.json")


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("0 1001 1 20 30", "line 1: expected frame id class height width rle"),
        ("0 1001 3 20 30 T5", r"line 1: class 3; known: \[1, 2, 10\]"),
        ("0 1001 1 30 20 T5", "line 1: a mask of 20x30, but the images have 30x20"),
        ("9 1001 1 20 30 T5", "line 1: there is no image of frame 9"),
        ("² 1001 1 20 30 T5", "line 1: expected frame id class height width rle"),
        (
            f"0 1001 1 20 30 {square(2, 3, 6)['counts']}\n" * 2,
            "line 2: instance 1001 has a mask in frame 0 already",
        ),
    ],
)
def test_faults_of_mots(tmp_path, line, message):
    mots(tmp_path).write_text(line)
    with pytest.raises(UserError, match=message):
        convert("mots", tmp_path, tmp_path / "o.json")


def test_a_file_of_mots_that_is_no_text_is_named(tmp_path):
    mots(tmp_path).write_bytes(b"\xff\xfe")
    with pytest.raises(UserError, match=r"0002\.txt: cannot be read: "):
        convert("mots", tmp_path, tmp_path / "o.json")


def test_a_broken_mask_of_mots_is_named_by_its_line(tmp_path):
    mots(tmp_path).write_text("0 1001 1 20 30 T5")
    out = tmp_path / "o.json"
    result = CliRunner().invoke(app, ["data", "convert", "mots", str(tmp_path), str(out)])
    assert "0002.txt, line 1: run lengths add up to" in str(result.exception)
    assert not out.exists()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda raw: raw.pop("categories"), "not a BURST file"),
        (lambda raw: raw["sequences"][0].pop("width"), "sequence 0: lacks 'width'"),
        (
            lambda raw: raw["sequences"][0]["segmentations"].pop(),
            "sequence 0: 1 segmentations of 2 annotated images",
        ),
        (
            lambda raw: raw["sequences"][0]["segmentations"][1]["2"].update(rle=7),
            "sequence 0, track 2, frame 1: counts of type int",
        ),
        (lambda raw: raw["sequences"][0].update(segmentations=[5, 5]), "sequence 0: "),
    ],
)
def test_faults_of_burst(tmp_path, change, message):
    raw = burst(tmp_path)
    change(raw)
    (tmp_path / "train.json").write_text(json.dumps(raw))
    with pytest.raises(UserError, match=message):
        convert("burst", tmp_path / "train.json", tmp_path / "o.json", tmp_path / "frames")


def test_faults_of_vipseg(tmp_path):
    raw = vipseg(tmp_path)
    path = tmp_path / "panoptic_gt_VIPSeg_train.json"
    path.write_text(json.dumps(raw))
    picture(tmp_path / "panomasksRGB" / "v" / "0.png", (4, 4))
    with pytest.raises(UserError, match=r"0\.png: a mask of 4x4, but its frame has 30x20"):
        convert("vipseg", tmp_path, tmp_path / "o.json")
    del raw["categories"]
    path.write_text(json.dumps(raw))
    with pytest.raises(UserError, match="not a VIPSeg file: lacks 'categories'"):
        convert("vipseg", tmp_path, tmp_path / "o.json")


@pytest.mark.parametrize("value", ["0", "1", 2, None, []])
def test_whether_a_class_of_vipseg_is_a_thing_is_not_read_by_truth_value(tmp_path, value):
    raw = vipseg(tmp_path)
    raw["categories"][1]["isthing"] = value
    (tmp_path / "panoptic_gt_VIPSeg_train.json").write_text(json.dumps(raw))
    with pytest.raises(UserError, match=r"isthing is .*, expected 0 or 1"):
        convert("vipseg", tmp_path, tmp_path / "o.json")


def test_masks_of_vipseg_belong_to_the_image_of_their_name(tmp_path):
    raw = vipseg(tmp_path)
    frames = raw["annotations"][0]["annotations"]
    frames[0]["segments_info"] = []
    frames.reverse()
    path = tmp_path / "panoptic_gt_VIPSeg_train.json"
    path.write_text(json.dumps(raw))
    convert("vipseg", tmp_path, tmp_path / "instances.json")
    [track] = load_folder(tmp_path).tracks
    assert [rle is None for rle in track.segmentations] == [True, False]
    frames.append({**frames[0], "file_name": "7.png"})
    path.write_text(json.dumps(raw))
    with pytest.raises(UserError, match=r"7\.png: video v has no image of this name"):
        convert("vipseg", tmp_path, tmp_path / "o.json")


def test_a_mask_is_turned_as_its_frame_is(tmp_path):
    """As a tool writes it that keeps the camera's note."""
    exif = Image.Exif()
    exif[0x0112] = 6
    stored = np.zeros((30, 20), np.uint8)
    stored[:6, :4] = 1
    for folder, ending in (("JPEGImages", "jpg"), ("Annotations", "png")):
        path = tmp_path / folder / "cat" / f"0.{ending}"
        path.parent.mkdir(parents=True)
        Image.fromarray(stored).save(path, exif=exif)
    convert("davis", tmp_path, tmp_path / "instances.json")
    dataset = load_folder(tmp_path)
    assert (dataset.videos[0].height, dataset.videos[0].width) == (20, 30)
    [track] = dataset.tracks
    assert track.boxes == ((24, 0, 6, 4),)


def test_wrong_names(tmp_path):
    with pytest.raises(UserError, match=r"unknown format daviss \(did you mean davis\?\)"):
        convert("daviss", tmp_path, tmp_path / "o.json")
    with pytest.raises(UserError, match="nowhere: no such folder or file"):
        convert("davis", tmp_path / "nowhere", tmp_path / "o.json")
    with pytest.raises(UserError, match=r"o\.txt: an annotation file's name ends in \.json"):
        convert("davis", tmp_path, tmp_path / "o.txt")
    with pytest.raises(UserError, match="has none of instances_txt"):
        convert("mots", tmp_path, tmp_path / "o.json")
    with pytest.raises(UserError, match="has none of panoptic_gt_VIPSeg_train"):
        convert("vipseg", tmp_path, tmp_path / "o.json")
