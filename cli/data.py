"""``tevit data``: check, show, split, make, convert and export datasets."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cli.options import DataRoot, Overrides, a_file, a_folder
from core.errors import UserError

if TYPE_CHECKING:
    from rich.table import Table

    from core.data.dataset import VideoDataset
    from core.data.split import Split

app = typer.Typer()
data_app = typer.Typer(
    help="Datasets: check, show, split, make, convert, export.", no_args_is_help=True
)
app.add_typer(data_app, name="data")
make_app = typer.Typer(help="Write a dataset.", no_args_is_help=True)
data_app.add_typer(make_app, name="make")


@data_app.command("check")
def data_check(
    path: Annotated[Path, typer.Argument(help="folder in YouTube-VIS or COCO format, or its file")],
    annotations: Annotated[str | None, typer.Option(help="annotation file, from PATH")] = None,
    images: Annotated[str | None, typer.Option(help="image folder, from PATH")] = None,
    sound_part: Annotated[
        Path | None,
        typer.Option(help="write an annotation file without what is faulty", callback=a_file),
    ] = None,
) -> None:
    """List everything that is wrong with a dataset; exit status 1 if anything is.

    `tevit data check ~/data/ytvis_2019`

    `tevit data check ~/data/mine --sound-part ~/data/mine/sound.json`
    """
    from core.data import check
    from core.data.locate import find_annotations
    from core.files import read_json, write_json

    with _progress("reading image headers") as on_progress:
        examined = check.examine(path, annotations, images, on_progress)
    for fault in examined.faults:
        print(fault)
    count = len(examined.faults)
    told = "1 fault" if count == 1 else f"{count or 'no'} faults"
    print(f"{path}: {examined.dataset.summary()}: {told}")
    if sound_part is not None:
        raw = read_json(find_annotations(path, annotations))
        write_json(sound_part, check.sound_part(raw, examined.faults), indent=None)
        print(f"written without them: {sound_part}")
    if examined.faults:
        raise typer.Exit(1)


@data_app.command("split")
def data_split(
    path: Annotated[Path, typer.Argument(help="folder in YouTube-VIS format, or its JSON file")],
    out: Annotated[Path, typer.Option(help="the split's file (JSON)", callback=a_file)] = Path(
        "split.json"
    ),
    holdout: Annotated[float, typer.Option(help="share of the videos held out")] = 0.2,
    seed: Annotated[int, typer.Option(help="another seed, another split")] = 0,
) -> None:
    """Draw a held-out split by video, stratified by class, and record it as lists of ids.

    `tevit data split ~/data/ytvis_2019 --holdout 0.1 --out ytvis_2019_split.json`

    Use it with `data.split_file=ytvis_2019_split.json`.
    """
    from rich.console import Console

    from core.config.schema import DataConfig
    from core.data.split import make_split, write_split
    from core.data.youtube_vis import load_dataset

    if not 0 < holdout < 1:
        raise UserError(f"--holdout {holdout}: it must lie between 0 and 1")
    data = DataConfig(root=str(path), holdout=holdout, split_seed=seed)
    dataset = load_dataset(data)
    drawn = make_split(dataset, data)
    write_split(out, drawn, dataset)
    Console(soft_wrap=True, highlight=False).print(_by_class(dataset, drawn))
    print(f"{out}: {len(drawn.train)} {dataset.noun}s to train on, {len(drawn.heldout)} held out")


@make_app.command("synthetic")
def data_make_synthetic(
    out: Annotated[
        Path, typer.Argument(help="folder to write, which must not exist", callback=a_folder)
    ],
    dials: Annotated[
        list[str] | None, typer.Argument(help="fields of data.synthetic: hidden=0.5 videos=40")
    ] = None,
) -> None:
    """Write the generated dataset, with its dials as given, to a folder in YouTube-VIS format.

    `tevit data make synthetic data/easy`

    `tevit data make synthetic data/hard hidden=0.7 lookalikes=1 videos=400 seed=3`
    """
    from core.config.overrides import override, parse_assignments
    from core.config.schema import Config, DataConfig
    from core.data.synthetic.dataset import generate
    from core.data.youtube_vis import load_dataset

    values = {f"data.synthetic.{name}": v for name, v in parse_assignments(dials or []).items()}
    config = override(Config(), values).data.synthetic
    with _progress("videos") as on_progress:
        generate(config, out, on_progress)
    print(f"{out}: {load_dataset(DataConfig(root=str(out))).summary()}")


@data_app.command("show")
def data_show(
    config: Annotated[str, typer.Argument(help="a preset, a YAML file or a run folder")] = "tiny",
    overrides: Overrides = None,
    data: DataRoot = None,
    out: Annotated[
        Path, typer.Option("--out", help="picture to write (.png, .jpg)", callback=a_file)
    ] = Path("clips.png"),
    clips: Annotated[int, typer.Option(min=1, help="rows")] = 6,
    first: Annotated[int, typer.Option(min=0, help="number of the first clip")] = 0,
) -> None:
    """Draw training clips as the model sees them, with masks and classes: a row a clip.

    `tevit data show tiny data.augment.photometric=1 data.augment.jitter=[0.5,2]`

    `tevit data show tevit_msgshift --data ~/data/ytvis_2019 --clips 10 data.clip_range=10`
    """
    from core.config.load import load_config
    from core.data.loader import training_clips
    from core.data.split import make_split
    from core.data.youtube_vis import load_dataset
    from core.files import write_atomic
    from core.inference.contact_sheet import contact_sheet

    if out.suffix.lower() not in (".png", ".jpg"):
        raise UserError(f"{out}: a picture's name ends in .png or .jpg")
    chosen = load_config(config, [*(overrides or []), *([f"data.root={data}"] if data else [])])
    dataset = load_dataset(chosen.data)
    split = make_split(dataset, chosen.data)
    part, heldout = dataset.subset(split.train), dataset.subset(split.heldout)
    source, _ = training_clips(part, chosen.data, chosen.seed, heldout)
    sheet = contact_sheet(source, range(first, first + clips), dataset.class_names)
    buffer = io.BytesIO()
    sheet.save(buffer, "PNG" if out.suffix.lower() == ".png" else "JPEG", quality=92)
    write_atomic(out, buffer.getvalue())
    print(f"{out}: {clips} clips of {chosen.data.clip_length} frames, {sheet.width}x{sheet.height}")


@data_app.command("convert")
def data_convert(
    kind: Annotated[str, typer.Argument(help="davis, mose, mots, burst, vipseg or frames")],
    source: Annotated[Path, typer.Argument(help="its folder; of burst, its JSON file")],
    out: Annotated[Path, typer.Argument(help="annotation file to write (.json)", callback=a_file)],
    images: Annotated[
        Path | None, typer.Option(help="folder of the images; none: where the format has them")
    ] = None,
    split: Annotated[
        Path | None, typer.Option(help="frames: of this recorded split's training videos alone")
    ] = None,
) -> None:
    """Write an annotation file for a dataset in another format; its images stay where they are.

    davis and mose: folders of PNG masks; mots: KITTI-MOTS and MOTSChallenge; vipseg: its things;
    frames: a dataset in YouTube-VIS format as images in COCO format.

    `tevit data convert davis ~/data/DAVIS ~/data/DAVIS/instances.json`

    `tevit data convert burst burst/train/all_classes.json burst/train.json --images burst/frames`

    `tevit data convert frames ~/data/ytvis_2019 ytvis_2019_frames.json --split split.json`
    """
    from core.data.check import examine
    from core.data.convert.formats import convert

    convert(kind, source, out, images, split)
    examined = examine(out)
    for fault in examined.faults:
        print(fault)
    print(f"{out}: {examined.dataset.summary()}")
    if examined.faults:
        raise typer.Exit(1)
    print(f"next: tevit data show --data {out}")


@data_app.command("export")
def data_export(
    annotations: Annotated[Path, typer.Argument(help="valid.json or test.json of the dataset")],
    results: Annotated[Path, typer.Argument(help="predictions, as `tevit predict` writes them")],
    out: Annotated[Path, typer.Argument(help="the zip to write", callback=a_file)],
    allow_missing: Annotated[
        bool, typer.Option(help="write also if videos have no track (they count as missed)")
    ] = False,
) -> None:
    """Check predictions and zip them for a YouTube-VIS or OVIS server.

    `tevit data export ytvis_2019/valid.json predictions.json submission.zip`
    """
    from core.data.export import export_results

    export = export_results(annotations, results, out, allow_missing=allow_missing)
    for video in export.missing:
        print(f"without a track: {video}")
    print(f"{export.path}: {export.tracks} tracks of {export.videos} videos")


def _by_class(dataset: VideoDataset, split: Split) -> Table:
    from rich.table import Table

    table = Table("class", "train", "held out", title=f"{dataset.noun}s by class")
    for category, name in sorted(dataset.categories.items()):
        having = {track.video_id for track in dataset.tracks if track.category_id == category}
        sides = (len(having.intersection(side)) for side in (split.train, split.heldout))
        table.add_row(name, *map(str, sides))
    return table


@contextmanager
def _progress(what: str) -> Iterator[Callable[[int, int], None]]:
    from rich.console import Console
    from rich.progress import Progress

    with Progress(console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(what, total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)
