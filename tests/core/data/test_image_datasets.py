"""Datasets of images in COCO format: the same reader, checks and clips as videos."""

import json

import pytest
from typer.testing import CliRunner

from cli import app
from core.config.schema import DataConfig
from core.data.categories import COCO, OVIS, YOUTUBE_VIS_2019, YOUTUBE_VIS_2021, same_classes
from core.data.check import examine, sound_part
from core.data.clips import ClipDataset
from core.data.rle import decode
from core.data.split import make_split
from core.data.youtube_vis import load_folder
from core.errors import UserError
from tests.core.data.image_folders import annotation, coco_file, image_entry, write_coco


@pytest.mark.parametrize(
    ("annotations", "images"),
    [
        ("annotations/instances_train2017.json", "train2017"),  # COCO
        ("annotations/instances_val2017.json", "val2017"),
        ("instances.json", "images"),  # one's own
    ],
)
def test_published_layouts_are_found(tmp_path, annotations, images):
    dataset = load_folder(write_coco(tmp_path, coco_file(), annotations, images))
    assert dataset.of_images and len(dataset.videos) == 4 and len(dataset.tracks) == 9
    first = dataset.videos[0]
    assert (first.id, first.length, first.height, first.width) == (101, 1, 40, 60)
    assert first.files[0].samefile(tmp_path / images / "000000000101.jpg")
    assert dataset.class_names == ("cat", "dog") and dataset.labels == {1: 0, 18: 1}


def test_lvis_names_files_by_their_address(tmp_path):
    raw = coco_file()
    write_coco(tmp_path, raw, "lvis_v1_train.json")
    for image in raw["images"]:
        name = image.pop("file_name")
        image["coco_url"] = f"http://images.cocodataset.org/train2017/{name}"
        image["neg_category_ids"] = [1]
    (tmp_path / "lvis_v1_train.json").write_text(json.dumps(raw))
    assert load_folder(tmp_path).videos[0].name == "train2017/000000000101.jpg"


def test_masks_boxes_and_crowds(tmp_path):
    dataset = load_folder(write_coco(tmp_path, coco_file()))
    cat, dog, crowd = dataset.tracks_of(101)
    assert decode(cat.segmentations[0]).sum() == cat.areas[0] == 256
    assert cat.boxes == ((3, 6, 16, 16),) and dog.category_id == 18
    assert crowd.crowd and not cat.crowd


def test_annotations_without_a_pixel_are_no_targets_and_no_faults(tmp_path):
    """COCO has some, which must not stop a run."""
    raw = coco_file(1)
    raw["annotations"] += [
        annotation(1000, 101, segmentation=[[5, 5, 5, 5, 5, 5]], area=0, bbox=[5, 5, 0, 0]),
        annotation(1001, 101, segmentation=[]),
    ]
    dataset = load_folder(write_coco(tmp_path, raw))
    assert examine(tmp_path).faults == []
    data = DataConfig(clip_length=1, train_sizes=((60, 40),), workers=0)
    _, targets = ClipDataset(dataset, data, seed=0)[0]
    assert len(dataset.tracks) == 5 and targets.labels.tolist() == [0, 1]


def test_a_clip_of_an_image_is_that_image_again_and_again(tmp_path):
    dataset = load_folder(write_coco(tmp_path, coco_file()))
    data = DataConfig(clip_length=3, train_sizes=((60, 40),), workers=0)
    frames, targets = ClipDataset(dataset, data, seed=0)[0]
    assert (frames[0] == frames[1]).all() and (targets.masks[0] == targets.masks[2]).all()


def test_the_split_is_by_image(tmp_path):
    dataset = load_folder(write_coco(tmp_path, coco_file(10)))
    split = make_split(dataset, DataConfig(holdout=0.3))
    assert len(split.heldout) == 3 and len(split.train) == 7


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"images": {"file_name": None}}, "image 101: file_name is None, expected a text"),
        ({"images": {"width": "x"}}, "image 101: width is 'x', expected a whole number"),
        ({"images": {"file_name": ""}}, "image 101: file_name has '', which no file can be called"),
        ({"annotations": {"image_id": 7}}, "annotation 10 (image 7): unknown image id 7"),
        ({"annotations": {"image_id": None}}, "annotation 10: image_id is None, expected a whole"),
        ({"annotations": {"category_id": 2}}, "annotation 10 (image 101): unknown category 2"),
        ({"annotations": {"segmentation": 5}}, "annotation 10 (image 101): a mask is null, a list"),
        ({"annotations": {"bbox": [1, 2]}}, "(image 101): a box is [x, y, width, height], not [1"),
        ({"annotations": {"area": 1e9}}, "(image 101): area has 1000000000.0, expected 0 to 2400"),
        (
            {"annotations": {"segmentation": {"size": [4, 4], "counts": [16]}}},
            "mask of size [4, 4], but the image has [40, 60]",
        ),
    ],
)
def test_faults_speak_of_images(tmp_path, change, message):
    raw = coco_file()
    write_coco(tmp_path, raw)
    [(key, values)] = change.items()
    raw[key][0].update(values)
    (tmp_path / "annotations/instances_train2017.json").write_text(json.dumps(raw))
    told = "\n".join(map(str, examine(tmp_path).faults))
    assert message in told
    assert "video" not in told.replace(str(tmp_path), "")


def test_boxes_alone_are_refused(tmp_path):
    raw = coco_file()
    for entry in raw["annotations"]:
        del entry["segmentation"]
    with pytest.raises(UserError, match="has no segmentation: masks are trained, not boxes alone"):
        load_folder(write_coco(tmp_path, raw))


def test_check_lists_images_and_leaves_out_the_faulty(tmp_path):
    raw = coco_file()
    write_coco(tmp_path, raw)
    (tmp_path / "train2017" / "000000000102.jpg").unlink()
    raw["annotations"][0]["category_id"] = 7
    path = tmp_path / "annotations/instances_train2017.json"
    path.write_text(json.dumps(raw))
    out = tmp_path / "annotations/instances_train.json"
    result = CliRunner().invoke(app, ["data", "check", str(tmp_path), "--sound-part", str(out)])
    assert result.exit_code == 1
    assert "000000000102.jpg: image 102: no such image" in result.stdout
    assert "4 images, 8 annotations, 2 classes: 2 faults" in result.stdout
    kept = json.loads(out.read_text())
    assert [image["id"] for image in kept["images"]] == [101, 103, 104]
    assert 10 not in {entry["id"] for entry in kept["annotations"]}
    assert examine(out, images="../train2017").faults == []
    with pytest.raises(UserError, match="no image is without faults"):
        sound_part({"images": [image_entry(1)], "annotations": []}, [_spoilt(1)])


def _spoilt(image):
    from pathlib import Path

    from core.data.annotations import Fault

    return Fault(Path("x"), "", "", video_id=image)


# --- the same class under other names ---


def names_of(ours, theirs):
    return {ours[a]: theirs[b] for a, b in same_classes(ours, theirs).items()}


def test_cocos_classes_in_the_video_datasets():
    found = names_of(YOUTUBE_VIS_2019, COCO)
    assert found["sedan"] == "car" and found["motorbike"] == "motorcycle"
    assert found["tennis_racket"] == "tennis racket"
    # a device there, an animal here
    assert "mouse" not in found and "mouse" in COCO
    assert names_of(YOUTUBE_VIS_2021, COCO)["flying_disc"] == "frisbee"
    found = names_of(OVIS, COCO)
    assert found["Vehical"] == "car" and found["Person"] == "person" and "Poultry" not in found
    assert len(COCO) == len(set(COCO)) == 80
    assert [len(names_of(d, COCO)) for d in (YOUTUBE_VIS_2019, YOUTUBE_VIS_2021, OVIS)] == [
        *(19, 21, 16),
    ]


def test_video_datasets_among_each_other():
    found = names_of(YOUTUBE_VIS_2019, YOUTUBE_VIS_2021)
    assert found["mouse"] == "mouse" and found["sedan"] == "car"
    assert names_of(COCO, COCO) == {name: name for name in COCO}
    assert names_of(["a b"], ["A-B"]) == {"a b": "A-B"}
    assert same_classes(["a"], ["b"]) == {}
