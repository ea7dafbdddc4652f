"""Annotation files and results, damaged: they work, or one error names the file."""

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.ap.evaluate import evaluate
from core.config.schema import DataConfig
from core.data.annotations import read_annotations
from core.data.check import examine, sound_part
from core.data.clips import ClipDataset
from core.data.convert.formats import convert
from core.data.export import export_results
from core.data.rle import decode, run_lengths
from core.data.split import make_split
from core.data.youtube_vis import load_folder
from tests.core.data.convert.test_convert import burst, mots, vipseg
from tests.core.data.folders import annotation_file, square, track_entry, write_folder
from tests.core.fuzz.mutations import edited_bytes, edited_trees, fuzzed, works_or_one_error

DATA = DataConfig(clip_length=2, train_sizes=[(32, 32)])


def sound():
    """Two videos; masks in every form, areas and boxes."""
    raw = annotation_file(2, 3)
    mask = square(2, 3, 8)
    raw["annotations"].append(
        track_entry(30, 2, 1, 3)
        | {
            "segmentations": [
                [[5, 4, 15, 4, 15, 12, 5, 12]],
                {"size": [20, 30], "counts": run_lengths(mask["counts"]).tolist()},
                None,
            ],
            "areas": [80.0, 64, None],
            "bboxes": [[5, 4, 10, 8], [2, 3, 8, 8], None],
        }
    )
    return raw


RESULTS = [
    {
        "video_id": video,
        "category_id": 1,
        "score": 0.5,
        "segmentations": [square(2 + t, 3, 8) for t in range(3)],
    }
    for video in (1, 2)
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return write_folder(tmp_path_factory.mktemp("data"), sound())


def use(folder, text):
    """Everything that reads an annotation file."""
    path = folder / "instances.json"
    path.write_bytes(text)
    results = [r for r in RESULTS if r["video_id"] == 1]
    with works_or_one_error(path):
        evaluate(read_annotations(path), results, workers=1)
    with works_or_one_error(path, folder):
        dataset = load_folder(folder)
        make_split(dataset, DATA)
        ClipDataset(dataset, DATA, seed=0)[0]
    with works_or_one_error("cannot be left out", "no video is without faults"):
        examined = examine(folder)
        if examined.faults:
            try:
                raw = json.loads(text)
            except (ValueError, RecursionError):
                return
            if isinstance(raw, dict):
                part = sound_part(raw, examined.faults)
                (folder / "part.json").write_text(json.dumps(part))
                assert examine(folder, "part.json").faults == []


@fuzzed
@given(tree=edited_trees(sound()))
def test_annotation_files_with_other_values(folder, tree):
    use(folder, json.dumps(tree).encode())


@fuzzed
@given(text=edited_bytes(json.dumps(sound()).encode()))
def test_annotation_files_with_other_bytes(folder, text):
    use(folder, text)


@fuzzed
@given(tree=edited_trees(RESULTS))
def test_results_with_other_values(folder, tree):
    truth, results = folder / "truth.json", folder / "results.json"
    truth.write_text(json.dumps(sound()))
    results.write_text(json.dumps(tree))
    with works_or_one_error(results):
        evaluate(read_annotations(truth), results, workers=1)
    with works_or_one_error(results):
        export_results(truth, results, folder / "out.zip", allow_missing=True)


# --- other formats ---


@pytest.fixture(scope="module")
def formats(tmp_path_factory):
    """A folder of each format, with images and masks."""
    root = tmp_path_factory.mktemp("formats")
    for make in (burst, vipseg):
        folder = root / make.__name__
        content = json.dumps(make(folder))
        (folder / "sound.json").write_text(content)
    mots(root / "mots")
    return root


def converted(kind, source, out, images=None):
    out.unlink(missing_ok=True)
    with works_or_one_error(source, source.parent):
        convert(kind, source, out, images)
        examine(out)


@pytest.mark.parametrize("kind", ["burst", "vipseg"])
@fuzzed
@given(data=st.data())
def test_files_of_other_formats(formats, kind, data):
    root = formats / kind
    sound = json.loads((root / "sound.json").read_text())
    path = root / "train.json"
    if data.draw(st.booleans()):
        path.write_text(json.dumps(data.draw(edited_trees(sound))))
    else:
        path.write_bytes(data.draw(edited_bytes(json.dumps(sound).encode())))
    converted(kind, path, formats / "out.json", root / "frames" if kind == "burst" else None)


@fuzzed
@given(data=st.data())
def test_lines_of_mots(formats, data):
    path = formats / "mots" / "instances_txt" / "0002.txt"
    sound = path.read_bytes()
    path.write_bytes(data.draw(edited_bytes(sound)))
    try:
        converted("mots", formats / "mots", formats / "out.json")
    finally:
        path.write_bytes(sound)


@fuzzed
@given(counts=st.text(st.characters(min_codepoint=40, max_codepoint=115), max_size=30))
def test_any_compressed_counts(counts):
    try:
        pixels = decode({"size": [20, 30], "counts": counts})
    except ValueError:
        return
    assert pixels.shape == (20, 30)
    assert int(np.asarray(run_lengths(counts))[1::2].sum()) == pixels.sum()


def test_the_sound_files_are_sound(folder):
    path = folder / "instances.json"
    path.write_text(json.dumps(sound()))
    assert examine(folder).faults == []
    assert evaluate(read_annotations(path), RESULTS).videos == 2
    assert isinstance(path, Path)


def test_the_sound_files_of_other_formats_are_sound(formats):
    for kind, source in (("burst", "sound.json"), ("vipseg", "sound.json"), ("mots", ".")):
        out = formats / f"{kind}.json"
        images = formats / "burst" / "frames" if kind == "burst" else None
        convert(kind, formats / kind / source, out, images)
        assert examine(out).faults == []
        assert len(load_folder(out).tracks) >= 1
