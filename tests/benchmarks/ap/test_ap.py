"""AP against pycocotools on decoded pixels, its invariances, and the forms of ground truth."""

import copy
import json
import random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks.ap.evaluate import AP_FIGURES, ap_record
from benchmarks.ap.tracks import NO_MASK
from core.data.rle import run_lengths
from core.errors import UserError
from tests.benchmarks.ap.ap_cases import (
    HEIGHT,
    WIDTH,
    box_mask,
    evaluate,
    masks_of,
    random_case,
    reference_scores,
    same,
    summary,
    video_entry,
)

seeds = st.integers(0, 2**32 - 1)


def one_video(*tracks, length=1, categories=("thing",)):
    """Ground truth of a single video; a track is (box a frame, more annotation fields)."""
    return {
        "videos": [video_entry(7, length)],
        "categories": [{"id": i + 1, "name": name} for i, name in enumerate(categories)],
        "annotations": [
            {
                "id": i + 1,
                "video_id": 7,
                "category_id": 1,
                "iscrowd": 0,
                "segmentations": masks_of(boxes),
                **more,
            }
            for i, (boxes, more) in enumerate(tracks)
        ],
    }


def predicted(boxes, score=0.9, category=1):
    return {
        "video_id": 7,
        "category_id": category,
        "score": score,
        "segmentations": masks_of(boxes),
    }


BOX = (10, 20, 90, 120)


@settings(max_examples=40)
@given(seed=seeds, ties=st.booleans())
def test_equals_pycocotools_on_pixels(seed, ties):
    ground_truth, results = random_case(seed, ties=ties)
    figures, per_class = reference_scores(ground_truth, results)
    scored = evaluate(ground_truth, results)
    assert same(summary(scored.figures), figures)
    assert same(scored.per_class, {f"class {k}": v for k, v in per_class.items()})


def test_the_random_cases_have_every_size_and_middling_scores():
    scores = [evaluate(*random_case(seed)).figures for seed in range(20)]
    for name in AP_FIGURES:
        values = [s[name] for s in scores if s[name] is not None]
        assert any(0 < value < 1 for value in values), name


@settings(max_examples=15)
@given(seed=seeds, shuffler=st.randoms(use_true_random=False))
def test_order_and_names_of_videos_and_categories_do_not_matter(seed, shuffler):
    ground_truth, results = random_case(seed)
    before = evaluate(ground_truth, results)
    videos = [video["id"] for video in ground_truth["videos"]]
    renamed = dict(zip(videos, shuffler.sample(range(1000), len(videos)), strict=True))
    numbered = {c: 10 * c for c in range(1, 5)}
    for entry in [*ground_truth["annotations"], *results]:
        entry["video_id"] = renamed[entry["video_id"]]
        entry["category_id"] = numbered[entry["category_id"]]
    for video in ground_truth["videos"]:
        video["id"] = renamed[video["id"]]
    for category in ground_truth["categories"]:
        category["id"] = numbered[category["id"]]
    for entries in (ground_truth["videos"], ground_truth["categories"], results):
        shuffler.shuffle(entries)
    after = evaluate(ground_truth, results)
    assert same(before.figures, after.figures, 1e-12)
    assert same(before.per_class, after.per_class, 1e-12)


def test_the_order_of_videos_in_the_file_does_not_decide_ties():
    ground_truth, results = random_case(5, ties=True)
    before = evaluate(ground_truth, results).figures
    random.Random(0).shuffle(ground_truth["videos"])
    assert evaluate(ground_truth, results).figures == before


@pytest.mark.parametrize("workers", [2, 3, 50])
def test_processes_do_not_change_the_figures(workers):
    ground_truth, results = random_case(3, videos=9)
    alone = evaluate(ground_truth, results, workers=1)
    together = evaluate(ground_truth, results, workers=workers)
    assert together.figures == alone.figures
    assert together.per_class == alone.per_class


def test_inputs_are_left_as_they_were():
    ground_truth, results = random_case(8)
    before = copy.deepcopy((ground_truth, results))
    evaluate(ground_truth, results)
    assert (ground_truth, results) == before


def test_the_ground_truth_as_prediction_is_perfect():
    ground_truth, _ = random_case(1, videos=8)
    ground_truth["annotations"] = [
        a | {"iscrowd": 0} for a in ground_truth["annotations"] if any(a["segmentations"])
    ]
    figures = evaluate(
        ground_truth, [a | {"score": 0.5} for a in ground_truth["annotations"]]
    ).figures
    # two instances of a class in one video cannot both be found by one track
    assert 0 < figures.pop("AR1") < 1
    assert figures == pytest.approx(dict.fromkeys(figures, 1.0))


def test_no_results_score_zero():
    scored = evaluate(one_video(([BOX], {})), [])
    assert scored.figures == dict.fromkeys(AP_FIGURES, 0.0) | dict.fromkeys(
        ("APm", "APl", "ARm", "ARl")
    )
    assert scored.per_class == {"thing": 0.0}


def test_recall_of_a_class_is_that_of_its_tracks_alone():
    ground_truth, results = random_case(3, videos=6, predictions=12)
    recalls = evaluate(ground_truth, results).recall_per_class
    assert len(set(recalls.values())) > 1
    for category in ground_truth["categories"]:
        annotations, found = (
            [entry for entry in entries if entry["category_id"] == category["id"]]
            for entries in (ground_truth["annotations"], results)
        )
        alone = evaluate(ground_truth | {"annotations": annotations}, found)
        assert recalls[category["name"]] == pytest.approx(alone.figures["AR100"], abs=1e-12)


def test_without_annotated_tracks_every_figure_is_absent():
    ground_truth = one_video() | {"annotations": []}
    assert set(evaluate(ground_truth, [predicted([BOX])]).figures.values()) == {None}


def test_categories_without_annotated_tracks_are_absent():
    ground_truth = one_video(([BOX], {}), categories=("there", "absent"))
    scored = evaluate(ground_truth, [predicted([BOX]), predicted([BOX], category=2)])
    assert scored.per_class == {"there": pytest.approx(1.0), "absent": None}
    assert scored.recall_per_class == {"there": pytest.approx(1.0), "absent": None}
    assert scored.figures["AP"] == pytest.approx(1.0)


def test_categories_of_one_name_are_told_apart():
    scored = evaluate(one_video(([BOX], {}), categories=("dog", "dog", "cat")), [])
    assert list(scored.per_class) == ["dog (1)", "dog (2)", "cat"]


def test_the_overlap_is_over_all_frames_not_their_mean():
    # 1 of 1 pixels in the first frame, 0 of 2000 in the second: mean 0.5, together 1/2001
    ground_truth = one_video(([(0, 0, 1, 1), (0, 0, 20, 50)], {}), length=2)
    results = [predicted([(0, 0, 1, 1), (100, 100, 120, 150)])]
    assert evaluate(ground_truth, results).figures["AP50"] == 0


def test_nulls_count_in_the_union():
    ground_truth = one_video(([BOX, BOX, BOX], {}), length=3)
    twice = evaluate(ground_truth, [predicted([BOX, None, BOX])]).figures
    assert twice["AP50"] == pytest.approx(1.0)
    assert twice["AP75"] == 0  # 2/3
    once = evaluate(ground_truth, [predicted([BOX, None, None])]).figures
    assert once["AP50"] == 0  # 1/3


def test_exactly_half_an_overlap_matches():
    ground_truth = one_video(([(0, 0, 20, 50)], {}))
    assert evaluate(ground_truth, [predicted([(0, 0, 10, 50)])]).figures["AP50"] == (
        pytest.approx(1.0)
    )
    assert evaluate(ground_truth, [predicted([(0, 0, 9, 50)])]).figures["AP50"] == 0


@pytest.mark.parametrize(
    ("side", "sizes"), [(127, "s"), (128, "sm"), (129, "m"), (256, "ml"), (257, "l")]
)
def test_bounds_of_the_sizes_belong_to_both(side, sizes):
    ground_truth = one_video(([(0, 0, side, side)], {}))
    figures = evaluate(ground_truth, [predicted([(0, 0, side, side)])]).figures
    assert {s for s in "sml" if figures[f"AP{s}"] is not None} == set(sizes)


def test_size_is_what_the_file_says_and_else_the_mean_over_frames_that_are_not_empty():
    tracks = [(0, 0, 200, 200), None, (0, 0, 1, 1)]
    by_masks = evaluate(one_video((tracks, {}), length=3), [])
    assert by_masks.figures["APm"] == 0  # 20000.5
    assert by_masks.figures["APs"] is None
    told = one_video((tracks, {"areas": [1, None, 0]}), length=3)
    assert evaluate(told, []).figures["APs"] == 0


def test_unmatched_tracks_of_another_size_do_not_count_against_a_size():
    ground_truth = one_video(([BOX], {}))
    large = predicted([(0, 0, HEIGHT, WIDTH)], score=0.95)
    figures = evaluate(ground_truth, [large, predicted([BOX])]).figures
    assert figures["APs"] == pytest.approx(1.0)
    assert figures["AP"] == pytest.approx(0.5)


def test_crowds_need_not_be_found_and_absorb_any_number_of_tracks():
    crowd = ([BOX], {"iscrowd": 1})
    ground_truth = one_video(([(150, 150, 250, 250)], {}), crowd)
    results = [predicted([BOX], 0.9), predicted([BOX], 0.8), predicted([(150, 150, 250, 250)], 0.1)]
    scored = evaluate(ground_truth, results)
    assert scored.figures["AP"] == pytest.approx(1.0)
    assert scored.instances == 1


def test_an_annotation_with_id_0_is_found():
    ground_truth = one_video(([BOX], {"id": 0}))
    assert evaluate(ground_truth, [predicted([BOX])]).figures["AP"] == pytest.approx(1.0)


def test_only_the_best_100_tracks_of_a_video_and_class_count():
    ground_truth = one_video(([BOX], {}))
    others = [predicted([(200, 200, 210, 210)], score=0.5) for _ in range(99)]
    last = predicted([BOX], score=0.1)
    assert evaluate(ground_truth, [*others, last]).figures["AR100"] == 1
    assert evaluate(ground_truth, [*others, others[0], last]).figures["AR100"] == 0
    # the first of equal scores come first
    tied = predicted([BOX], score=0.5)
    assert evaluate(ground_truth, [tied, *others, others[0]]).figures["AR1"] == 1


def test_more_masks_a_video_than_pycocotools_measures_at_once():
    ground_truth = one_video(([BOX] * 300, {}), length=300)
    assert evaluate(ground_truth, [predicted([BOX] * 300)]).figures["AP"] == pytest.approx(1.0)


def test_the_stand_in_for_null_overlaps_nothing():
    from pycocotools import mask as coco

    everything = box_mask(0, 0, HEIGHT, WIDTH)
    assert coco.iou([NO_MASK, everything], [everything], [1]).ravel().tolist() == [0, 1]
    assert coco.iou([everything], [NO_MASK], [1]).ravel().tolist() == [0]


def forms(mask):
    top, left, bottom, right = BOX
    return {
        "compressed": mask,
        "bytes": {"size": mask["size"], "counts": mask["counts"].encode()},
        "uncompressed": {"size": mask["size"], "counts": run_lengths(mask["counts"]).tolist()},
        "polygon": [[left, top, left, bottom, right, bottom, right, top]],
    }


@pytest.mark.parametrize("form", ["compressed", "bytes", "uncompressed", "polygon"])
def test_every_form_of_annotation_scores_alike(form):
    ground_truth = one_video(([BOX, None], {}), length=2)
    ground_truth["annotations"][0]["segmentations"][0] = forms(box_mask(*BOX))[form]
    assert evaluate(ground_truth, [predicted([BOX, None])]).figures["AP"] == pytest.approx(1.0)


def test_files_score_like_their_content(tmp_path):
    ground_truth, results = random_case(11)
    (tmp_path / "gt.json").write_text(json.dumps(ground_truth))
    (tmp_path / "results.json").write_text(json.dumps(results))
    from_files = evaluate(tmp_path / "gt.json", tmp_path / "results.json")
    assert from_files.figures == evaluate(ground_truth, results).figures


def test_numpy_scores_and_ids_are_numbers():
    ground_truth = one_video(([BOX], {}))
    entry = predicted([BOX]) | {"score": np.float32(0.5), "video_id": np.int64(7)}
    assert evaluate(ground_truth, [entry]).figures["AP"] == pytest.approx(1.0)


@pytest.mark.parametrize("absent", [{}, {"annotations": None}])
def test_a_published_validation_file_has_nothing_to_score_against(absent):
    ground_truth = {k: v for k, v in one_video().items() if k != "annotations"} | absent
    with pytest.raises(UserError, match=r"has no annotations.*tevit data export"):
        evaluate(ground_truth, [])


def test_a_ground_truth_without_videos_is_an_error():
    with pytest.raises(UserError, match="has no videos"):
        evaluate({"videos": [], "categories": [], "annotations": []}, [])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"video_id": 8}, r"track 1 \(video 8\): unknown video id 8"),
        ({"category_id": 5}, r"track 1 \(video 7\): unknown category 5; the file has 1"),
        ({"video_id": [7]}, r"track 1 \(video \[7\]\): video_id is \[7\], expected a whole number"),
        ({"category_id": {}}, r"track 1 \(video 7\): category_id is {}, expected a whole number"),
        ({"segmentations": []}, "0 segmentations, but the video has 1 frames"),
        ({"segmentations": None}, "segmentations is not a list"),
        (
            {"segmentations": [{"size": [3, 4], "counts": "<"}]},
            r"track 1 \(video 7\): frame 0: .*\[3, 4\]",
        ),
        (
            {"segmentations": [{"size": [HEIGHT, WIDTH], "counts": [5, 6]}]},
            "frame 0: run lengths add up to 11",
        ),
    ],
)
def test_faults_of_the_ground_truth_name_the_annotation(change, message):
    with pytest.raises(UserError, match=message):
        evaluate(one_video(([BOX], change)), [])


def test_missing_fields_of_an_annotation_are_named():
    ground_truth = one_video(([BOX], {}))
    del ground_truth["annotations"][0]["category_id"]
    with pytest.raises(UserError, match=r"track 1 \(video 7\): category_id is None"):
        evaluate(ground_truth, [])


def test_faults_of_results_are_named_with_those_of_masks():
    ground_truth = one_video(([BOX], {}))
    bad = predicted([BOX]) | {"segmentations": [{"size": [HEIGHT, WIDTH], "counts": "Q1370"}]}
    with pytest.raises(UserError, match=r"result 1 \(video 7\): frame 0: run lengths add up to"):
        evaluate(ground_truth, [predicted([BOX]), bad])
    with pytest.raises(UserError, match=r"results that do not fit truth\.json"):
        evaluate(ground_truth, [predicted([BOX]) | {"score": float("nan")}])


def test_odd_but_valid_masks_score_like_plain_ones():
    ground_truth = one_video(([BOX, BOX], {}), length=2)
    plain = predicted([BOX, BOX])
    counts = plain["segmentations"][0]["counts"]
    first = next(i for i, c in enumerate(counts) if c < "P")
    odd = chr(ord(counts[first]) + 32) + "P" * 7 + "0"
    padded = {"size": [HEIGHT, WIDTH], "counts": counts[:first] + odd + counts[first + 1 :]}
    assert (run_lengths(padded["counts"]) == run_lengths(counts)).all()
    entry = plain | {"segmentations": [padded, plain["segmentations"][1]]}
    assert evaluate(ground_truth, [entry]).figures["AP"] == pytest.approx(1.0)


def test_the_record_holds_figures_and_protocol():
    ground_truth, results = random_case(2)
    scored = evaluate(ground_truth, results)
    record = ap_record(scored, {"data": "random", "seed": 2})
    assert record["kind"] == "ap"
    assert record["schema"] == 1
    assert record["figures"] == scored.figures
    assert record["per_class"] == scored.per_class
    assert record["protocol"] == {
        "data": "random",
        "seed": 2,
        "videos": 4,
        "instances": sum(not a["iscrowd"] for a in ground_truth["annotations"]),
        "tracks": len(results),
    }
    assert json.loads(json.dumps(record, allow_nan=False)) == record
