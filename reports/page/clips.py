"""Clips inside the page: a film strip a cell, all of a video in step."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Sequence

from reports.html import Markup, join, tag
from reports.page.media import Clips, Strip
from reports.renderers.html import text_html
from reports.tables.symbols import plain


def clip_figures(clips: Clips) -> Markup:
    """Every video with its clips side by side, and how they were chosen."""
    videos = [_video(name, strips) for name, strips in clips.videos.items()]
    notes = tag("ul", *(tag("li", note) for note in clips.notes), class_="notes")
    return join([notes, *videos])


def _video(name: str, strips: Sequence[Strip]) -> Markup:
    frames = strips[0].frames
    slider = tag(
        "input", type="range", min=0, max=frames - 1, value=0, aria_label=f"Frame of {name}"
    )
    button = tag("button", "Pause", type="button")
    player = tag("div", button, slider, tag("output"), class_="player", hidden=True)
    panels = tag("div", *(_panel(strip) for strip in strips), class_="clips")
    return tag("div", tag("h3", name), player, panels, class_="video", data_frames=frames)


def _panel(strip: Strip) -> Markup:
    data = b64encode(strip.webp).decode()
    style = (
        f"--frames:{strip.frames};aspect-ratio:{strip.width}/{strip.height};"
        f"background-image:url(data:image/webp;base64,{data})"
    )
    picture = tag(
        "div",
        class_="strip",
        style=style,
        role="img",
        aria_label=plain(f"{strip.title}: {strip.detail}"),
    )
    caption = tag("figcaption", text_html(strip.title), tag("small", strip.detail))
    return tag("figure", picture, caption)
