"""What ``tevit data check``, ``split`` and ``make`` do and print."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from core.config.overrides import override, parse_assignments
from core.config.schema import Config, DataConfig
from core.data.categories import public_name
from core.data.check import examine, sound_part
from core.data.dataset import VideoDataset
from core.data.locate import find_annotations
from core.data.split import Split, make_split, write_split
from core.data.synthetic.dataset import generate
from core.data.youtube_vis import load_dataset
from core.errors import UserError
from core.files import read_json, write_json

console = Console(soft_wrap=True, highlight=False)


def check(path: Path, annotations: str | None, images: str | None, sound: Path | None) -> bool:
    """Print every fault of a dataset, and whether there is none.

    Args:
        sound: where to write the annotation file without what is faulty, if anywhere.
    """
    with _progress("reading image headers") as on_progress:
        examined = examine(path, annotations, images, on_progress)
    for fault in examined.faults:
        print(fault)
    print(f"{path}: {describe(examined.dataset)}: {count(len(examined.faults), 'fault')}")
    if sound is not None:
        raw = read_json(find_annotations(path, annotations))
        write_json(sound, sound_part(raw, examined.faults), indent=None)
        print(f"written without them: {sound}")
    return not examined.faults


def split(path: Path, out: Path, holdout: float, seed: int) -> None:
    """Draw a split, record it and print how many videos of each class its sides have."""
    if not 0 < holdout < 1:
        raise UserError(f"--holdout {holdout}: it must lie between 0 and 1")
    data = DataConfig(root=str(path), holdout=holdout, split_seed=seed)
    dataset = load_dataset(data)
    drawn = make_split(dataset, data)
    write_split(out, drawn, dataset)
    console.print(_by_class(dataset, drawn))
    print(f"{out}: {len(drawn.train)} videos to train on, {len(drawn.heldout)} held out")


def make_synthetic(out: Path, dials: list[str]) -> None:
    """Generate the dataset of ``dials`` (fields of ``data.synthetic``) in a new folder."""
    values = {f"data.synthetic.{name}": v for name, v in parse_assignments(dials).items()}
    config = override(Config(), values).data.synthetic
    with _progress("videos") as on_progress:
        generate(config, out, on_progress)
    print(f"{out}: {describe(load_dataset(DataConfig(root=str(out))))}")


def describe(dataset: VideoDataset) -> str:
    """Such as "2238 videos, 61845 frames, 3774 tracks, 40 classes (YouTube-VIS 2019)"."""
    frames = sum(video.length for video in dataset.videos)
    parts = (
        count(len(dataset.videos), "video"),
        count(frames, "frame"),
        count(len(dataset.tracks), "track"),
        count(len(dataset.categories), "class", "classes"),
    )
    known = public_name(list(dataset.class_names))
    return ", ".join(parts) + (f" ({known})" if known else "")


def count(number: int, one: str, many: str | None = None) -> str:
    """A number with its noun, such as "1 fault", "no faults"."""
    noun = one if number == 1 else many or f"{one}s"
    return f"{number or 'no'} {noun}"


def _by_class(dataset: VideoDataset, split: Split) -> Table:
    table = Table("class", "train", "held out", title="videos by class")
    for category, name in sorted(dataset.categories.items()):
        having = {track.video_id for track in dataset.tracks if track.category_id == category}
        sides = (len(having.intersection(side)) for side in (split.train, split.heldout))
        table.add_row(name, *map(str, sides))
    return table


@contextmanager
def _progress(what: str) -> Iterator[Callable[[int, int], None]]:
    with Progress(console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(what, total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)
