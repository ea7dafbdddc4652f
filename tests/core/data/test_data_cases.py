"""Faults that users' files brought out: each gave a wrong number in silence, or a traceback."""

import json

import numpy as np
import pytest
from PIL import Image

from benchmarks.diagnosis.slices import slicings
from core.config.schema import DataConfig
from core.data.annotations import DatasetError, read_annotations
from core.data.check import examine, wrong_images
from core.data.clips import ClipDataset
from core.data.dataset import Video, VideoDataset
from core.data.rle import areas_of, encode
from core.data.transforms import read_frame
from core.data.youtube_vis import load_folder
from core.errors import UserError
from tests.core.data.folders import annotation_file, square, track_entry, write_folder


def written(tmp_path, change, videos=1):
    raw = annotation_file(videos)
    change(raw)
    return write_folder(tmp_path, raw)


def track_with(**values):
    return lambda raw: raw["annotations"][0].update(values)


def test_iscrowd_as_a_text_is_a_fault_and_no_crowd(tmp_path):
    root = written(tmp_path, track_with(iscrowd="0"))
    message = r"track 10 \(video 1\): iscrowd is '0', expected 0 or 1"
    with pytest.raises(DatasetError, match=message):
        load_folder(root)
    with pytest.raises(DatasetError, match=message):
        read_annotations(root / "instances.json")


@pytest.mark.parametrize("value", [2, -1, "", "false", [], [0], {}, 0.5])
def test_no_other_value_of_iscrowd_is_read_by_its_truth(tmp_path, value):
    with pytest.raises(DatasetError, match=r"iscrowd is .*, expected 0 or 1"):
        load_folder(written(tmp_path, track_with(iscrowd=value)))


@pytest.mark.parametrize(("value", "crowd"), [(0, False), (1, True), (False, False), (None, False)])
def test_iscrowd_as_files_write_it(tmp_path, value, crowd):
    [track] = load_folder(written(tmp_path, track_with(iscrowd=value))).tracks
    assert track.crowd is crowd


@pytest.mark.parametrize(
    ("areas", "message"),
    [
        ([64, 64, -1, 64], r"track 10 \(video 1\): frame 2: areas has -1, expected 0 to 600 pix"),
        ([64, 1e12, 64, 64], "frame 1: areas has 1000000000000.0, expected 0 to 600 pixels"),
        (64, "areas is not a list"),
        (["64"] * 4, "frame 0: areas: expected a finite number, found '64'"),
        ([True] * 4, "expected a finite number, found True"),
    ],
)
def test_areas_that_are_none_are_faults(tmp_path, areas, message):
    root = written(tmp_path, track_with(areas=areas))
    with pytest.raises(DatasetError, match=message):
        load_folder(root)
    with pytest.raises(DatasetError, match=message):
        read_annotations(root / "instances.json")


def test_masks_say_whether_an_instance_is_there_whatever_the_areas(tmp_path):
    empty = encode(np.zeros((20, 30), bool))
    masks = [square(2, 3, 8)] * 3 + [empty]
    dataset = load_folder(
        written(tmp_path, track_with(areas=[64, 0, 0, 5], segmentations=masks, bboxes=None))
    )
    [track] = dataset.tracks
    assert track.areas == (64, 64, 64, 0)
    assert [track.visible(frame) for frame in range(4)] == [True, True, True, False]
    data = DataConfig(clip_length=4, clip_order="sorted", train_sizes=[(32, 32)])
    _, targets = ClipDataset(dataset, data, seed=0)[0]
    assert targets.present[:, 0].tolist() == [True, True, True, False]


@pytest.mark.parametrize(
    "box",
    [[2, 3, 0, 0], [2, 3, 0.5, 8], [2, 3, -8, -8], [100, 0, 5, 5], [-8, 3, 8, 8], [29.5, 3, 8, 8]],
)
def test_masks_say_whether_an_instance_is_there_whatever_the_boxes(tmp_path, box):
    dataset = load_folder(written(tmp_path, track_with(bboxes=[[1.5, 2, 9, 9], box, None, box])))
    [track] = dataset.tracks
    assert track.boxes == ((1.5, 2, 9, 9), (3, 3, 8, 8), (4, 3, 8, 8), (5, 3, 8, 8))
    data = DataConfig(clip_length=4, clip_order="sorted", train_sizes=[(32, 32)])
    _, targets = ClipDataset(dataset, data, seed=0)[0]
    assert targets.present.all()
    [length, speed, occlusion, _] = slicings(dataset)
    assert length.numbers == {track.id: 4}
    assert 0 < speed.numbers[track.id] < 1
    assert occlusion.numbers == {track.id: 0}


@pytest.mark.parametrize(
    ("corner", "message"),
    [
        (None, "frame 1: a polygon is a list of numbers .* not None"),
        (float("nan"), "frame 1: a polygon's corner at nan is far outside the frame"),
        (2e8, "frame 1: a polygon's corner at 200000000.0 is far outside the frame"),
        (float("-inf"), "frame 1: a polygon's corner at -inf is far"),
        ("5", "frame 1: a polygon is a list of numbers .* not '5'"),
        ([5], "frame 1: a polygon is a list of numbers"),
    ],
)
def test_a_polygon_with_null_nan_or_2e8_is_named_and_eats_no_memory(tmp_path, corner, message):
    good = square(2, 3, 8)
    masks = [good, [[1, 1, 9, 1, corner, 9]], good, good]
    root = written(tmp_path, track_with(segmentations=masks))
    with pytest.raises(DatasetError, match=rf"track 10 \(video 1\): {message}"):
        load_folder(root)
    assert len(examine(root).faults) == 1
    with pytest.raises(DatasetError, match=message):
        read_annotations(root / "instances.json")


def test_polygons_may_stick_out_a_little(tmp_path):
    masks = [[[-1.5, -2, 40, -2, 40, 30, -1.5, 30]]] * 4
    [track] = load_folder(written(tmp_path, track_with(segmentations=masks))).tracks
    assert track.areas == (600,) * 4


def test_a_track_of_more_than_255_frames_without_areas(tmp_path):
    raw = annotation_file(1, 300)
    raw["annotations"] = [track_entry(1, 1, 1, 300, absent=range(290, 300))]
    raw["annotations"][0]["segmentations"][:290] = [square(2, 3, 8)] * 290
    [track] = load_folder(write_folder(tmp_path, raw)).tracks
    assert track.areas == (64.0,) * 290 + (None,) * 10
    assert areas_of([square(2, 3, 8)] * 300) == [64.0] * 300


@pytest.mark.parametrize("value", [{}, {"1": {}}, "none", 5, False])
def test_annotations_that_are_no_list_are_a_fault(tmp_path, value):
    root = written(tmp_path, lambda raw: raw.update(annotations=value))
    with pytest.raises(DatasetError, match=r"instances\.json: annotations is not a list"):
        load_folder(root)
    with pytest.raises(DatasetError, match="annotations is not a list"):
        read_annotations(root / "instances.json")


def test_categories_that_are_no_list_are_a_fault(tmp_path):
    root = written(tmp_path, lambda raw: raw.update(categories={"1": "cat"}))
    assert "it has no list 'categories'" in str(examine(root).faults[0])


# --- images --------------------------------------------------------------------------------------

LEVELS = np.arange(24, dtype=np.uint8).reshape(4, 6) * 10


def test_a_gray_png_of_16_bits_is_scaled(tmp_path):
    Image.fromarray(LEVELS.astype(np.uint16) * 257).save(tmp_path / "a.png")
    assert (read_frame(tmp_path / "a.png").numpy() == LEVELS).all()


@pytest.mark.parametrize(("dtype", "kind"), [(np.float32, "floating-point"), (np.int32, "32-bit")])
def test_a_tiff_whose_white_is_not_known_is_refused_by_name(tmp_path, dtype, kind):
    Image.fromarray(LEVELS.astype(dtype)).save(tmp_path / "a.tif")
    with pytest.raises(UserError, match=rf"a\.tif: holds {kind} levels.*save it with 8 or 16"):
        read_frame(tmp_path / "a.tif")
    video = Video(1, "v", LEVELS.shape[1], LEVELS.shape[0], (tmp_path / "a.tif",))
    [fault] = wrong_images(VideoDataset("d", (video,), (), {}, tmp_path), set())
    assert f"a.tif: video 1 (v), frame 0: holds {kind} levels" in str(fault)


def oriented(path, orientation, pixels):
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.fromarray(pixels).save(path, exif=exif, quality=95)


@pytest.mark.parametrize(
    ("orientation", "upright"),
    [
        (1, lambda p: p),
        (2, lambda p: p[:, ::-1]),
        (3, lambda p: p[::-1, ::-1]),
        (4, lambda p: p[::-1]),
        (5, lambda p: p.swapaxes(0, 1)),
        (6, lambda p: np.rot90(p, -1)),
        (7, lambda p: np.rot90(p, 2).swapaxes(0, 1)),
        (8, lambda p: np.rot90(p, 1)),
    ],
)
def test_a_photo_is_turned_as_its_orientation_says(tmp_path, orientation, upright):
    pixels = np.zeros((16, 32, 3), np.uint8)
    pixels[:8, :16], pixels[:8, 16:], pixels[8:, :16] = (200, 0, 0), (0, 200, 0), (0, 0, 200)
    for name in ("a.jpg", "a.png", "a.webp"):
        oriented(tmp_path / name, orientation, pixels)
        found = read_frame(tmp_path / name).permute(1, 2, 0).numpy().astype(int)
        expected = upright(pixels)
        assert found.shape == expected.shape
        inner = np.abs(found - expected)[2:-2, 2:-2]
        assert np.median(inner) <= 12, name


def test_the_check_measures_photos_as_they_are_shown(tmp_path):
    raw = annotation_file(1)
    raw["videos"][0]["file_names"] = [f"v1/{t:05d}.jpg" for t in range(4)]
    root = write_folder(tmp_path, raw)
    for path in sorted((root / "JPEGImages" / "v1").iterdir()):
        oriented(path, 6, np.zeros((30, 20, 3), np.uint8))
    assert examine(root).faults == []
    assert read_frame(root / "JPEGImages/v1/00000.jpg").shape == (3, 20, 30)
    oriented(root / "JPEGImages/v1/00000.jpg", 6, np.zeros((20, 30, 3), np.uint8))
    [fault] = examine(root).faults
    assert "image of 20x30, but the annotation says 30x20" in str(fault)


def test_an_image_of_20000x20000_is_named(tmp_path):
    root = written(tmp_path, lambda raw: None)
    path = root / "JPEGImages" / "v1" / "00000.png"
    content = bytearray(path.read_bytes())
    content[16:24] = (20000).to_bytes(4, "big") * 2
    from zlib import crc32

    content[29:33] = crc32(bytes(content[12:29])).to_bytes(4, "big")
    path.write_bytes(content)
    with pytest.raises(UserError, match=r"00000\.png: cannot be read as an image: .*decompression"):
        read_frame(path)
    [fault] = examine(root).faults
    assert "v1/00000.png: video 1 (v1), frame 0: not an image: " in str(fault)


def test_json_that_no_parser_takes_is_named(tmp_path):
    for text, message in (("[" * 100_000, "nested too deeply"), ("9" * 5000, "not valid JSON")):
        (tmp_path / "train.json").write_text(text)
        with pytest.raises(UserError, match=rf"train\.json: {message}"):
            load_folder(tmp_path)


def test_names_that_no_file_can_have_are_faults(tmp_path):
    for name in ("v1/\0.png", "v1/" + "x" * 300 + ".png", "v1/\ud800.png", ""):
        root = written(tmp_path, lambda raw: None)
        raw = annotation_file(1)
        raw["videos"][0]["file_names"][1] = name
        (root / "instances.json").write_text(json.dumps(raw))
        with pytest.raises(DatasetError, match=r"video 1.*(no such image|file_names)"):
            load_folder(root)
        assert examine(root).faults
