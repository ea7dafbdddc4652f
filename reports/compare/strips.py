"""A strip a track: a bar a frame, its height the IoU, its colour the predicted track."""

from __future__ import annotations

from collections import defaultdict
from itertools import groupby

import numpy as np

from benchmarks.ap.tracks import Bools, Floats, Ints
from benchmarks.diagnosis.followed import Followed
from benchmarks.diagnosis.tracking import SAME
from core.inference.draw import color_of
from reports.html import Markup, tag


def strip(followed: Followed, column: int, there: Bools) -> tuple[Markup, str]:
    """The strip of an annotated track, and what it shows in words.

    Args:
        followed: of a run, in the track's video.
        column: of the annotated track.
        there: (T,) frames that show the instance.
    """
    found, iou = followed.found[:, column], followed.iou[:, column]
    said = _said(found, iou, there)
    paths = [tag("path", d=_bars(np.flatnonzero(there), np.ones(len(there))), class_="there")]
    by_place: dict[int, list[int]] = defaultdict(list)
    for frame in np.flatnonzero(found >= 0).tolist():
        by_place[int(found[frame])].append(frame)
    for place, frames in by_place.items():
        colour = "#{:02x}{:02x}{:02x}".format(*color_of(place))
        paths.append(tag("path", d=_bars(np.array(frames), iou), fill=colour))
    box = {"viewBox": f"0 0 {len(there)} 1", "preserveAspectRatio": "none"}
    return tag("svg", *paths, role="img", aria_label=said, class_="track", **box), said


def _bars(frames: Ints, heights: Floats) -> str:
    """An SVG path of a bar for each of ``frames``; neighbours of one height share one."""

    def run(pair: tuple[int, int]) -> tuple[int, float]:
        place, frame = pair
        return frame - place, round(float(heights[frame]), 2)  # neighbours differ in both by one

    bars = []
    for (_, height), pairs in groupby(enumerate(frames.tolist()), key=run):
        found = [frame for _, frame in pairs]
        bars.append(f"M{found[0]} 1v{-height:g}H{found[-1] + 1}V1z")
    return "".join(bars)


def _said(found: Ints, iou: Floats, there: Bools) -> str:
    hit = there & (iou >= SAME) & (found >= 0)
    followers = found[hit]
    switches = int((followers[1:] != followers[:-1]).sum())
    text = f"found in {int(hit.sum())} of {int(there.sum())} frames"
    if not len(followers):
        return text
    number = "never changes" if not switches else f"changes {switches}×"
    return f"{text}, identity {number}"
