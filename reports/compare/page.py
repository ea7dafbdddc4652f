"""The page of a comparison: one HTML file that needs nothing else."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from benchmarks.ap.bootstrap import Bootstrap, paired_difference
from benchmarks.diagnosis.table import OF
from core.data.dataset import Track, Video
from core.errors import UserError
from reports.compare.clips import video_clips
from reports.compare.read import Comparison, Side
from reports.compare.strips import strip
from reports.html import Markup, choice, document, field_list, join, made_now, scrolled, tag
from reports.page.clips import clip_figures
from reports.page.media import Clips
from reports.renderers.typeset import number

CLIPS = 12
"""Videos with clips: half of them gain most, half lose most."""
MOST_BYTES = 16_000_000
"""Of all clips together: in the page they take a third more, and it stays below 25 MB."""
_STEM = Path(__file__).parent / "compare"
_SUMMARY = {
    "AP": ("AP", "AP50", "AP75"),
    "tracking": ("HOTA", "DetA", "AssA", "LocA", "IDF1", "IDSW"),
    "errors": None,
}


def make_comparison(comparison: Comparison, clips: int = CLIPS) -> str:
    """The whole page.

    Args:
        clips: videos with clips.
    """
    base, other = comparison.base.name, comparison.other.name
    order = comparison.by_gain()
    shown, notes = _clips(comparison, order, clips)
    videos = [_video(comparison, number, shown.get(number)) for number in order]
    parts = [
        _header(comparison),
        tag(
            "main",
            tag("section", tag("h2", "Figures"), _summary(comparison), id="figures"),
            tag(
                "section",
                tag("h2", "Videos"),
                _filters(comparison),
                _table(comparison, order),
                id="videos",
            ),
            tag("section", tag("h2", "Tracks"), _legend(notes), *videos, id="tracks"),
        ),
        _footer(comparison),
    ]
    return document(f"{other} against {base}", join(parts), _STEM)


def _header(comparison: Comparison) -> Markup:
    gains = [gain for n in comparison.dataset.by_id if (gain := comparison.gain(n)) is not None]
    seen = [round(100 * gain, 1) for gain in gains]  # as the table has it
    better, worse = sum(g > 0 for g in seen), sum(g < 0 for g in seen)
    change = _change(comparison.other.diagnosis.blocks["AP"], comparison.base, "AP", "AP")
    same = len(gains) - better - worse
    facts = {
        "Set against": comparison.base.name,
        "Videos": f"{len(comparison.dataset.videos)}: {better} gain, {worse} lose, {same} stay",
        "AP": f"{_percent(comparison.base.findings.ap.figures['AP'])} to "
        f"{_percent(comparison.other.findings.ap.figures['AP'])} ({change[1]}, {change[2]})",
    }
    return tag(
        "header",
        tag("p", "Comparison of two runs", class_="kind"),
        tag("h1", comparison.other.name),
        field_list(facts, "facts"),
        *(tag("p", note, class_="notes") for note in comparison.notes()),
    )


def _summary(comparison: Comparison) -> Markup:
    head = [tag("th", "Figure")]
    names = (comparison.base.name, comparison.other.name, "Difference", "95 % over videos")
    head += [*(tag("th", text, class_="number") for text in names), tag("th", "Of")]
    rows = []
    for block, figures in _SUMMARY.items():
        drawn = comparison.other.diagnosis.blocks[block]
        for figure in figures or drawn.figures:
            before, difference, interval = _change(drawn, comparison.base, block, figure)
            after = _shown(drawn, figure, drawn.figures[figure])
            label = f"lost to {figure}" if block == "errors" else figure
            cells = [
                tag("td", text, class_="number") for text in (before, after, difference, interval)
            ]
            rows.append(tag("tr", tag("th", label, scope="row"), *cells, tag("td", OF[figure])))
    return scrolled(head, rows)


def _change(drawn: Bootstrap, base: Side, block: str, figure: str) -> tuple[str, str, str]:
    """The base's figure, the difference to it, and its interval."""
    other = base.diagnosis.blocks[block]
    before, after = other.figures[figure], drawn.figures[figure]
    interval = paired_difference(other, drawn, figure)
    if before is None or after is None:
        return _shown(drawn, figure, before), "", ""
    scale, digits = (1, 0) if figure in drawn.counts else (100, 1)
    ends = ""
    if interval is not None:
        low, high = (number(scale * v, digits, sign=True) for v in (interval.low, interval.high))
        ends = f"[{low}, {high}]"
    return _shown(drawn, figure, before), number(scale * (after - before), digits, sign=True), ends


def _shown(drawn: Bootstrap, figure: str, value: float | None) -> str:
    if value is None:
        return ""
    return number(value, 0) if figure in drawn.counts else number(100 * value, 1)


def _percent(value: float | None, nothing: str = "none") -> str:
    return nothing if value is None else number(100 * value, 1)


def _filters(comparison: Comparison) -> Markup:
    names = comparison.dataset.distinct_names
    annotated = {track.category_id for track in comparison.dataset.tracks}
    classes = {str(number): names[number] for number in sorted(annotated, key=names.__getitem__)}
    ranges = {
        f"{s.name}-{label}": f"{s.name}: {label}" for s in comparison.slicings for label in s.labels
    }
    return tag(
        "p",
        choice("any class", classes, data_filter="class", aria_label="class"),
        choice("any slice", ranges, data_filter="slice", aria_label="slice"),
        tag("output"),
        class_="chooser",
        hidden=True,
    )


def _marks(comparison: Comparison, tracks: Sequence[Track]) -> dict[str, object]:
    """What the filters ask a video or track for."""
    classes = {str(track.category_id) for track in tracks if not track.crowd}
    found = set()
    for slicing in comparison.slicings:
        ranges = slicing.ranges(tracks)
        found |= {f"{slicing.name}-{slicing.labels[k]}" for k in set(ranges[ranges >= 0].tolist())}
    return {"data_class": "|".join(sorted(classes)), "data_slice": "|".join(sorted(found))}


def _table(comparison: Comparison, order: Sequence[int]) -> Markup:
    base, other = comparison.base, comparison.other
    heads = (
        "Frames",
        "Instances",
        f"AP {base.name}",
        f"AP {other.name}",
        "Difference",
        "ID switches",
    )
    head = [tag("th", "Video"), *(tag("th", text, class_="number") for text in heads)]
    rows = []
    for video in (comparison.dataset.by_id[n] for n in order):
        tracks = comparison.dataset.tracks_of(video.id)
        gain = comparison.gain(video.id)
        switches = [
            int(side.findings.of(video.id).tracking.sums[:, -1].sum()) for side in (base, other)
        ]
        texts = [
            (str(video.length), video.length),
            (str(sum(not t.crowd for t in tracks)), None),
            *((_percent(side.ap[video.id], ""), side.ap[video.id]) for side in (base, other)),
            ("" if gain is None else number(100 * gain, 1, sign=True), gain),
            (f"{switches[0]} → {switches[1]}", switches[1] - switches[0]),
        ]
        cells = [
            tag("td", text, class_="number", data_sort=text if key is None else key)
            for text, key in texts
        ]
        link = tag("a", video.name, href=f"#video-{video.id}")
        marks = _marks(comparison, tracks)
        rows.append(tag("tr", tag("th", link, scope="row"), *cells, **marks))
    return scrolled(head, rows)


def _clips(
    comparison: Comparison, order: Sequence[int], wanted: int
) -> tuple[dict[int, Markup], list[str]]:
    """Clips of the videos at either end of the order, until they are too large."""
    known = [number for number in order if comparison.gain(number)]
    ends = [n for pair in zip(known, known[::-1], strict=True) for n in pair]
    chosen = list(dict.fromkeys([*ends, *order]))[:wanted]
    found: dict[int, Markup] = {}
    size = 0
    notes = []
    for video in (comparison.dataset.by_id[n] for n in chosen):
        try:
            strips = video_clips(comparison, video)
        except (UserError, OSError) as error:
            notes.append(f"No clips from here on: frames cannot be read ({error}).")
            break
        size += sum(len(clip.webp) for clip in strips)
        if size > MOST_BYTES:
            notes.append("Further clips would make the page too large.")
            break
        found[video.id] = clip_figures(Clips({f"{video.name}: clips": strips}, ()))
    said = f"Clips: {len(found)} of {len(order)} videos, those that gain and lose most."
    return found, [said, *notes]


def _legend(notes: Sequence[str]) -> Markup:
    texts = [
        "A strip a track: a bar a frame, as high as the IoU with the annotated mask, in the colour "
        "of the predicted track, of whatever class, that overlaps it most there. One colour: the "
        "identity was kept. "
        "Grey: frames that show the instance. Colours are those of the clips.",
        *notes,
    ]
    return tag("ul", *(tag("li", text) for text in texts), class_="notes")


def _video(comparison: Comparison, number_of_video: int, clips: Markup | None) -> Markup:
    video = comparison.dataset.by_id[number_of_video]
    gain = comparison.gain(video.id)
    tracks = comparison.dataset.tracks_of(video.id)
    title = f"{video.name} ({video.length} frames)"
    change = "" if gain is None else f" {number(100 * gain, 1, sign=True)} AP"
    rows = [_track(comparison, video, k, t) for k, t in enumerate(tracks) if not t.crowd]
    summary = tag("summary", title, tag("small", change))
    return tag(
        "details",
        summary,
        clips,
        *rows,
        id=f"video-{video.id}",
        open=clips is not None,
        class_="compared",
        **_marks(comparison, tracks),
    )


def _track(comparison: Comparison, video: Video, column: int, track: Track) -> Markup:
    there = np.array([bool(area) for area in track.areas])
    parts = [tag("dt", f"{comparison.dataset.categories[track.category_id]}, track {track.id}")]
    for side in (comparison.base, comparison.other):
        drawing, said = strip(side.findings.of(video.id).followed, column, there)
        parts.append(tag("dd", tag("span", side.name), drawing, tag("small", said)))
    return tag("dl", *parts, class_="strips", **_marks(comparison, [track]))


def _footer(comparison: Comparison) -> Markup:
    hard = comparison.base.findings.hard
    rule = f"tracks from score {hard.min_score:g}"
    rule += ", the best per frame" if hard.best_per_frame else ""
    return made_now(
        ". AP of a video is that of the video alone, mean over its classes. Tracking "
        f"and strips: {rule}. Intervals: bootstrap over videos, paired."
    )
