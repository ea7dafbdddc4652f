"""The zip for the servers: exact content, and everything wrong found before it is written."""

import json
import zipfile

import numpy as np
import pytest

from core.data.export import export_results
from core.data.rle import decode, encode
from core.errors import UserError

HEIGHT, WIDTH = 6, 8
ANNOTATIONS = {
    "info": {"description": "as published: no annotations"},
    "videos": [
        {"id": i, "height": HEIGHT, "width": WIDTH, "length": 2, "file_names": [f"{n}/0.jpg"] * 2}
        for i, n in ((1, "dog"), (2, "cat"), (4, "owl"))
    ],
    "categories": [{"id": 1, "name": "person"}, {"id": 2, "name": "dog"}],
    "annotations": None,
}
MASK = encode(np.eye(HEIGHT, WIDTH, dtype=bool))


def track(video=1, **changes):
    return {
        "video_id": video,
        "category_id": 2,
        "score": 0.25,
        "segmentations": [MASK, None],
    } | changes


@pytest.fixture
def export(tmp_path):
    def run(results, *, annotations=ANNOTATIONS, out="out.zip", **options):
        (tmp_path / "valid.json").write_text(json.dumps(annotations))
        (tmp_path / "predictions.json").write_text(json.dumps(results))
        return export_results(
            tmp_path / "valid.json", tmp_path / "predictions.json", tmp_path / out, **options
        )

    return run


ALL = [track(4), track(1), track(2, score=1), track(1, category_id=1)]


def test_the_zip_holds_results_json_alone_with_the_servers_keys(export):
    floats = {**MASK, "size": [float(HEIGHT), float(WIDTH)]}
    given = [{**t, "id": 9, "note": "dropped", "segmentations": [floats, None]} for t in ALL]
    done = export(given)
    assert (done.videos, done.tracks, done.missing) == (3, 4, ())
    with zipfile.ZipFile(done.path) as archive:
        assert archive.namelist() == ["results.json"]
        assert archive.testzip() is None
        content = json.loads(archive.read("results.json"))
    assert content == ALL
    assert json.dumps(content[0]["segmentations"][0]["size"]) == f"[{HEIGHT}, {WIDTH}]"
    assert all(
        set(t) == {"video_id", "category_id", "score", "segmentations"}
        and isinstance(t["score"], float)
        for t in content
    )
    assert (decode(content[0]["segmentations"][0]) == np.eye(HEIGHT, WIDTH)).all()


def test_the_same_results_give_the_same_bytes(export):
    first = export(ALL).path.read_bytes()
    assert export(ALL, out="again.zip").path.read_bytes() == first


def test_videos_without_a_track_are_named(export, tmp_path):
    with pytest.raises(UserError) as caught:
        export([track(2)])
    lines = str(caught.value).splitlines()
    assert "has no track for 2 of 3 videos (--allow-missing writes it nevertheless):" in lines[0]
    assert lines[1:] == ["  video 1 (dog)", "  video 4 (owl)"]
    assert not (tmp_path / "out.zip").exists()


def test_videos_without_a_track_may_be_allowed(export):
    done = export([track(2)], allow_missing=True)
    assert done.missing == ("video 1 (dog)", "video 4 (owl)")
    assert zipfile.ZipFile(done.path).namelist() == ["results.json"]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"video_id": 3}, r"result 4 \(video 3\): unknown video_id 3; known: 1, 2, 4"),
        ({"category_id": 0}, "unknown category_id 0; known: 1 .person., 2 .dog."),
        ({"segmentations": [MASK]}, "1 segmentations, but video 'dog' has 2 frames"),
        ({"segmentations": [None, {**MASK, "size": [8, 6]}]}, r"frame 1: mask of size \[8, 6\]"),
        ({"segmentations": [None, {**MASK, "counts": "1"}]}, "frame 1: run lengths add up to 1"),
        ({"segmentations": [None, {**MASK, "counts": [48]}]}, "frame 1: a mask is null or a comp"),
        ({"score": float("nan")}, "score nan is not a finite number"),
        ({"score": None}, "score None is not a finite number"),
    ],
)
def test_what_the_server_would_refuse_is_not_written(export, tmp_path, changes, message):
    with pytest.raises(UserError, match=message) as caught:
        export([*ALL, track(**changes)])
    assert "predictions.json: the server would refuse" in str(caught.value)
    assert list(tmp_path.glob("*.zip")) == []


def test_an_earlier_zip_stays_if_the_new_results_are_refused(export):
    before = export(ALL).path.read_bytes()
    with pytest.raises(UserError):
        export([*ALL, track(9)])
    assert export(ALL).path.read_bytes() == before


def test_results_that_are_no_list(export):
    with pytest.raises(UserError, match="results are a list of tracks, not dict"):
        export({"annotations": ALL})


def test_other_annotation_files(export):
    with pytest.raises(
        UserError, match=r"valid.json: not a YouTube-VIS or COCO file: it has no list 'videos'"
    ):
        export(ALL, annotations={"clips": []})
    with pytest.raises(UserError, match=r"valid\.json: holds images, but the servers take results"):
        export(ALL, annotations={"images": [], "categories": []})


def test_the_name_must_end_in_zip(export):
    with pytest.raises(UserError, match=r"out.json: the servers take a zip"):
        export(ALL, out="out.json")


def test_files_that_are_not_there(tmp_path):
    with pytest.raises(UserError, match=r"valid.json: no such file"):
        export_results(tmp_path / "valid.json", tmp_path / "p.json", tmp_path / "out.zip")
