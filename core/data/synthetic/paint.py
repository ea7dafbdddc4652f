"""Painting a scene: textured background, patterned instances, masks of what shows of each."""

from __future__ import annotations

import colorsys
from collections.abc import Collection, Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from core.data.synthetic.scene import LOOKS, RED_BLUE, TEXTURE, Actor, Floats, Look, Scene, unit

SUBPIXELS = 3  # a pixel's side, for smooth edges
GREY = (0.74, 0.74, 0.74)  # of an instance whose look is hidden; no background is as light
AMBER_GREEN = ((1.0, 0.6, 0.1), (0.2, 0.9, 0.3))  # of the scene's light
TINT = 0.4  # share of the light's colour in every pixel

MaskStack = npt.NDArray[np.bool_]


class Painter:
    """Paints a scene's frames and tells which pixels show which actor."""

    def __init__(self, scene: Scene) -> None:
        self.scene = scene
        self.background = paint_background(scene)
        self.drawn = [
            [_Drawn(actor, frame, scene.size) for actor in scene.actors]
            for frame in range(scene.frames)
        ]

    def masks(self) -> MaskStack:
        """(actors, F, H, W) bool: the pixels of each actor that no nearer one covers."""
        masks = np.zeros((len(self.scene.actors), self.scene.frames, *self.scene.size), np.bool_)
        for frame, actors in enumerate(self.drawn):
            for i, drawn in enumerate(actors):
                own = drawn.coverage >= 0.5
                masks[:i, frame, drawn.rows, drawn.columns] &= ~own
                masks[i, frame, drawn.rows, drawn.columns] = own
        # slivers are nobody's: too small to be told from noise
        masks[masks.sum((2, 3)) < 12 * unit(self.scene.size) ** 2] = False
        return masks

    def paint(
        self, frame: int, hidden: Collection[int], colours: Sequence[int] = ()
    ) -> npt.NDArray[np.uint8]:
        """(H, W, 3) RGB.

        Args:
            hidden: indices of the actors whose looks do not show.
            colours: of each actor, the first or second of what its kind of video alternates
                between (see :func:`~core.data.synthetic.scene.colours_shown`).
        """
        image = self.background.copy()
        for i, drawn in enumerate(self.drawn[frame]):
            look = None if i in hidden else self.scene.actors[i].look
            if look is not None and self.scene.kind == "blinking":
                look = replace(look, hue=RED_BLUE[colours[i]])
            window = image[drawn.rows, drawn.columns]
            window *= 1 - drawn.coverage[..., None]
            window += drawn.colours(look)
        if self.scene.kind == "light":
            image = (1 - TINT) * image + TINT * np.array(AMBER_GREEN[colours[0]])
        rng = np.random.default_rng((*self.scene.key, TEXTURE, frame))
        image += rng.normal(0, 0.015, image.shape)  # the sensor's noise
        return np.asarray((image.clip(0, 1) * 255 + 0.5).astype(np.uint8))


def paint_background(scene: Scene) -> Floats:
    """(H, W, 3), 0 to 1: muted blotches, streaks and grain, the same in all frames."""
    rng = np.random.default_rng((*scene.key, TEXTURE))
    height, width = scene.size
    low, high = (
        np.array(colorsys.hsv_to_rgb(rng.random(), rng.uniform(0.1, 0.45), value))
        for value in (rng.uniform(0.15, 0.3), rng.uniform(0.35, 0.52))
    )
    blotches = _noise((height, width), 18 * unit(scene.size), rng)
    streaks = _noise((height, width), 5 * unit(scene.size), rng)
    blend = np.clip(0.65 * blotches + 0.35 * streaks, 0, 1)[..., None]
    grain = rng.normal(0, 0.03, (height, width, 1))
    return low * (1 - blend) + high * blend + grain


class _Drawn:
    """An actor in a frame: the window that it falls into, and its subpixels there."""

    def __init__(self, actor: Actor, frame: int, size: tuple[int, int]) -> None:
        look, (x, y) = actor.look, actor.centre[frame]
        radius = look.radius * actor.scale[frame]
        reach = radius * (1 + look.wobble[0] + look.wobble[2]) + 1
        self.rows = _window(y, reach, size[0])
        self.columns = _window(x, reach, size[1])
        down = _subpixels(self.rows) - y
        across = _subpixels(self.columns) - x
        cos, sin = np.cos(actor.angle[frame]), np.sin(actor.angle[frame])
        # coordinates in the actor's own frame, 1 = its mean radius
        self.u = (across[None] * cos + down[:, None] * sin) / radius
        self.v = (down[:, None] * cos - across[None] * sin) / radius
        theta = np.arctan2(self.v, self.u)
        a2, phase2, a3, phase3 = look.wobble
        outline = 1 + a2 * np.cos(2 * theta + phase2) + a3 * np.cos(3 * theta + phase3)
        self.ratio = np.hypot(self.u, self.v) / outline  # 1 on the outline
        self.inside = self.ratio < 1
        self.coverage = _pixels(self.inside.astype(np.float64))  # share of each pixel

    def colours(self, look: Look | None) -> Floats:
        """(h, w, 3) colour times coverage; ``None`` paints it neutral, telling nothing."""
        if look is None:
            body = np.broadcast_to(np.array(GREY), (*self.ratio.shape, 3))
        else:
            light = np.array(colorsys.hsv_to_rgb(look.hue, 0.45, 1.0))
            dark = np.array(colorsys.hsv_to_rgb(look.hue, 0.95, 0.55))
            body = np.where(self.pattern(look.pattern)[..., None], light, dark)
        body = body * np.where(self.ratio > 0.88, 0.7, 1.0)[..., None]  # a rim
        return _pixels(body * self.inside[..., None])

    def pattern(self, kind: int) -> MaskStack:
        """Where the mark is: coarse enough for the frames' few pixels, at any angle."""
        if LOOKS[kind] == "striped":
            return np.asarray(np.cos(2 * np.pi * self.v / 0.9) > 0)
        if LOOKS[kind] == "spotted":
            row = np.round(self.v / 0.87)
            column = np.round(self.u - 0.5 * (row % 2)) + 0.5 * (row % 2)
            return np.asarray(np.hypot(self.u - column, self.v - row * 0.87) < 0.3)
        return np.asarray((self.ratio > 0.3) & (self.ratio < 0.65))


def _window(middle: float, reach: float, side: int) -> slice:
    start = min(max(int(np.floor(middle - reach)), 0), side)
    return slice(start, min(max(int(np.ceil(middle + reach)), start), side))


def _subpixels(window: slice) -> Floats:
    count = (window.stop - window.start) * SUBPIXELS
    return np.asarray(window.start + (np.arange(count) + 0.5) / SUBPIXELS)


def _pixels(values: Floats) -> Floats:
    """Means over the subpixels of each pixel."""
    height, width = values.shape[0] // SUBPIXELS, values.shape[1] // SUBPIXELS
    parts = values.reshape(height, SUBPIXELS, width, SUBPIXELS, *values.shape[2:])
    return np.asarray(parts.mean((1, 3)))


def _noise(size: tuple[int, int], cell: float, rng: np.random.Generator) -> Floats:
    """(H, W) smooth noise, 0 to 1: random values on a grid of cells, joined by cosines."""
    rows, columns = (np.arange(side) / cell for side in size)
    grid = rng.random((int(rows[-1]) + 2, int(columns[-1]) + 2))
    top, left = rows.astype(int), columns.astype(int)
    down, across = (0.5 - 0.5 * np.cos(np.pi * (axis % 1)) for axis in (rows, columns))
    upper = grid[top][:, left] * (1 - across) + grid[top][:, left + 1] * across
    lower = grid[top + 1][:, left] * (1 - across) + grid[top + 1][:, left + 1] * across
    return np.asarray(upper * (1 - down[:, None]) + lower * down[:, None])
