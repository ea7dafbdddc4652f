"""Where AP is lost: predictions with one kind of error each lose all of it there."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks.ap.match import THRESHOLDS
from benchmarks.diagnosis.errors import KINDS
from tests.benchmarks.ap.ap_cases import random_case
from tests.benchmarks.diagnosis.track_cases import BOX, OTHER, THIRD, found, gains, track, truth_of

FRAMES = 10
ALL = [BOX] * FRAMES
SECOND = [OTHER] * FRAMES


def said(score, *boxes, category=1):
    path = list(boxes) if len(boxes) == FRAMES else list(boxes) * FRAMES
    return track(None, path, score=score, category_id=category)


def lost(truth, results):
    """(AP, what each kind that costs anything costs)."""
    findings = found(truth, results)
    before, gained = gains(findings.errors, np.ones((1, findings.ap.videos), int))
    assert np.nanmean(before) == pytest.approx(findings.ap.figures["AP"])
    values = {name: float(np.nanmean(value)) for name, value in gained.items()}
    return float(np.nanmean(before)), {k: v for k, v in values.items() if abs(v) > 1e-12}


def moved(box, pixels):
    return (box[0] + pixels, box[1], box[2] + pixels, box[3])


HALF = FRAMES // 2
TRUTH = truth_of(ALL, SECOND, frames=FRAMES)
ONE_KIND = {
    "class, nothing else predicted": ("class", [said(0.9, BOX, category=2), said(0.8, OTHER)]),
    "mask, too small": ("mask", [said(0.9, (10, 10, 25, 50)), said(0.8, OTHER)]),
    "mask, beside": ("mask", [said(0.9, moved(BOX, 20)), said(0.8, OTHER)]),
    "mask, a little": ("mask", [said(0.9, moved(BOX, 5)), said(0.8, moved(OTHER, 5))]),
    "identity, two tracks exchanged": (
        "identity",
        [said(0.9, *ALL[:HALF], *SECOND[HALF:]), said(0.8, *SECOND[:HALF], *ALL[HALF:])],
    ),
    "identity, two tracks exchanged late": (
        "identity",
        [said(0.9, *ALL[:8], *SECOND[8:]), said(0.8, *SECOND[:8], *ALL[8:])],
    ),
    "identity, exchanged and back": (
        "identity",
        [
            said(0.9, *ALL[:3], *SECOND[3:6], *ALL[6:]),
            said(0.8, *SECOND[:3], *ALL[3:6], *SECOND[6:]),
        ],
    ),
    "identity, an instance in two halves": (
        "identity",
        [
            said(0.9, *ALL[:HALF], *[None] * HALF),
            said(0.85, *[None] * HALF, *ALL[HALF:]),
            said(0.8, OTHER),
        ],
    ),
    "identity, an instance in two unequal parts": (
        "identity",
        [
            said(0.9, *ALL[:7], *[None] * 3),
            said(0.85, *[None] * 7, *ALL[7:]),
            said(0.8, OTHER),
        ],
    ),
    "identity, an instance in single frames": (
        "identity",
        [said(0.9, OTHER)]
        + [
            said(0.8 - f / 100, *[BOX if f == at else None for at in range(FRAMES)])
            for f in range(FRAMES)
        ],
    ),
    "frames, most are missing": (
        "frames",
        [said(0.9, *ALL[:3], *[None] * 7), said(0.8, OTHER)],
    ),
    "frames, every second is missing": (
        "frames",
        [said(0.9, *[BOX, None] * HALF), said(0.8, OTHER)],
    ),
    "duplicate": ("duplicate", [said(0.95, BOX), said(0.9, BOX), said(0.8, OTHER)]),
    "background": ("background", [said(0.95, THIRD), said(0.9, BOX), said(0.8, OTHER)]),
    "missed": ("missed", [said(0.9, BOX)]),
    "missed, nothing predicted": ("missed", []),
}  # fmt: skip


@pytest.mark.parametrize("case", ONE_KIND)
def test_the_whole_loss_lands_in_its_kind(case):
    kind, results = ONE_KIND[case]
    ap, losses = lost(TRUTH, results)
    assert ap < 1
    assert losses == {kind: pytest.approx(1 - ap)}


def test_a_track_that_goes_on_without_its_instance_loses_frames():
    truth = truth_of([*ALL[:3], *[None] * 7], SECOND, frames=FRAMES)
    ap, losses = lost(truth, [said(0.9, BOX), said(0.8, OTHER)])
    assert losses == {"frames": pytest.approx(1 - ap)}


def test_the_truth_itself_loses_nothing():
    assert lost(TRUTH, [said(0.9, BOX), said(0.8, OTHER)]) == (pytest.approx(1), {})


def test_a_wrong_class_that_is_also_out_of_place_is_both():
    wrong = said(0.95, (10, 10, 25, 50), category=2)
    truth = truth_of(ALL, (2, SECOND), frames=FRAMES)
    right = [said(0.9, BOX), said(0.8, OTHER, category=2)]
    ap, losses = lost(truth, [wrong, *right])
    assert losses == {"both": pytest.approx(1 - ap)}


def test_a_second_guess_of_the_class_that_is_wrong_is_of_the_kind_class():
    truth = truth_of(ALL, (2, SECOND), frames=FRAMES)
    right = [said(0.9, BOX), said(0.8, OTHER, category=2)]
    ap, losses = lost(truth, [said(0.95, BOX, category=2), *right])
    assert losses == {"class": pytest.approx(1 - ap)}


def test_two_kinds_in_two_instances_are_told_apart():
    results = [said(0.9, moved(BOX, 20)), said(0.8, *SECOND[:3], *[None] * 7)]
    _, losses = lost(TRUTH, results)
    assert set(losses) == {"mask", "frames"}
    assert min(losses.values()) > 0.2


def test_the_larger_part_of_what_is_lost_decides():
    few = [moved(BOX, 4)] * 2 + [None] * 8  # masks a little, frames by far
    assert set(lost(TRUTH, [said(0.9, *few), said(0.8, OTHER)])[1]) == {"frames"}
    most = [moved(BOX, 25)] * 9 + [None]
    assert set(lost(TRUTH, [said(0.9, *most), said(0.8, OTHER)])[1]) == {"mask"}


def test_a_loss_at_strict_thresholds_alone_is_a_tenth_each():
    # IoU of 40x36 in 40x44: 0.818, so it is right up to 0.8 and wrong from 0.85 on
    results = [said(0.9, moved(BOX, 4)), said(0.8, OTHER)]
    findings = found(TRUTH, results)
    assert findings.errors.counts()["mask"] == [int(t > 0.82) for t in THRESHOLDS]


def test_tracks_on_crowds_are_no_errors():
    truth = truth_of(ALL, frames=FRAMES, crowds=[SECOND])
    assert lost(truth, [said(0.9, BOX), said(0.95, OTHER)]) == (pytest.approx(1), {})


def test_what_a_mended_track_would_find_is_found_once():
    results = [said(0.9, moved(BOX, 20)), said(0.85, moved(BOX, 21)), said(0.8, OTHER)]
    ap, losses = lost(TRUTH, results)
    assert losses == {"mask": pytest.approx(1 - ap)}


@settings(max_examples=25)
@given(st.integers(0, 10_000), st.booleans())
def test_every_track_has_one_kind_and_mending_never_costs(seed, ties):
    truth, results = random_case(seed, videos=4, categories=3, ties=ties, predictions=10)
    findings = found(truth, results)
    tracks = findings.ap.matches.tracks
    fine = findings.errors.kind < 0
    assert (fine == tracks.matched[:, 0]).all()
    weights = np.array([[1, 1, 1, 1], [2, 0, 1, 1]])
    before, gained = gains(findings.errors, weights)
    assert list(gained) == list(KINDS)
    for value in gained.values():
        assert (value[~np.isnan(before)] >= -1e-12).all()


def all_mended(errors):
    """AP once every kind is mended: nothing wrong may be left."""
    wanted = ~errors.matches.tracks.truth_ignored[:, 0]
    for place in range(len(THRESHOLDS)):
        kind, alone = errors.kind[:, place], errors.alone[:, place]
        reached = set(alone[alone >= 0].tolist()) | set(np.flatnonzero(errors.missed[:, place]))
        matched = int(((kind < 0) & ~errors.matches.tracks.ignored[:, 0, place]).sum())
        yield matched, len(reached & set(np.flatnonzero(wanted))), int(wanted.sum())


@settings(max_examples=25)
@given(st.integers(0, 10_000))
def test_every_instance_is_found_or_has_an_error_that_explains_it(seed):
    truth, results = random_case(seed, videos=4, categories=3, predictions=10)
    for matched, reached, wanted in all_mended(found(truth, results).errors):
        assert matched + reached == wanted
