"""What happens in a generated video: which instances, how they look, where they go.

Every aspect has a stream of random numbers of its own, so a dial changes what it names and
nothing else: the same seed with another ``hidden`` gives the same masks, painted otherwise.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import numpy.typing as npt

from core.config.schema import SyntheticConfig

LOOKS = ("striped", "spotted", "ringed")  # reddish, greenish, bluish
MOTIONS = ("still", "moving", "pulsating")
COLOUR_NAMES = ("steady red", "steady blue", "blinking")
LIGHTS = ("amber light", "green light", "alternating light")
ALTERNATING = 2  # the last of COLOUR_NAMES and of LIGHTS: half of the frames each of the other two
HUES = (0.945, 0.055, 0.28, 0.39, 0.61, 0.72)  # two for each of LOOKS: reds, greens, blues
RED_BLUE = (0.0, 0.62)  # hues of COLOUR_NAMES, whose pattern no red or blue one of LOOKS has
COLOURED_PATTERN = LOOKS.index("spotted")
INSTANCES = (2, len(HUES))
LONGEST_TURN = 1.2 * math.pi  # farther, two instances would be hard to follow in few frames

LEAST_TRAVEL = 0.6  # where motion tells the class: with less, moving would look like still

Kind = Literal["looks", "motions", "blinking", "light"]
Floats = npt.NDArray[np.float64]
# streams of random numbers
_GEOMETRY, _CLASSES, _LOOKS, _HIDING, TEXTURE, _KIND, _LABELS, _COLOURS = range(8)


@dataclass(frozen=True)
class Look:
    """Appearance.  Where classes are told by it, ``pattern`` and ``hue`` tell the class.

    Attributes:
        pattern: index into ``LOOKS``.
        hue: 0 to 1, near one of the pattern's two; no two instances of a video share one.
        wobble: (4,) amplitudes and phases of the outline's second and third harmonic.
        radius: mean radius in pixels.
    """

    pattern: int
    hue: float
    wobble: tuple[float, float, float, float]
    radius: float


@dataclass(frozen=True)
class Actor:
    """One instance: its class, look and path; the later in a scene's list, the nearer.

    Attributes:
        label: index into :func:`class_names`.
        centre: (F, 2) x, y in pixels.
        angle: (F,) radians.
        scale: (F,) factor on the radius.
    """

    label: int
    look: Look
    centre: Floats
    angle: Floats
    scale: Floats


@dataclass(frozen=True)
class Scene:
    """A video before it is painted.

    Attributes:
        size: (height, width).
        kind: what tells the classes.
        lookalikes: the actors share look and class.
        key: what its streams of random numbers begin with.
    """

    size: tuple[int, int]
    frames: int
    actors: tuple[Actor, ...]
    kind: Kind
    lookalikes: bool
    key: tuple[int, ...]


def class_names(config: SyntheticConfig) -> tuple[str, ...]:
    """Names of the classes, three for each kind of video: motions, or looks, colours, lights."""
    if config.motion_classes:
        return MOTIONS
    looks = LOOKS if config.blinking + config.light < 1 else ()
    return looks + COLOUR_NAMES * (config.blinking > 0) + LIGHTS * (config.light > 0)


def unit(size: tuple[int, int]) -> float:
    """Pixels of this size that a pixel of 64x96 becomes."""
    return math.sqrt(size[0] * size[1] / (64 * 96))


def draw_scene(config: SyntheticConfig, video: int, attempt: int = 0) -> Scene:
    """Scene of a video; ``attempt`` gives another one where the first does not show all actors."""
    key = (config.seed, video, attempt)
    geometry, classes, looks = (
        np.random.default_rng((*key, stream)) for stream in (_GEOMETRY, _CLASSES, _LOOKS)
    )
    count = int(geometry.integers(*INSTANCES, endpoint=True))
    # below the dial for every value above: a higher dial only adds videos
    kind = _kind(config, np.random.default_rng((*key, _KIND)).random())
    lookalikes = bool(classes.random() < config.lookalikes)
    hues = classes.permutation(len(HUES))[:count]
    all_looks = _draw_looks(hues, config.size, looks)
    if lookalikes:
        all_looks = [all_looks[0]] * count
    match kind:
        case "looks":
            labels = [look.pattern for look in all_looks]
        case "motions":
            labels = [int(label) for label in classes.integers(3, size=count)]
        case _:
            drawn = np.random.default_rng((*key, _LABELS)).integers(3, size=count)
            alike = lookalikes or kind == "light"
            first = class_names(config).index((COLOUR_NAMES if kind == "blinking" else LIGHTS)[0])
            labels = [first + int(drawn[0 if alike else i]) for i in range(count)]
    if kind == "blinking":
        all_looks = [replace(look, pattern=COLOURED_PATTERN) for look in all_looks]
    motions = [MOTIONS[label] if kind == "motions" else None for label in labels]
    paths = _draw_paths(motions, config, geometry)
    return Scene(
        size=config.size,
        frames=config.frames,
        actors=tuple(
            Actor(label, look, *path)
            for label, look, path in zip(labels, all_looks, paths, strict=True)
        ),
        kind=kind,
        lookalikes=lookalikes,
        key=key,
    )


def _kind(config: SyntheticConfig, draw: float) -> Kind:
    """The kind of a video's classes; a higher dial only adds videos, from its own end."""
    if config.motion_classes:
        return "motions"
    if draw < config.blinking:
        return "blinking"
    return "light" if draw >= 1 - config.light else "looks"


def hidden_frames(scene: Scene, visible: npt.NDArray[np.int64], share: float) -> list[list[int]]:
    """Frames in which each actor's look is hidden; at least one frame shows it.

    Args:
        visible: (actors, F) pixels that show; 0 where the actor is absent.
        share: of the frames that show the actor; a larger share hides more frames, never others.
    """
    rng = np.random.default_rng((*scene.key, _HIDING))
    hidden: list[list[int]] = []
    for pixels in visible:
        order = [int(t) for t in rng.permutation(len(pixels)) if pixels[t]]
        clearest = max(order, key=lambda t: pixels[t])
        order.remove(clearest)
        hidden.append(sorted(order[: round(share * (len(order) + 1))]))
    return hidden


def colours_shown(scene: Scene, visible: npt.NDArray[np.int64]) -> list[list[int]]:
    """Which of two colours, 0 or 1, each actor (or the light) shows in each frame.

    Colours that alternate have half of the frames each, in random order; of an odd number, one of
    the two, by chance, has one more.

    Args:
        visible: (actors, F) pixels that show; 0 where the actor is absent.
    """
    rng = np.random.default_rng((*scene.key, _COLOURS))
    if scene.kind == "light":
        return [_colours(scene.actors[0].label, np.arange(scene.frames), scene, rng)] * len(visible)
    return [
        _colours(actor.label, np.flatnonzero(pixels), scene, rng)
        for actor, pixels in zip(scene.actors, visible, strict=True)
    ]


def _colours(
    label: int, frames: npt.NDArray[np.int64], scene: Scene, rng: np.random.Generator
) -> list[int]:
    state = label % 3  # each kind of video has three classes
    order = rng.permutation(frames)
    second = order[: (len(order) + int(rng.integers(2))) // 2]
    if state != ALTERNATING:
        return [state] * scene.frames
    return [int(t in second) for t in range(scene.frames)]


def _draw_looks(
    hues: npt.NDArray[np.int64], size: tuple[int, int], rng: np.random.Generator
) -> list[Look]:
    """Looks of one size and of different hues: the hue tells who is who, the size does not.

    Args:
        hues: indices into ``HUES``, which decide the patterns too.
    """
    radius = rng.uniform(10.5, 13.5) * (1 - 0.06 * (len(hues) - 2)) * unit(size)
    return [
        Look(
            pattern=int(hue) * len(LOOKS) // len(HUES),
            hue=float((HUES[hue] + rng.uniform(-0.01, 0.01)) % 1),
            wobble=(
                float(rng.uniform(0.05, 0.18)),
                float(rng.uniform(0, 2 * math.pi)),
                float(rng.uniform(0, 0.07)),
                float(rng.uniform(0, 2 * math.pi)),
            ),
            radius=float(radius * rng.uniform(0.94, 1.06)),
        )
        for hue in hues
    ]


def _draw_paths(
    motions: list[str | None], config: SyntheticConfig, rng: np.random.Generator
) -> list[tuple[Floats, Floats, Floats]]:
    """Centre, angle and scale over time of each actor.

    All go round one ellipse, with detours of their own; the farther by the gap between two, the
    more often one is where another one was, so that places do not tell who is who, whereas from
    one frame to the next the nearest one mostly is the same.  Detours and parts of the ellipse
    beyond the border make them cover each other and leave.
    """
    height, width = config.size
    count = len(motions)
    time = np.linspace(-0.5, 0.5, config.frames) if config.frames > 1 else np.zeros(1)
    middle = np.array([rng.uniform(0.35, 0.65) * width, rng.uniform(0.35, 0.65) * height])
    axes = np.array([rng.uniform(0.28, 0.46) * width, rng.uniform(0.3, 0.5) * height])
    gap = 2 * math.pi / count
    travel = max(config.travel, LEAST_TRAVEL) if config.motion_classes else config.travel
    turn = rng.choice((-1, 1)) * min(travel * rng.uniform(0.75, 1.25) * gap, LONGEST_TURN)
    start = rng.uniform(0, 2 * math.pi)
    paths = []
    for place, motion in zip(rng.permutation(count), motions, strict=True):
        speed = turn * rng.uniform(0.9, 1.1) * _TRAVEL[motion]
        around = start + (place + rng.uniform(-0.3, 0.3)) * gap + speed * time
        # mostly small; a large one crosses the ellipse, or leaves the frame
        swing = rng.uniform(0, 0.2) if rng.random() < 0.6 else rng.uniform(0.3, 0.6)
        detour = rng.uniform(-0.15, 0.15) + swing * _wave(time, rng) * _TRAVEL[motion]
        ring = np.stack([np.cos(around), np.sin(around)], 1)
        spin = rng.uniform(0, 2 * math.pi) + rng.uniform(-1.5, 1.5) * time
        depth = rng.uniform(0.05, 0.2) if motion is None else _PULSE[motion]
        scale = 1 + depth * _wave(time, rng)
        paths.append((middle + axes * (1 + detour)[:, None] * ring, spin, scale))
    return paths


# how much of the turn, and of the change of size, each class of motion has
_TRAVEL = {None: 1.0, "still": 0.0, "moving": 0.6, "pulsating": 0.0}
_PULSE = {"still": 0.0, "moving": 0.0, "pulsating": 0.35}


def _wave(time: Floats, rng: np.random.Generator) -> Floats:
    """One to two swings between -1 and 1 over the video."""
    return np.asarray(np.sin(2 * math.pi * rng.uniform(1, 2) * time + rng.uniform(0, 2 * math.pi)))
