"""AP of parts of the annotated tracks: what each number is, and what each range is scored on."""

import math

import numpy as np
import pytest

from benchmarks.ap.accumulate import accumulate
from benchmarks.ap.evaluate import figures_of
from benchmarks.diagnosis.diagnosis import diagnose
from benchmarks.diagnosis.slices import (
    Slicing,
    read_slicings,
    sliced,
    slicings,
    thirds,
    track_length,
    track_occlusion,
    track_speed,
)
from core.errors import UserError
from tests.benchmarks.ap.ap_cases import random_case, same
from tests.benchmarks.diagnosis.track_cases import (
    BOX,
    OTHER,
    THIRD,
    found,
    read,
    sliced_figures,
    track,
    truth_of,
)


def block(truth, results, slicing):
    """Figures of a slicing, without resamples."""
    return sliced_figures(found(truth, results), slicing)


def tracks_of(*instances, **more):
    return read(truth_of(*instances, frames=len(instances[0]), **more)).tracks


def test_length_is_the_frames_that_show_it():
    (one,) = tracks_of([BOX, None, BOX])
    assert track_length(one) == 2


def test_speed_is_in_sizes_a_frame():
    away = (BOX[0] + 20, BOX[1], BOX[2] + 20, BOX[3])  # half of its 40 pixels
    steady, still, gap, once = tracks_of(
        [BOX, away, BOX], [BOX] * 3, [BOX, None, away], [BOX, None, None]
    )
    assert track_speed(steady) == pytest.approx(0.5)
    assert track_speed(still) == 0
    assert track_speed(gap) == pytest.approx(0.25)
    assert math.isnan(track_speed(once))


def test_occlusion_is_the_mean_of_the_upper_half_of_the_frames():
    quarter = (BOX[0], BOX[1] + 30, BOX[2], BOX[3] + 30)
    one, other = tracks_of([BOX] * 5, [quarter, quarter, BOX, None, None])
    # shares that the other covers: 0.25, 0.25, 1, 0, 0; the upper three of five
    assert track_occlusion(one, [one, other]) == pytest.approx((1 + 0.25 + 0.25) / 3)


def test_the_file_s_levels_go_before_boxes():
    truth = truth_of([BOX] * 4, [BOX] * 4, frames=4)
    levels = ["no_occlusion", "severe_occlusion", "slight_occlusion", None]
    truth["annotations"][0]["occlusion"] = levels
    one, other = read(truth).tracks
    assert one.occlusion == (0, 0.75, 0.25, 0)
    assert track_occlusion(one, [one, other]) == pytest.approx(0.5)
    assert track_occlusion(other, [one, other]) == 1


@pytest.mark.parametrize(
    "levels", [["none"] * 4, [0, 1, 0, 1], ["no_occlusion"], "no_occlusion", [[]] * 4]
)
def test_what_other_files_call_occlusion_is_let_be(levels):
    truth = truth_of([BOX] * 4, frames=4)
    truth["annotations"][0]["occlusion"] = levels
    assert read(truth).tracks[0].occlusion is None


def test_thirds_keep_equal_numbers_together():
    slicing = thirds("x", ("a", "b", "c"), {1: 1.0, 2: 1.0, 3: 1.0, 4: 2.0, 5: 3.0, 6: 4.0})
    assert slicing.bounds == (1, 2)
    truth = truth_of(*[[BOX]] * 6, frames=1)
    assert slicing.sizes(read(truth)) == {"a": 3, "b": 1, "c": 2}
    assert slicing.told(read(truth))["AP b"] == "1 instance: above 1, up to 2"


LEN = Slicing("length", ("short", "middle", "long"), {1: 1, 2: 5, 3: 9}, (3, 7))


def test_a_range_is_scored_on_its_own_tracks():
    truth = truth_of([BOX] * 2, [OTHER] * 2, [THIRD] * 2, frames=2)
    said = [track(None, [OTHER] * 2, score=0.9), track(None, [THIRD] * 2, score=0.8)]
    figures = block(truth, said, LEN)
    assert figures["AR short"] == 0
    assert figures["AP middle"] == pytest.approx(1)
    assert figures["AR middle"] == 1
    assert figures["AP long"] == pytest.approx(1)  # the track of another range does not count
    wrong = track(None, [(300, 300, 320, 320)] * 2, score=0.95)
    assert block(truth, [wrong, *said], LEN)["AP middle"] == pytest.approx(0.5)


def test_an_empty_range_has_no_figure():
    truth = truth_of([BOX] * 2, frames=2)
    figures = block(truth, [track(None, [BOX] * 2, score=0.9)], LEN)
    assert figures["AP short"] == pytest.approx(1)
    assert figures["AP long"] is None


def test_where_a_track_is_on_two_instances_it_is_matched_anew():
    near = (BOX[0] + 2, BOX[1], BOX[2] + 2, BOX[3])
    truth = truth_of([BOX] * 2, [near] * 2, frames=2)
    # it overlaps the first more; asked for the second alone, it has found that
    figures = block(truth, [track(None, [BOX] * 2, score=0.9)], LEN)
    assert figures["AR short"] == pytest.approx(1)
    assert figures["AR middle"] == pytest.approx(0.9)


@pytest.mark.parametrize("seed", range(4))
def test_ranges_that_are_the_sizes_of_annotated_tracks_agree_with_recall_by_size(seed):
    """Recall does not see what is predicted elsewhere, so it is the same as for AP's sizes."""
    truth, results = random_case(seed, videos=6, predictions=12)
    findings = found(truth, results)
    pixels = {
        t.id: float(np.mean([a for a in t.areas if a] or [0])) for t in findings.dataset.tracks
    }
    slicing = Slicing("size", ("s", "m", "l"), pixels, (128.0**2 - 1e-9, 256.0**2 - 1e-9))
    figures = sliced_figures(findings, slicing)
    recalls = {f"AR{size}": figures[f"AR {size}"] for size in "sml"}
    assert same(recalls, {name: findings.ap.figures[name] for name in recalls})


def test_one_range_with_all_tracks_scores_the_ap():
    truth, results = random_case(5, videos=6, predictions=12)
    findings = found(truth, results)
    everything = Slicing(
        "all", ("a", "b", "c"), {t.id: 0.0 for t in findings.dataset.tracks}, (1, 2)
    )
    figures = sliced_figures(findings, everything)
    assert figures["AP a"] == pytest.approx(findings.ap.figures["AP"], abs=1e-12)
    assert figures["AR a"] == pytest.approx(findings.ap.figures["AR100"], abs=1e-12)
    assert figures["AP b"] is None


def test_where_videos_are_divided_each_range_has_its_own():
    truth, results = random_case(11, videos=8, predictions=10)
    findings = found(truth, results)
    crowded = slicings(findings.dataset)[3]
    assert crowded.of_videos
    counts = {
        t.video_id: crowded.numbers[t.id]
        for t in findings.dataset.tracks
        if t.id in crowded.numbers
    }
    few = np.array(
        [
            [
                int(counts.get(v, math.inf) <= crowded.bounds[0])
                for v in sorted(findings.dataset.by_id)
            ]
        ]
    )
    expected = figures_of(accumulate(findings.ap.matches, few))["AP"][0]
    assert sliced_figures(findings, crowded)["AP few"] == pytest.approx(expected)


def test_slices_are_resampled_with_the_same_videos():
    truth, results = random_case(5, videos=6, predictions=12)
    findings = found(truth, results)
    everything = Slicing(
        "all", ("a", "b", "c"), {t.id: 0.0 for t in findings.dataset.tracks}, (1, 2)
    )
    blocks = diagnose(findings, [everything], 20).blocks
    assert len(blocks["AP"].samples["AP"]) == 20
    np.testing.assert_allclose(blocks["all"].samples["AP a"], blocks["AP"].samples["AP"])
    assert sliced(findings, everything).tracks.matched.shape[1] == 4


def test_a_range_of_one_video_has_no_interval():
    """Every resample that has the video scores the same there: that is no certainty."""
    truth, results = random_case(5, videos=6, predictions=12)
    findings = found(truth, results)
    tracks = [t for t in findings.dataset.tracks if not t.crowd]
    alone = tracks[0].video_id
    numbers = {t.id: 1.0 if t.video_id == alone else 2.0 for t in tracks}
    slicing = Slicing("which", ("one", "others", "none"), numbers, (1.5, 3))
    intervals = diagnose(findings, [slicing], 20, blocks=()).blocks["which"].intervals
    assert intervals["AP one"] is intervals["AR one"] is None
    assert intervals["AP others"] is not None
    told = slicing.told(findings.dataset)
    assert told["AP none"] == "no instances"
    assert told["AR one"].endswith(": up to 1.5")


@pytest.fixture
def csv(tmp_path):
    def write(text):
        path = tmp_path / "mine.csv"
        path.write_text(text)
        return path

    return write


DATASET = read(truth_of([BOX], [OTHER], [THIRD], frames=1))


def test_numbers_of_a_file_become_slicings(csv):
    blur, dark = read_slicings(csv("track_id,blur,dark\n1,0.5,2\n3,0.1,\n2,0.9,1\n"), DATASET)
    assert (blur.name, blur.labels) == ("blur", ("low", "middle", "high"))
    assert blur.numbers == {1: 0.5, 3: 0.1, 2: 0.9}
    assert blur.sizes(DATASET) == {"low": 1, "middle": 1, "high": 1}
    assert dark.numbers == {1: 2, 2: 1}
    assert sum(dark.sizes(DATASET).values()) == 2


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "expected a CSV with a head such as track_id,blur, and rows"),
        ("track_id\n1\n", "expected a CSV with a head"),
        ("track_id,blur\n", "and rows"),
        ("track_id,blur\n1,0.5,7\n", "expected a CSV with a head"),
        ("track_id,blur\n1,high\n", "line 2: blur is 'high', expected a number"),
        ("track_id,blur\n1,nan\n", "line 2: blur is 'nan', expected a number"),
        ("track_id,blur\none,1\n", "line 2: track_id is 'one', expected a whole number"),
        ("track_id,blur\n1,1\n9,1\n", "line 3: truth.json has no track 9"),
        ("track_id,blur\n1,1\n1,2\n", "line 3: track 1 occurs twice"),
        ("track_id,blur,blur\n1,1,2\n", "two columns have the same name: track_id, blur, blur"),
        ("track_id,errors\n1,1\n", "a column is called 'errors'; choose another name"),
        ("track_id,length\n1,1\n", "a column is called 'length'"),
        ("track_id,\n1,1\n", "a column is called ''"),
        ("track_id,blur\n1,\n", "column 'blur' has no number of a track that is scored"),
    ],
)
def test_a_file_that_does_not_fit_is_refused(csv, text, message):
    with pytest.raises(UserError, match=message):
        read_slicings(csv(text), DATASET)


def test_a_cell_that_is_left_out_is_no_number(csv):
    (one,) = read_slicings(csv("track_id,blur\n1,1\n2\n"), DATASET)
    assert one.numbers == {1: 1.0}


def test_a_file_that_is_not_there_is_refused(tmp_path):
    with pytest.raises(UserError, match=r"no\.csv: cannot be read"):
        read_slicings(tmp_path / "no.csv", DATASET)


def test_crowds_and_empty_tracks_are_in_no_range():
    truth = truth_of([BOX] * 2, [None] * 2, frames=2, crowds=[[OTHER] * 2])
    for slicing in slicings(read(truth)):
        assert set(slicing.numbers) <= {1}
