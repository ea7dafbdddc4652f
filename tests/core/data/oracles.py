"""Best cases of two kinds of head on the generated dataset, from its annotations alone.

Both are given perfect masks and class evidence, but not who is who: an instance whose look shows
is known by it, one whose look is hidden, or is that of the others, is not.  The per-frame head
decides frame by frame, by a rule made for the video at hand (the place where each instance is on
average), so it does at least as well as queries that stick to a look or a place.  The temporal
head follows what moves.  Since class scores are averaged over the frames of a query, a head that
keeps its instance also learns its class from the frames that show it: what is lost is the track.
"""

import json

import numpy as np
from scipy.optimize import linear_sum_assignment

from core.data.rle import decode

FAR = 1e6


def read_tracks(folder):
    """Per video: masks (I, F, H, W), and where an instance is known by its look (I, F)."""
    raw = json.loads((folder / "instances.json").read_text())
    shape = {v["id"]: (v["height"], v["width"]) for v in raw["videos"]}
    for video in raw["videos"]:
        tracks = [a for a in raw["annotations"] if a["video_id"] == video["id"]]
        masks = np.stack(
            [
                [np.zeros(shape[video["id"]], bool) if r is None else decode(r) for r in s]
                for s in (track["segmentations"] for track in tracks)
            ]
        )
        evident = np.array([[bool(e) for e in track["evident"]] for track in tracks])
        yield masks, evident & (not video["lookalikes"])


def centres(masks):
    """(I, F, 2) mean pixel of each mask; NaN where it is empty."""
    rows, columns = np.mgrid[: masks.shape[2], : masks.shape[3]]
    area = masks.sum((2, 3))
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.stack([(masks * axis).sum((2, 3)) / area for axis in (columns, rows)], -1)


def per_frame_identity(masks, known):
    """(I, F) track that each mask is given to: its own if known, else the best place's."""
    place = centres(masks)
    mean = np.nanmean(place, 1)
    given = np.full(masks.shape[:2], -1)
    for t in range(masks.shape[1]):
        shown = masks[:, t].any((1, 2))
        sure, unsure = shown & known[:, t], np.flatnonzero(shown & ~known[:, t])
        given[sure, t] = np.flatnonzero(sure)
        free = np.flatnonzero(~sure)
        cost = np.linalg.norm(place[unsure, t][:, None] - mean[free][None], axis=-1)
        rows, columns = linear_sum_assignment(cost)
        given[unsure[rows], t] = free[columns]
    return given


def temporal_identity(masks, known):
    """Likewise, by following each mask from frame to frame and joining what looks the same."""
    place = centres(masks)
    count, frames = masks.shape[:2]
    tracklet = np.full((count, frames), -1)
    last, velocity = np.full((count, 2), FAR), np.zeros((count, 2))
    for t in range(frames):
        shown = np.flatnonzero(masks[:, t].any((1, 2)))
        cost = np.linalg.norm(place[shown, t][:, None] - (last + velocity)[None], axis=-1)
        rows, columns = linear_sum_assignment(cost)
        for i, slot in zip(shown[rows], columns, strict=True):
            if last[slot, 0] < FAR / 2:
                velocity[slot] = place[i, t] - last[slot]
            last[slot] = place[i, t]
            tracklet[i, t] = slot
    # a tracklet is the track whose look it shows most often; without looks, as scoring pairs them
    votes = np.zeros((count, count))
    for i, t in np.argwhere(tracklet >= 0):
        votes[tracklet[i, t], i] += 1 if known[i, t] else 1e-3
    owner = linear_sum_assignment(-votes)[1]
    given = np.where(tracklet < 0, -1, owner[tracklet])
    return np.where(known, np.arange(count)[:, None], given)


def overlaps(masks, given):
    """(I,) IoU of each track with the masks that were given to it."""
    values = []
    for i in range(len(masks)):
        taken = np.stack([masks[given[:, t] == i, t].any(0) for t in range(masks.shape[1])])
        values.append((taken & masks[i]).sum() / max((taken | masks[i]).sum(), 1))
    return np.array(values)


def recalled(folder, identity):
    """Share of tracks that are found, averaged over the ten IoU thresholds of AP."""
    thresholds = np.arange(0.5, 1, 0.05)
    found = [
        overlaps(masks, identity(masks, known))[:, None] >= thresholds
        for masks, known in read_tracks(folder)
    ]
    return float(np.concatenate(found).mean())


# --- classes that no single frame tells: blinking and light ---


def colour_tracks(folder):
    """Per track: its class, the colours of the frames that show it, the kind of its video.

    Only videos with two colours have tracks here; the kind is that of the colours' classes.
    """
    raw = json.loads((folder / "instances.json").read_text())
    names = {c["id"]: c["name"] for c in raw["categories"]}
    for track in raw["annotations"]:
        if "colours" in track:
            seen = [e is not None for e in track["evident"]]
            label = names[track["category_id"]]
            kind = "light" if "light" in label else "colour"
            yield label, kind, [c for c, s in zip(track["colours"], seen, strict=True) if s]


def best_ap(folder, frames_at_once):
    """AP of perfect masks with the best class scores of a rule, by class.

    The rule sees ``frames_at_once`` (1, or none: all) frames of a track at a time, in no order,
    says how often each class shows what it sees, and its scores are averaged over what it saw.
    """
    tracks = list(colour_tracks(folder))
    views = [
        [(kind, frozenset([c])) for c in shown] if frames_at_once else [(kind, frozenset(shown))]
        for _, kind, shown in tracks
    ]
    counts = {}
    for (label, _, _), views_of_track in zip(tracks, views, strict=True):
        for view in views_of_track:
            by_class = counts.setdefault(view, {})
            by_class[label] = by_class.get(label, 0) + 1
    labels = sorted({label for label, _, _ in tracks})
    scores = {label: [] for label in labels}
    for views_of_track in views:
        for label in labels:
            share = [counts[v].get(label, 0) / sum(counts[v].values()) for v in views_of_track]
            scores[label].append(round(float(np.mean(share)), 9))
    truth = np.array([label for label, _, _ in tracks])
    return {label: _average_precision(np.array(scores[label]), truth == label) for label in labels}


def _average_precision(scores, right):
    """Area under precision (the best at that recall or more) over recall; ties count together."""
    steps = [(right[scores >= s].sum(), (scores >= s).sum()) for s in np.unique(scores)[::-1]]
    hits = np.array([0] + [hit for hit, _ in steps])
    precision = np.maximum.accumulate([hit / all_ for hit, all_ in steps][::-1])[::-1]
    return float((np.diff(hits) * precision).sum() / right.sum())
