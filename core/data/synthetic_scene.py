"""What happens in a generated video: which instances, how they look, where they go.

Every aspect has a stream of random numbers of its own, so a dial changes what it names and
nothing else: the same seed with another ``hidden`` gives the same masks, painted otherwise.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from core.config import SyntheticConfig

LOOKS = ("striped", "spotted", "ringed")
MOTIONS = ("still", "moving", "pulsating")
INSTANCES = (2, 6)

Floats = npt.NDArray[np.float64]
_GEOMETRY, _CLASSES, _LOOKS, _HIDING, _TEXTURE = range(5)  # streams of random numbers


@dataclass(frozen=True)
class Look:
    """Appearance, nothing of which tells the class but ``pattern``.

    Attributes:
        pattern: index into ``LOOKS``.
        hue: 0 to 1.
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
        label: 0 to 2.
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
        lookalikes: the actors share look and class.
        texture_seed: of the background.
        hiding_seed: of which frames hide the evidence.
    """

    size: tuple[int, int]
    frames: int
    actors: tuple[Actor, ...]
    lookalikes: bool
    texture_seed: tuple[int, ...]
    hiding_seed: tuple[int, ...]


def class_names(config: SyntheticConfig) -> tuple[str, ...]:
    """Names of the three classes: looks, or motions."""
    return MOTIONS if config.motion_classes else LOOKS


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
    lookalikes = bool(classes.random() < config.lookalikes)
    labels = classes.integers(3, size=count)
    patterns = classes.integers(3, size=count)
    if lookalikes and not config.motion_classes:
        labels[:] = labels[0]
    if not config.motion_classes:
        patterns = labels
    all_looks = _draw_looks(patterns, config.size, looks)
    if lookalikes:
        all_looks = [all_looks[0]] * count
    actors: list[Actor] = []
    for label, look in zip(labels, all_looks, strict=True):
        motion = MOTIONS[label] if config.motion_classes else None
        actors.append(_place(int(label), look, motion, config, actors, geometry))
    return Scene(
        size=config.size,
        frames=config.frames,
        actors=tuple(actors),
        lookalikes=lookalikes,
        texture_seed=(*key, _TEXTURE),
        hiding_seed=(*key, _HIDING),
    )


def hidden_frames(scene: Scene, visible: npt.NDArray[np.int64], share: float) -> list[list[int]]:
    """Frames in which each actor's look is hidden; at least one frame shows it.

    Args:
        visible: (actors, F) pixels that show; 0 where the actor is absent.
        share: of the frames that show the actor; a larger share hides more frames, never others.
    """
    rng = np.random.default_rng(scene.hiding_seed)
    hidden: list[list[int]] = []
    for pixels in visible:
        order = [int(t) for t in rng.permutation(len(pixels)) if pixels[t]]
        clearest = max(order, key=lambda t: pixels[t])
        order.remove(clearest)
        hidden.append(sorted(order[: round(share * (len(order) + 1))]))
    return hidden


def _draw_looks(
    patterns: npt.NDArray[np.int64], size: tuple[int, int], rng: np.random.Generator
) -> list[Look]:
    """Looks whose hues lie apart, so that instances of a video can be told apart."""
    count = len(patterns)
    first = rng.random()
    return [
        Look(
            pattern=int(pattern),
            hue=float((first + (i + 0.3 * rng.random()) / count) % 1),
            wobble=(
                float(rng.uniform(0.05, 0.18)),
                float(rng.uniform(0, 2 * math.pi)),
                float(rng.uniform(0, 0.07)),
                float(rng.uniform(0, 2 * math.pi)),
            ),
            radius=float(rng.uniform(10.5, 14) * (1 - 0.06 * (count - 2)) * unit(size)),
        )
        for i, pattern in enumerate(patterns)
    ]


def _place(
    label: int,
    look: Look,
    motion: str | None,
    config: SyntheticConfig,
    others: list[Actor],
    rng: np.random.Generator,
) -> Actor:
    """The actor on the one of some random paths that meets the others least often.

    Paths cross now and then: occlusion is part of the set, but not its main difficulty.
    """
    paths = [_draw_path(motion, look.radius, config, rng) for _ in range(6)]
    actors = [Actor(label, look, *path) for path in paths]
    return min(actors, key=lambda actor: sum(_covered(actor, other) for other in others))


def _draw_path(
    motion: str | None, radius: float, config: SyntheticConfig, rng: np.random.Generator
) -> tuple[Floats, Floats, Floats]:
    """Centre, angle and scale over time; the middle of the path lies inside the frame."""
    height, width = config.size
    time = np.linspace(-0.5, 0.5, config.frames) if config.frames > 1 else np.zeros(1)
    middle = np.array([rng.uniform(0.1, 0.9) * width, rng.uniform(0.12, 0.88) * height])
    heading, bend = rng.uniform(0, 2 * math.pi), rng.uniform(-1, 1)
    travel = rng.uniform(*((24, 48) if motion == "moving" else (10, 48))) * unit(config.size)
    cycles, phase, depth = rng.uniform(0.5, 1.5), rng.uniform(0, 2 * math.pi), rng.uniform(0, 0.2)
    angle = rng.uniform(0, 2 * math.pi) + rng.uniform(-1.5, 1.5) * time
    if motion in ("still", "pulsating"):
        travel = 0.0
    if motion == "pulsating":
        cycles, depth = rng.uniform(1, 2), 0.35
    elif motion is not None:
        depth = 0.0
    direction = heading + bend * time
    centre = middle + travel * time[:, None] * np.stack([np.cos(direction), np.sin(direction)], 1)
    return centre, angle, 1 + depth * np.sin(2 * math.pi * cycles * time + phase)


def _covered(a: Actor, b: Actor) -> float:
    """How much two actors overlap, on average over the frames, 0 to 1."""
    distance = np.linalg.norm(a.centre - b.centre, axis=1)
    reach = a.look.radius * a.scale + b.look.radius * b.scale
    return float(np.clip(1 - distance / reach, 0, None).mean())
