"""Every fault of a results file is found, and named by entry; no sound one is."""

import json
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.data.annotations import DatasetError, parse, read_annotations
from core.data.dataset import Video, VideoDataset
from core.data.results import entry_faults, mask_faults, raise_faults
from core.data.rle import MASKS_A_STEP, check_counts, encode, mask_areas, run_lengths
from core.errors import UserError

EXPECTED = VideoDataset(
    name="expected",
    videos=(
        Video(3, "dog", 8, 6, (Path("0.jpg"), Path("1.jpg"))),
        Video(5, "cat", 8, 6, (Path("0.jpg"),)),
    ),
    tracks=(),
    categories={1: "person", 7: "dog"},
    annotations_path=Path("valid.json"),
)


def mask(*pixels, height=6, width=8):
    found = np.zeros((height, width), bool)
    for row, column in pixels:
        found[row, column] = True
    return encode(found)


def entry(**changes):
    sound = {
        "video_id": 3,
        "category_id": 7,
        "score": 0.5,
        "segmentations": [mask((1, 2), (1, 3)), None],
    }
    return {k: v for k, v in (sound | changes).items() if v is not ...}


def test_sound_results_have_no_faults():
    results = [entry(), entry(score=1, video_id=5, segmentations=[None]), entry(score=-2.5)]
    assert entry_faults(results, EXPECTED) == []
    assert mask_faults(results, EXPECTED) == []
    assert entry_faults([], EXPECTED) == []


@pytest.mark.parametrize(
    ("changes", "fault"),
    [
        ({"video_id": 4}, "result 0 (video 4): unknown video_id 4; known: 3, 5"),
        ({"video_id": "3"}, "result 0 (video '3'): unknown video_id '3'; known: 3, 5"),
        ({"video_id": 3.0}, "result 0 (video 3.0): unknown video_id 3.0; known: 3, 5"),
        ({"video_id": [3]}, "result 0 (video [3]): unknown video_id [3]; known: 3, 5"),
        (
            {"category_id": 2},
            "result 0 (video 3): unknown category_id 2; known: 1 (person), 7 (dog)",
        ),
        (
            {"category_id": True},
            "result 0 (video 3): unknown category_id True; known: 1 (person), 7 (dog)",
        ),
        ({"score": math.nan}, "result 0 (video 3): score nan is not a finite number"),
        ({"score": math.inf}, "result 0 (video 3): score inf is not a finite number"),
        ({"score": np.float32("nan")}, "score np.float32(nan) is not a finite number"),
        ({"score": "0.5"}, "result 0 (video 3): score '0.5' is not a finite number"),
        ({"score": None}, "result 0 (video 3): score None is not a finite number"),
        ({"score": True}, "result 0 (video 3): score True is not a finite number"),
        (
            {"segmentations": [None]},
            "result 0 (video 3): 1 segmentations, but video 'dog' has 2 frames",
        ),
        (
            {"segmentations": None},
            "result 0 (video 3): segmentations are a list, a mask or null a frame, not null",
        ),
        (
            {"score": ...},
            "result 0 (video 3): has no score; a track has video_id, category_id, score, "
            "segmentations",
        ),
        ({"video_id": ..., "segmentations": ...}, "result 0: has no video_id, segmentations;"),
    ],
)
def test_each_fault_names_its_entry_and_what_is_valid(changes, fault):
    (found,) = entry_faults([entry(**changes)], EXPECTED)
    assert fault in found


@pytest.mark.parametrize(
    ("results", "fault"),
    [
        ({"results": []}, "results are a list of tracks, not dict"),
        (None, "results are a list of tracks, not null"),
        ([[1, 2]], "result 0: a track is an object with the keys video_id, category_id, score"),
        ([None], "not null"),
    ],
)
def test_other_things_than_a_list_of_tracks(results, fault):
    (found,) = entry_faults(results, EXPECTED)
    assert fault in found


def test_all_faults_at_once_and_valid_ids_told_once():
    results = [entry(), entry(video_id=9, score=math.inf), entry(category_id=9)]
    results += [entry(video_id=8), entry(video_id=5, segmentations=...)]
    assert entry_faults(results, EXPECTED) == [
        "result 1 (video 9): score inf is not a finite number",
        "result 1 (video 9): unknown video_id 9; known: 3, 5",
        "result 2 (video 3): unknown category_id 9; known: 1 (person), 7 (dog)",
        "result 3 (video 8): unknown video_id 8",
        "result 4 (video 5): has no segmentations; a track has video_id, category_id, score, "
        "segmentations",
    ]


def test_results_of_another_split_are_called_so():
    """Ids begin at 1 in every split: a video of another one may be there, and be longer."""
    (hint, *rest) = entry_faults(
        [entry(), entry(video_id=5, segmentations=[None] * 9), entry(video_id=8)], EXPECTED
    )
    assert hint == (
        "2 of the 3 videos that these results name are not in valid.json, or have another length "
        "there: results of another split?"
    )
    assert len(rest) == 2
    (found,) = entry_faults([entry(), entry(video_id=8)], EXPECTED)
    assert "another split" not in found, "one video may be a slip"


def test_long_lists_of_valid_ids_are_cut():
    many = replace(EXPECTED, videos=tuple(replace(EXPECTED.videos[0], id=i) for i in range(500)))
    (found,) = entry_faults([entry(video_id=-1)], many)
    assert found.endswith("48, 49, ... and 450 more")


BROKEN = [
    ({"size": [8, 6], "counts": "<"}, "mask of size [8, 6], but the video has [6, 8]"),
    ({"counts": "<"}, "mask of size None"),
    ({"size": 48, "counts": "<"}, "mask of size 48"),
    ({"size": [6, 8], "counts": "1"}, "run lengths add up to 1"),
    ({"size": [6, 8], "counts": ""}, "not a compressed mask"),
    ({"size": [6, 8], "counts": "Q1P"}, "not a compressed mask"),
    ({"size": [6, 8], "counts": "hello w\u00f6rld"}, "not a compressed mask"),
    ({"size": [6, 8], "counts": "!0"}, "not a compressed mask"),
    ({"size": [6, 8], "counts": "o" * 30 + "0"}, "not a compressed mask"),
    ({"size": [6, 8], "counts": [40, 8]}, "a mask is null or a compressed RLE"),
    ({"size": [6, 8], "counts": b"<"}, "a mask is null or a compressed RLE"),
    ({"size": [6, 8]}, "a mask is null or a compressed RLE"),
    ([[0, 0, 5, 0, 5, 5]], "a mask is null or a compressed RLE"),
    ([], "a mask is null or a compressed RLE"),
    ("1", "a mask is null or a compressed RLE"),
    ({}, "a mask is null or a compressed RLE"),
    (0, "a mask is null or a compressed RLE"),
]


@pytest.mark.parametrize(("broken", "fault"), BROKEN)
def test_faults_of_masks_name_entry_and_frame(broken, fault):
    good = entry()
    found = mask_faults([good, entry(segmentations=[mask((0, 0)), broken])], EXPECTED)
    assert len(found) == 1
    assert found[0].startswith("result 1 (video 3): frame 1: ")
    assert fault in found[0]


def test_several_broken_frames_are_named_together():
    broken = {"size": [6, 8], "counts": "1"}
    (found,) = mask_faults([entry(segmentations=[broken, broken])], EXPECTED)
    assert "frame 0: run lengths" in found
    assert "frame 1: run lengths" in found


def test_areas_are_pixels_and_0_for_null():
    masks = [mask(), None, mask((0, 0)), mask(*((r, c) for r in range(6) for c in range(8)))]
    assert mask_areas(masks, 6, 8).tolist() == [0, 0, 1, 48]
    assert mask_areas([None, None], 6, 8).tolist() == [0, 0]
    assert mask_areas([], 6, 8).tolist() == []


@pytest.mark.parametrize("size", [(6, 8), [6.0, 8.0]])
def test_sizes_may_be_tuples_or_whole_floats(size):
    masks = [mask((1, 1)), {**mask((2, 2), (3, 3)), "size": size}]
    assert mask_areas(masks, 6, 8).tolist() == [1, 2]


def test_more_masks_than_are_decoded_at_once():
    masks = [mask((1, 1))] * (2 * MASKS_A_STEP + 3)
    assert mask_areas(masks, 6, 8).sum() == len(masks)
    with pytest.raises(ValueError, match=rf"^frame {len(masks)}: run lengths add up to 1"):
        mask_areas([*masks, {"size": [6, 8], "counts": "1"}], 6, 8)


@settings(max_examples=100)
@given(st.data())
def test_random_masks_pass_and_are_measured(data):
    height, width = data.draw(st.integers(1, 70)), data.draw(st.integers(1, 70))
    seed, density = data.draw(st.integers(0, 2**32 - 1)), data.draw(st.floats(0, 1))
    pixels = np.random.default_rng(seed).random((4, height, width)) < density
    found = mask_areas([encode(p) for p in pixels], height, width)
    assert found.tolist() == pixels.sum((1, 2)).tolist()


@settings(max_examples=300)
@given(st.data())
def test_damaged_masks_pass_only_if_their_run_lengths_add_up(data):
    seed = data.draw(st.integers(0, 2**32 - 1))
    sound = encode(np.random.default_rng(seed).random((20, 30)) < 0.3)
    counts = list(sound["counts"])
    for _ in range(data.draw(st.integers(1, 3))):
        place = data.draw(st.integers(0, len(counts) - 1))
        new = data.draw(st.sampled_from([chr(c) for c in range(48, 112)]))
        action = data.draw(st.sampled_from(["replace", "insert", "delete", "cut"]))
        if action == "replace":
            counts[place] = new
        elif action == "insert":
            counts.insert(place, new)
        elif action == "delete" and len(counts) > 1:
            del counts[place]
        elif action == "cut":
            counts = counts[: place + 1]
    damaged = {"size": [20, 30], "counts": "".join(counts)}
    try:
        check_counts(damaged)
        valid = True
    except ValueError:
        valid = False
    try:
        areas = mask_areas([sound, damaged], 20, 30)
    except ValueError as error:
        assert not valid
        assert str(error).startswith("frame 1: ")
    else:
        assert valid
        lengths = run_lengths(damaged["counts"])
        assert (lengths.sum(), lengths[1::2].sum()) == (600, areas[1])


def test_a_first_run_of_the_wrong_sign_is_found():
    # "@" alone is -16; unsigned it would fill the frame
    with pytest.raises(ValueError, match="run lengths add up to -16"):
        mask_areas([{"size": [4, 4], "counts": "@"}], 4, 4)
    assert mask_areas([{"size": [4, 4], "counts": "`0"}], 4, 4).tolist() == [0]


def test_needless_characters_are_odd_but_valid():
    padded = {"size": [2, 2], "counts": "PPPPPPPP04"}
    assert mask_areas([padded, None], 2, 2).tolist() == [4, 0]


def annotations(**changes):
    content = {
        "videos": [
            {
                "id": 3,
                "height": 6,
                "width": 8,
                "length": 2,
                "file_names": ["dog/0.jpg", "dog/1.jpg"],
            }
        ],
        "categories": [{"id": 1, "name": "person"}],
    }
    return content | changes


def read(tmp_path, content):
    path = tmp_path / "valid.json"
    path.write_text(json.dumps(content))
    return read_annotations(path)


def test_videos_and_categories_are_read(tmp_path):
    dataset = read(tmp_path, annotations())
    [video] = dataset.videos
    assert (video.id, video.name, video.height, video.width, video.length) == (3, "dog", 6, 8, 2)
    assert dataset.categories == {1: "person"}
    assert not dataset.annotated
    assert read(tmp_path, annotations(annotations=[])).annotated


def test_length_and_name_may_be_absent_or_given():
    bare = {"id": 3, "height": 6, "width": 8, "file_names": ["0.jpg", "1.jpg"]}
    named = {"id": 4, "height": 6, "width": 8, "file_names": ["0.jpg"], "name": "chosen"}
    videos = parse(annotations(videos=[bare, named]), Path("a.json"), Path(), "a").dataset.videos
    assert [(v.id, v.name, v.length) for v in videos] == [(3, "3", 2), (4, "chosen", 1)]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ([], "valid.json: not a YouTube-VIS or COCO file: it has no list 'videos'"),
        ({"videos": []}, "valid.json: not a YouTube-VIS or COCO file: it has no list 'categories'"),
        (annotations(videos=None), "has no list 'videos'"),
        (annotations(videos=[{"id": 1}]), "valid.json: video 1: file_names is not a list"),
        (annotations(videos=[3]), "valid.json: video at place 0: expected an object, found 3"),
        (
            annotations(categories=[{"id": 1, "name": "a"}, {"id": 1, "name": "b"}]),
            "valid.json: category 1: duplicate id",
        ),
        (
            annotations(categories=[{"id": "1", "name": "a"}]),
            "valid.json: category at place 0: id is '1', expected a whole number",
        ),
        (
            annotations(categories=[{"id": [1], "name": "a"}]),
            r"valid.json: category at place 0: id is \[1\], expected a whole number",
        ),
    ],
)
def test_other_files_are_no_annotation_files(tmp_path, content, message):
    with pytest.raises(DatasetError, match=message):
        read(tmp_path, content)


def test_one_error_lists_the_first_faults_and_counts_the_rest():
    raise_faults([], "nothing")
    with pytest.raises(UserError) as caught:
        raise_faults([f"fault {i}" for i in range(25)], "bad.json:")
    lines = str(caught.value).splitlines()
    assert lines[0] == "bad.json:"
    assert lines[1:11] == [f"  fault {i}" for i in range(10)]
    assert lines[11:] == ["  ... and 15 more"]
