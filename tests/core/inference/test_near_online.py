import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.data.rle import encode
from core.inference.near_online import ClipTracks, Stitcher, match_clip, shared_iou

SIZE = (20, 40)


def box(x, y=5, width=8, height=8):
    mask = np.zeros(SIZE, bool)
    mask[y : y + height, max(x, 0) : max(x + width, 0)] = True
    return encode(mask) if mask.any() else None


def clip(start, tracks, length=None):
    """``tracks``: (label, score, masks) or (label, score, masks, frame scores)."""
    tracks = [t if len(t) == 4 else (*t, [t[1]] * len(t[2])) for t in tracks]
    return ClipTracks(
        start=start,
        scores=[t[1] for t in tracks],
        labels=[t[0] for t in tracks],
        masks=[t[2] for t in tracks],
        frame_scores=[t[3] for t in tracks],
    )


def moving(first, last, speed=1, x=0):
    """Masks of an object that moves right, frames ``first`` to ``last`` - 1."""
    return [box(x + speed * t) for t in range(first, last)]


def stitched(clips, threshold=0.3, top_k=10):
    stitcher = Stitcher(threshold, top_k)
    for one in clips:
        stitcher.add(one)
    return stitcher.finish()


def test_a_moving_object_stays_one_track():
    clips = [clip(s, [(0, 0.5, moving(s, s + 6))]) for s in (0, 3, 6)]
    (track,) = stitched(clips)
    assert track.start == 0 and track.padded(12) == moving(0, 12)


def test_two_objects_do_not_change_places():
    """They come in another order in every clip, and cross class-free by their masks alone."""
    right, left = (lambda a, b: moving(a, b)), (lambda a, b: moving(a, b, speed=-1, x=30))
    clips = [
        clip(0, [(1, 0.9, right(0, 4)), (1, 0.8, left(0, 4))]),
        clip(2, [(1, 0.8, left(2, 6)), (1, 0.9, right(2, 6))]),
        clip(4, [(1, 0.9, right(4, 8)), (1, 0.8, left(4, 8))]),
    ]
    first, second = stitched(clips)
    assert first.padded(8) == right(0, 8) and second.padded(8) == left(0, 8)


def test_classes_are_never_joined():
    """One query may hold two classes: equal masks, two tracks, each with its own scores."""
    masks = moving(0, 4)
    clips = [
        clip(0, [(0, 0.6, masks), (1, 0.3, masks)]),
        clip(2, [(1, 0.5, moving(2, 6)), (0, 0.4, moving(2, 6))]),
    ]
    dog, cat = stitched(clips)
    assert (dog.label, dog.score) == (0, pytest.approx(0.5))
    assert (cat.label, cat.score) == (1, pytest.approx(0.4))
    assert dog.padded(6) == cat.padded(6) == moving(0, 6)


def test_the_more_similar_score_wins_among_equal_masks():
    """Two queries on one object: the strong one goes on as the strong one."""
    clips = [
        clip(0, [(0, 0.9, moving(0, 4)), (0, 0.1, moving(0, 4))]),
        clip(2, [(0, 0.2, moving(2, 6)), (0, 0.8, moving(2, 6))]),
    ]
    strong, weak = stitched(clips)
    assert strong.score == pytest.approx(0.85) and weak.score == pytest.approx(0.15)


def test_scores_count_in_the_shared_frames_alone():
    """Outside the shared frames 2 and 3 the scores say the opposite."""
    a, b = [0.1, 0.1, 0.9, 0.9], [0.9, 0.9, 0.1, 0.1]
    clips = [
        clip(0, [(0, 0.5, moving(0, 4), a), (0, 0.49, moving(0, 4), b)]),
        clip(2, [(0, 0.3, moving(2, 6), b), (0, 0.2, moving(2, 6), a)]),
    ]
    first, second = stitched(clips)
    # a ends high in the shared frames, and so does the clip's b begin
    assert first.score == pytest.approx((0.5 + 0.3) / 2)
    assert second.score == pytest.approx((0.49 + 0.2) / 2)


def test_an_object_that_comes_later_and_one_that_leaves():
    clips = [
        clip(0, [(0, 0.9, moving(0, 4))]),
        clip(2, [(0, 0.8, moving(2, 6)), (1, 0.7, moving(2, 6, x=20))]),
        clip(4, [(1, 0.7, moving(4, 8, x=20))]),
    ]
    first, second = stitched(clips)
    assert first.padded(8) == [*moving(0, 6), None, None]
    assert second.padded(8) == [None, None, *moving(2, 8, x=20)]


def test_known_frames_keep_their_masks():
    """What was said about a frame once does not change later."""
    clips = [clip(0, [(0, 0.5, moving(0, 4))]), clip(2, [(0, 0.5, moving(2, 6, x=1))])]
    (track,) = stitched(clips)
    assert track.masks == moving(0, 4) + moving(4, 6, x=1)


def test_score_is_weighted_by_frames():
    clips = [clip(0, [(0, 0.9, moving(0, 6))]), clip(4, [(0, 0.3, moving(4, 7))])]
    (track,) = stitched(clips)
    assert track.score == pytest.approx((0.9 * 6 + 0.3 * 3) / 9)


@pytest.mark.parametrize(("threshold", "tracks"), [(0.5, 1), (0.7, 2)])
def test_match_threshold(threshold, tracks):
    clips = [clip(0, [(0, 0.5, [box(0), box(0)])]), clip(1, [(0, 0.5, [box(2), box(2)])])]
    # 8x8 boxes two pixels apart: 6 / 10
    assert len(stitched(clips, threshold)) == tracks


def test_threshold_zero_still_needs_an_overlap():
    clips = [clip(0, [(0, 0.5, [box(0)] * 2)]), clip(1, [(0, 0.5, [box(30)] * 2)])]
    assert len(stitched(clips, threshold=0.0)) == 2


def test_scores_of_zero_can_be_joined():
    clips = [clip(0, [(0, 0.0, moving(0, 4))]), clip(2, [(0, 0.0, moving(2, 6))])]
    assert len(stitched(clips)) == 1


def test_clips_that_share_no_frame_start_anew():
    clips = [clip(0, [(0, 0.5, moving(0, 4))]), clip(4, [(0, 0.5, moving(4, 8))])]
    assert [t.start for t in stitched(clips)] == [0, 4]


def test_an_object_missed_in_one_clip_is_found_again():
    """Its old track still shares frames 4 and 5 with the third clip."""
    clips = [
        clip(0, [(0, 0.5, moving(0, 6))]),
        clip(2, []),
        clip(4, [(0, 0.5, moving(4, 10))]),
    ]
    (track,) = stitched(clips)
    assert track.padded(10) == moving(0, 10)


def test_empty_masks_and_no_tracks():
    nothing = [None] * 4
    assert stitched([clip(0, []), clip(2, [])]) == []
    tracks = stitched([clip(0, [(0, 0.5, nothing)]), clip(2, [(0, 0.5, nothing)])])
    assert len(tracks) == 2, "empty masks overlap nothing"
    assert match_clip([], clip(0, [(0, 0.5, nothing)]), 0.3) == []


@settings(max_examples=30)
@given(st.lists(st.tuples(st.integers(0, 2), st.floats(0, 1)), max_size=12), st.integers(1, 5))
def test_one_clip_is_offline(tracks, length):
    """Same tracks, same order, same scores to the last bit."""
    tracks = sorted(tracks, key=lambda t: -t[1])
    one = clip(0, [(label, score, moving(0, length)) for label, score in tracks])
    result = stitched([one], top_k=20)
    assert [(t.label, t.score, t.masks) for t in result] == [
        (label, score, masks)
        for label, score, masks in zip(one.labels, one.scores, one.masks, strict=True)
    ]


def test_top_k_is_the_best_of_all_and_memory_stays_bounded():
    stitcher = Stitcher(0.3, top_k=3)
    scores = np.random.default_rng(0).permutation(50) / 50
    for k, score in enumerate(scores):  # objects that each live for one clip
        stitcher.add(clip(2 * k, [(0, float(score), [box(20 * (k % 2))] * 4)]))
        assert len(stitcher._open) <= 2 and len(stitcher._closed) <= 3
    best = stitcher.finish()
    assert len(best) == 3
    assert [t.score for t in best] == sorted(scores, reverse=True)[:3]


def test_equal_scores_keep_the_order_of_finding():
    tracks = [(label, 0.5, moving(0, 2)) for label in (4, 2, 3)]
    assert [t.label for t in stitched([clip(0, tracks)], top_k=2)] == [4, 2]


def decoded_iou(ours, theirs, frames):
    from core.data.rle import decode

    both = union = 0
    for a, b in zip(ours[:frames], theirs[:frames], strict=False):
        a, b = (np.zeros(SIZE, bool) if m is None else decode(m) for m in (a, b))
        both, union = both + (a & b).sum(), union + (a | b).sum()
    return both / union if union else 0.0


masks = st.lists(st.one_of(st.none(), st.integers(-4, 36).map(box)), min_size=3, max_size=3)


@settings(max_examples=40)
@given(st.lists(masks, min_size=1, max_size=3), st.lists(masks, min_size=1, max_size=3))
def test_shared_iou_is_that_of_the_pixels(ours, theirs):
    ours[0] = ours[0][:2]  # a track that ends before the last shared frame
    iou = shared_iou(ours, theirs)
    for i, a in enumerate(ours):
        for k, b in enumerate(theirs):
            assert iou[i, k] == pytest.approx(decoded_iou(a, b, len(a)), abs=1e-12)


def test_more_masks_than_a_byte_counts():
    many = [[box(k % 30)] for k in range(300)]
    iou = shared_iou(many, many)
    assert iou.shape == (300, 300) and np.allclose(np.diag(iou), 1)
