import json

import pytest
from PIL import Image
from typer.testing import CliRunner

from cli import app
from core.data.check import examine, sound_part
from core.data.youtube_vis import load_folder
from core.errors import UserError
from tests.core.data.folders import annotation_file, track_entry, write_folder


def faults_of(tmp_path, change, videos=3):
    """What the check says of a sound dataset after ``change(raw)``, without the file's name."""
    raw = annotation_file(videos)
    root = write_folder(tmp_path, annotation_file(videos))
    change(raw)
    path = root / "instances.json"
    path.write_text(json.dumps(raw))
    return [str(fault).removeprefix(f"{path}: ") for fault in examine(root).faults]


def test_a_sound_dataset_has_none(tmp_path):
    assert faults_of(tmp_path, lambda raw: None) == []


def test_all_faults_at_once_with_ids(tmp_path):
    def spoil(raw):
        first, second, third = raw["annotations"]
        first["segmentations"].append(None)
        first["category_id"] = 5
        second["segmentations"] = [None] * 4
        third["video_id"] = 9
        raw["videos"].append({**raw["videos"][0]})
        raw["annotations"].append({**first, "category_id": 1})

    assert faults_of(tmp_path, spoil) == [
        "video 1: duplicate id: another video has it already",
        "track 10 (video 1): unknown category 5; the file has 1, 2",
        "track 10 (video 1): 5 segmentations, but the video has 4 frames",
        "track 20 (video 2): empty track: no frame has a mask",
        "track 30 (video 9): unknown video id 9",
        "track 10 (video 1): duplicate id: another track has it already",
    ]


def change_video(**values):
    return lambda raw: raw["videos"][0].update(values)


def change_track(**values):
    return lambda raw: raw["annotations"][0].update(values)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (change_video(length=5), "video 1: length is 5, but it has 4 file_names"),
        (change_video(file_names=[]), "video 1: file_names is not a list of one or more"),
        (change_video(file_names="v1"), "video 1: file_names is not a list of one or more"),
        (change_video(height=0), "video 1: height is 0, expected at least 1"),
        (change_video(width="30"), "video 1: width is '30', expected a whole number"),
        (change_video(id=None), "video at place 0: id is None, expected a whole number"),
        (change_video(id=True), "video at place 0: id is True"),
        (change_track(id="x"), "track at place 0 (video 1): id is 'x'"),
        (change_track(video_id=None), "track 10: video_id is None, expected a whole number"),
        (change_track(category_id=[1]), "track 10 (video 1): category_id is [1]"),
        (change_track(height=21), "track 10 (video 1): height is 21, but the video's is 20"),
        (change_track(width=29), "track 10 (video 1): width is 29, but the video's is 30"),
        (change_track(segmentations=None), "track 10 (video 1): segmentations is not a list"),
        (change_track(bboxes=[None] * 3), "3 bboxes, but the video has 4 frames"),
        (change_track(areas=[1] * 5), "5 areas, but the video has 4 frames"),
        (change_track(bboxes=[[1, 2, 3]] * 4), "a box is [x, y, width, height], not [1, 2, 3]"),
        (change_track(areas=["big"] * 4), "frame 0: areas: expected a finite number, found 'big'"),
        (
            change_track(segmentations=[{"size": [20, 30], "counts": [600]}] * 4),
            "empty track: no mask has a pixel",
        ),
        (
            change_track(segmentations=[{"size": [30, 20], "counts": [600]}] * 4),
            "frame 0: mask of size [30, 20], but the video has [20, 30] (and 3 more frames)",
        ),
        (
            change_track(segmentations=[{"size": [20, 30], "counts": [599]}, None, None, None]),
            "frame 0: run lengths add up to 599",
        ),
        (
            change_track(segmentations=[None, {"size": [20, 30], "counts": "T5"}, None, None]),
            "frame 1: run lengths add up to",
        ),
        (change_track(segmentations=[7] * 4), "frame 0: a mask is null, a list of polygons"),
        (lambda raw: raw["annotations"].append(5), "track at place 3: expected an object, found 5"),
        (lambda raw: raw["categories"].pop(0), "unknown category 1; the file has 2"),
        (lambda raw: raw["categories"][0].pop("name"), "category 1: name is None"),
        (lambda raw: raw.pop("videos"), "not a YouTube-VIS or COCO file: it has no list 'videos'"),
    ],
)
def test_each_fault_is_named(tmp_path, change, message):
    assert message in "\n".join(faults_of(tmp_path, change))


def test_a_faulty_video_does_not_make_its_tracks_unknown(tmp_path):
    assert len(faults_of(tmp_path, change_video(length=5))) == 1


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b'{"videos": [', "not valid JSON at line 1"),
        (b"[]", "not a YouTube-VIS or COCO file"),
        (b"", "not valid JSON"),
    ],
)
def test_broken_file(tmp_path, content, message):
    (tmp_path / "train.json").write_bytes(content)
    faults = "\n".join(map(str, examine(tmp_path).faults))
    assert f"{tmp_path / 'train.json'}: {message}" in faults


def test_images_missing_of_another_size_or_no_image(tmp_path):
    root = write_folder(tmp_path, annotation_file())
    frames = root / "JPEGImages"
    (frames / "v1" / "00002.png").unlink()
    Image.new("RGB", (31, 20)).save(frames / "v2" / "00000.png")
    (frames / "v3" / "00003.png").write_bytes(b"not a picture")
    seen = []
    faults = examine(root, on_progress=lambda done, total: seen.append((done, total))).faults
    missing, size, broken = map(str, faults)
    assert missing == f"{frames}/v1/00002.png: video 1 (v1), frame 2: no such image"
    assert "v2/00000.png: video 2 (v2), frame 0: image of 31x20, but the annotation says" in size
    assert "v3/00003.png: video 3 (v3), frame 3: not an image: cannot identify" in broken
    assert seen == [(n, 11) for n in range(1, 12)]


def test_no_image_at_all_is_one_fault_beside_the_others(tmp_path):
    raw = annotation_file()
    raw["annotations"][0]["category_id"] = 8
    (tmp_path / "instances.json").write_text(json.dumps(raw))
    images, track = examine(tmp_path).faults
    assert "its images are not there: looked for v1/00000.png in" in str(images)
    assert "unknown category 8" in str(track)


def test_sound_part_leaves_out_what_is_spoilt(tmp_path):
    raw = annotation_file(4)
    raw["annotations"].append(track_entry(11, 1, 9))
    raw["annotations"][1]["segmentations"] = [None] * 4
    root = write_folder(tmp_path, raw)
    (root / "JPEGImages" / "v3" / "00000.png").unlink()
    faults = examine(root).faults
    sound = sound_part(raw, faults)
    (root / "sound.json").write_text(json.dumps(sound))
    dataset = load_folder(root, "sound.json")
    assert [v.id for v in dataset.videos] == [1, 2, 4]
    assert [t.id for t in dataset.tracks] == [10, 40]
    assert examine(root, "sound.json").faults == []


def test_sound_part_of_what_cannot_be_mended(tmp_path):
    raw = annotation_file(1)
    root = write_folder(tmp_path, raw)
    (root / "JPEGImages" / "v1" / "00000.png").write_bytes(b"")
    with pytest.raises(UserError, match="no video is without faults"):
        sound_part(raw, examine(root).faults)
    raw["categories"][0]["name"] = None
    (root / "instances.json").write_text(json.dumps(raw))
    with pytest.raises(UserError, match=r"mend it by hand: .*category 1: name is None"):
        sound_part(raw, examine(root).faults)


def run(*arguments):
    return CliRunner().invoke(app, ["data", *map(str, arguments)])


def test_command_on_a_sound_dataset(tmp_path):
    result = run("check", write_folder(tmp_path, annotation_file()))
    assert result.exit_code == 0
    assert "3 videos, 12 frames, 3 tracks, 2 classes: no faults" in result.stdout


def test_command_lists_every_fault_and_writes_the_sound_part(tmp_path):
    raw = annotation_file(40)
    for entry in raw["annotations"][:30]:
        entry["category_id"] = 9
    root = write_folder(tmp_path, raw)
    sound = tmp_path / "sound.json"
    result = run("check", root, "--sound-part", sound)
    assert result.exit_code == 1
    assert result.stdout.count("unknown category 9") == 30
    assert "30 faults" in result.stdout
    assert len(json.loads(sound.read_text())["annotations"]) == 10


def test_command_on_nothing(tmp_path):
    result = run("check", tmp_path / "none")
    assert isinstance(result.exception, UserError)
    assert "no such folder or file" in str(result.exception)
