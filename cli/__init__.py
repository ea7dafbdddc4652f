"""The command line: one thin function a command.

Rooms are imported inside the commands, so that ``tevit --help`` answers at once.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from core.errors import UserError

app = typer.Typer(
    name="tevit",
    help="Ablations, benchmarks and paper tables for TeViT.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
)
data_app = typer.Typer(help="Datasets: check, split, make, export.", no_args_is_help=True)
app.add_typer(data_app, name="data")
make_app = typer.Typer(help="Write a dataset.", no_args_is_help=True)
data_app.add_typer(make_app, name="make")

Overrides = Annotated[
    list[str] | None,
    typer.Argument(help="Switches by name: head.kind=per_frame messenger.tokens=16"),
]

# --- core: model ---------------------------------------------------------------------------------


@app.command("switches")
def list_switches(
    part: Annotated[
        str, typer.Argument(help="only those whose name contains this: messenger, head.kind")
    ] = "",
    markdown: Annotated[
        bool, typer.Option("--markdown", help="all, as the document docs/switches.md")
    ] = False,
) -> None:
    """List every switch: its name and default, what it takes and what it does.

    `tevit switches messenger`
    """
    from core.config.switches import switches, switches_markdown

    if markdown:
        print(switches_markdown(), end="")
        return
    for switch in switches(part):
        print(f"{switch.name}={switch.default}  ({switch.takes})\n    {switch.description}")


@app.command("model")
def show_model(
    config: Annotated[str, typer.Argument(help="a preset, a YAML file or a run folder")],
    overrides: Overrides = None,
    depth: Annotated[int, typer.Option(min=0, help="levels of modules to show")] = 3,
) -> None:
    """Print the module tree with the parameters of each module and the total.

    `tevit model tevit_msgshift`
    """
    import torch
    from rich import print as rich_print

    from cli.model_tree import model_tree, parameter_count
    from core.config.load import load_config
    from core.model.tevit import build_model

    with torch.device("meta"):  # shapes only: no memory, no time
        model = build_model(load_config(config, overrides or []))
    rich_print(model_tree(model, depth))
    total, trained = parameter_count(model), parameter_count(model, trainable=True)
    print(f"{total:,} parameters, {trained:,} trained")


@app.command("grids")
def list_grids() -> None:
    """List the grids that come with the package: the question of each, and its cells.

    `tevit grids`, then `tevit plan components --scale tiny`
    """
    import textwrap

    from ablations import load_grid, shipped_grids

    for name in shipped_grids():
        grid = load_grid(name)
        sizes = [f"{scale}: {len(load_grid(name, scale=scale).cells)}" for scale in grid.scales]
        print(f"{name}  ({', '.join([f'{len(grid.cells)} cells', *sizes])})")
        print(textwrap.indent(textwrap.fill(grid.description, 76), "    "))


# --- core: data ----------------------------------------------------------------------------------


@data_app.command("check")
def data_check(
    path: Annotated[Path, typer.Argument(help="folder in YouTube-VIS format, or its JSON file")],
    annotations: Annotated[str | None, typer.Option(help="annotation file, from PATH")] = None,
    images: Annotated[str | None, typer.Option(help="image folder, from PATH")] = None,
    sound_part: Annotated[
        Path | None, typer.Option(help="write an annotation file without what is faulty")
    ] = None,
) -> None:
    """List everything that is wrong with a dataset; exit status 1 if anything is.

    `tevit data check ~/data/ytvis_2019`

    `tevit data check ~/data/mine --sound-part ~/data/mine/sound.json`
    """
    from cli import data as commands

    if not commands.check(path, annotations, images, sound_part):
        raise typer.Exit(1)


@data_app.command("split")
def data_split(
    path: Annotated[Path, typer.Argument(help="folder in YouTube-VIS format, or its JSON file")],
    out: Annotated[Path, typer.Option(help="the split's file (JSON)")] = Path("split.json"),
    holdout: Annotated[float, typer.Option(help="share of the videos held out")] = 0.2,
    seed: Annotated[int, typer.Option(help="another seed, another split")] = 0,
) -> None:
    """Draw a held-out split by video, stratified by class, and record it as lists of ids.

    `tevit data split ~/data/ytvis_2019 --holdout 0.1 --out ytvis_2019_split.json`

    Use it with `data.split_file=ytvis_2019_split.json`.
    """
    from cli import data as commands

    commands.split(path, out, holdout, seed)


@make_app.command("synthetic")
def data_make_synthetic(
    out: Annotated[Path, typer.Argument(help="folder to write, which must not exist")],
    dials: Annotated[
        list[str] | None, typer.Argument(help="fields of data.synthetic: hidden=0.5 videos=40")
    ] = None,
) -> None:
    """Write the generated dataset, with its dials as given, to a folder in YouTube-VIS format.

    `tevit data make synthetic data/easy`

    `tevit data make synthetic data/hard hidden=0.7 lookalikes=1 videos=400 seed=3`
    """
    from cli import data as commands

    commands.make_synthetic(out, dials or [])


@data_app.command("export")
def data_export(
    annotations: Annotated[Path, typer.Argument(help="valid.json or test.json of the dataset")],
    results: Annotated[Path, typer.Argument(help="predictions, as `tevit predict` writes them")],
    out: Annotated[Path, typer.Argument(help="the zip to write")],
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


# --- core: train, predict, eval ------------------------------------------------------------------

DataRoot = Annotated[
    str | None,
    typer.Option("--data", help="'synthetic', or a folder in YouTube-VIS format (data.root)"),
]


@app.command("train")
def train_model(
    config: Annotated[str, typer.Argument(help="a preset, a YAML file or a run folder")],
    overrides: Overrides = None,
    data: DataRoot = None,
    out: Annotated[
        Path | None, typer.Option("--out", help="folder of the run; none: trained/CONFIG")
    ] = None,
) -> None:
    """Train a model; the same command goes on where an interrupted run stopped.

    `tevit train tiny --data synthetic --out trained/tiny head.kind=per_frame`

    On several GPUs: `torchrun --nproc-per-node 8 -m cli train tevit_msgshift --data ytvis_2019`,
    or one SLURM task a GPU: `srun --ntasks 8 tevit train ...`.
    """
    from core.config.load import load_config
    from core.interrupt import stop_on_signals
    from core.training.distributed import world_from_environment
    from core.training.setup import claim_folder
    from core.training.train import train

    main_process = world_from_environment().main
    _log_to_stderr(main_process)
    chosen = load_config(config, [*(overrides or []), *([f"data.root={data}"] if data else [])])
    folder = out or Path("trained") / Path(config).stem
    if main_process:
        claim_folder(folder, chosen, name=Path(config).stem)
    with stop_on_signals() as should_stop:
        result = train(chosen, folder, should_stop=should_stop)
    if main_process and result.finished:
        print(f"{result.step} steps done: {result.checkpoint}")
        print(f"next: tevit eval {folder} {result.checkpoint}")
    elif main_process:
        print(f"stopped after step {result.step}; the same command goes on from there")


@app.command("predict")
def predict_videos(
    config: Annotated[str, typer.Argument(help="a preset, a YAML file or a run folder")],
    checkpoint: Annotated[Path, typer.Argument(help="ours (.pt) or a published .pth")],
    videos: Annotated[
        list[str],
        typer.Argument(
            metavar="VIDEO... [FIELD=VALUE]...",
            help="folders of frames, annotation files (.json), GIFs or video files; then switches",
        ),
    ],
    out: Annotated[Path, typer.Option("--out", help="results, as JSON")] = Path("results.json"),
    draw: Annotated[
        Path | None, typer.Option("--draw", help="folder for videos with the tracks drawn in")
    ] = None,
    min_score: Annotated[float, typer.Option(help="of the tracks that are drawn")] = 0.3,
    fps: Annotated[float, typer.Option(min=0.1, help="of the drawn videos")] = 6.0,
) -> None:
    """Find and track instances in videos.

    `tevit predict trained/tiny trained/tiny/checkpoints/last.pt my_frames/ clip.mp4 --draw drawn`

    A long video, in bounded memory: `... hour.mp4 inference.mode=near_online`.
    """
    from core.config.load import load_config
    from core.inference.predict_files import predict_files

    overrides = [item for item in videos if "=" in item and not Path(item).exists()]
    paths = [Path(item) for item in videos if item not in overrides]
    if not paths:
        raise UserError("no VIDEO given: a folder of frames, a .json, a .gif or a video file")
    chosen = load_config(config, overrides)
    for found in predict_files(
        chosen, checkpoint, paths, out, draw=draw, min_score=min_score, fps=fps
    ):
        best = max((result["score"] for result in found.results), default=0.0)
        print(
            f"video {found.video_id} ({found.name}): {len(found.results)} tracks, "
            f"best score {best:.2f}" + (f", drawn in {found.drawing}" if found.drawing else "")
        )
    print(f"results: {out}")


@app.command("eval")
def evaluate_model(
    config: Annotated[str, typer.Argument(help="a preset, a YAML file or a run folder")],
    checkpoint: Annotated[Path, typer.Argument(help="ours (.pt) or a published .pth")],
    overrides: Overrides = None,
    data: DataRoot = None,
    out: Annotated[
        Path | None, typer.Option("--out", help="folder for predictions.json and ap.json")
    ] = None,
    resamples: Annotated[
        int, typer.Option("--bootstrap", min=0, help="resamples over videos; 0: no intervals")
    ] = 0,
) -> None:
    """Predict the held-out split and score it: AP, AR, by size and by class.

    `tevit eval trained/tiny trained/tiny/checkpoints/last.pt --bootstrap 1000`
    """
    import tempfile

    from rich.console import Console

    from benchmarks.ap.bootstrap import bootstrap
    from benchmarks.ap.evaluate import ap_record, evaluate
    from benchmarks.ap.table import print_ap
    from core.config.load import load_config
    from core.data.split import make_split
    from core.data.youtube_vis import load_dataset
    from core.files import write_json
    from core.inference.predict import ap_protocol, predict_dataset

    chosen = load_config(config, [*(overrides or []), *([f"data.root={data}"] if data else [])])
    dataset = load_dataset(chosen.data)
    heldout = dataset.subset(make_split(dataset, chosen.data).heldout)
    with tempfile.TemporaryDirectory() as temporary:
        path = (out or Path(temporary)) / "predictions.json"
        predict_dataset(chosen, checkpoint, heldout, path)
        result = evaluate(heldout.ground_truth(), path)
    drawn = bootstrap(result, resamples, seed=chosen.seed) if resamples else None
    if out is not None:
        protocol = ap_protocol(chosen, heldout, checkpoint)
        record = ap_record(result, protocol, drawn.to_dict() if drawn else None)
        write_json(out / "ap.json", record)
    print_ap(result, drawn, Console())


def _log_to_stderr(main_process: bool) -> None:
    import logging

    level = logging.INFO if main_process else logging.WARNING
    logging.basicConfig(level=level, format="%(message)s")


# --- benchmarks: ap ------------------------------------------------------------------------------


@app.command("ap")
def average_precision(
    ground_truth: Annotated[Path, typer.Argument(help="annotations in YouTube-VIS format")],
    results: Annotated[Path, typer.Argument(help="predictions, as `tevit predict` writes them")],
    json_file: Annotated[
        Path | None, typer.Option("--json", help="write the record to this file")
    ] = None,
    split: Annotated[
        Path | None,
        typer.Option(help="recorded split: score its held-out videos (a run folder's split.json)"),
    ] = None,
    against: Annotated[
        Path | None,
        typer.Option(help="other predictions: print the differences with their intervals"),
    ] = None,
    resamples: Annotated[
        int | None,
        typer.Option(
            "--bootstrap", min=0, help="resamples over videos; default: 1000 with --against, else 0"
        ),
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="seed of the resamples")] = 0,
) -> None:
    """Score predictions: YouTube-VIS AP and AR, by size and by class.

    `tevit ap heldout.json predictions.json --bootstrap 1000 --json ap.json`

    `tevit ap train.json runs/A/predictions.json --split runs/A/split.json \\
    --against runs/B/predictions.json`
    """
    from rich.console import Console

    from benchmarks.ap.bootstrap import bootstrap, difference_record
    from benchmarks.ap.evaluate import ap_record, evaluate
    from benchmarks.ap.table import print_ap, print_difference
    from benchmarks.ap.truth import part_of_truth
    from core.data.split import read_heldout
    from core.files import read_json, write_json

    if resamples is None:
        resamples = 0 if against is None else 1000
    if against is not None and not resamples:
        raise UserError("--against needs resamples; leave out --bootstrap 0")
    truth = read_json(ground_truth)
    if split is not None:
        truth = part_of_truth(truth, read_heldout(split), str(ground_truth))
    result = evaluate(truth, results, truth_name=str(ground_truth))
    drawn = bootstrap(result, resamples, seed=seed) if resamples else None
    other = None
    if against is not None:
        scored = evaluate(truth, against, truth_name=str(ground_truth))
        other = bootstrap(scored, resamples, seed=seed)
    if json_file is not None:
        protocol = {"data": str(ground_truth), "results": str(results)}
        if split is not None:
            protocol["split"] = f"held out: {split.name}"
        record = ap_record(result, protocol, drawn.to_dict() if drawn else None)
        if drawn and other:
            record["against"] = difference_record(other, drawn, str(against))
        write_json(json_file, record)
    print_ap(result, drawn, Console())
    if drawn and other:
        print_difference(drawn, other, str(against), Console())


# --- benchmarks: flops, fps ----------------------------------------------------------------------

Configs = Annotated[
    list[str] | None,
    typer.Argument(
        help="presets, YAML files or run folders, each with switches of its own after commas "
        "(tevit_r50,head.kind=per_frame); and switches for all of them (head.classes=80)"
    ),
]
MmdetConfigs = Annotated[
    list[str] | None,
    typer.Option("--mmdet", help="mmdet configuration to measure, too: a file, or a shipped name"),
]
FrameSize = Annotated[
    str | None, typer.Option("--size", help="padded frames, WIDTHxHEIGHT; none: the config's")
]
ClipLength = Annotated[int | None, typer.Option("--clip", help="frames a clip; none: the config's")]
Batch = Annotated[int, typer.Option(help="clips a call")]
JsonOut = Annotated[Path | None, typer.Option("--json", help="write the records to this file")]
Device = Annotated[
    str | None, typer.Option(help="cpu, cuda or cuda:1; none: the GPU if there is one")
]


@app.command("flops")
def count_flops(
    configs: Configs = None,
    mmdet: MmdetConfigs = None,
    size: FrameSize = None,
    clip: ClipLength = None,
    batch: Batch = 1,
    device: Annotated[str, typer.Option(help="where the model runs while counted")] = "cpu",
    json_file: JsonOut = None,
) -> None:
    """Count multiply-adds a frame, by module, with two counters that must agree.

    `tevit flops tevit_msgshift tevit_r50 --size 640x384 --clip 5 --json flops.json`

    `tevit flops tevit_r50,head.kind=per_frame head.classes=80 --mmdet queryinst_r50_fpn_1x_coco`
    """
    from rich.console import Console

    from benchmarks.commands import Outputs
    from benchmarks.request import Request
    from benchmarks.speed.isolated import Job, run_job
    from benchmarks.tables import flops_table

    request = Request(configs or (), mmdet or (), size, clip, batch)
    records = run_job(Job("flops", request.workloads(), device))
    Outputs(json_file).write(records)
    Console().print(flops_table(records))


@app.command("fps")
def measure_fps(
    configs: Configs = None,
    mmdet: MmdetConfigs = None,
    size: FrameSize = None,
    clip: ClipLength = None,
    batch: Batch = 1,
    video_size: Annotated[
        str | None, typer.Option(help="masks and image files, WIDTHxHEIGHT; default 1280x720")
    ] = None,
    scope: Annotated[
        list[str] | None, typer.Option(help="model, postprocess, end_to_end; default: all three")
    ] = None,
    samples: Annotated[int, typer.Option(help="timed calls of each config, at least")] = 20,
    seconds: Annotated[float, typer.Option(help="timed seconds a scope, at least")] = 3.0,
    warmup: Annotated[int, typer.Option(help="untimed calls of each config")] = 3,
    device: Device = None,
    threads: Annotated[int | None, typer.Option(help="CPU threads; none: torch's choice")] = None,
    checkpoint: Annotated[Path | None, typer.Option(help="weights; none: initial ones")] = None,
    compiled: Annotated[bool, typer.Option("--compile", help="use torch.compile")] = False,
    memory_limit: Annotated[
        float | None, typer.Option(help="GiB that a measuring process may use")
    ] = None,
    find_max_clip: Annotated[
        bool, typer.Option("--find-max-clip", help="search the longest clip that fits instead")
    ] = False,
    most: Annotated[int, typer.Option(help="longest clip that the search tries")] = 1024,
    curve: Annotated[
        str | None,
        typer.Option(help="measure at several values: clip_length=1,5,10, size=..., queries=..."),
    ] = None,
    json_file: JsonOut = None,
    csv_file: Annotated[
        Path | None, typer.Option("--csv", help="write a curve's points to this file")
    ] = None,
) -> None:
    """Measure video frames a second in three scopes, and memory, in isolated processes.

    Several configs take turns in one process; the table gives ratios pair by pair.

    `tevit fps tevit_msgshift tevit_r50 --size 640x384 --clip 5 --json fps.json`

    `tevit fps tevit_r50,head.kind=per_frame head.classes=80 inference.top_k=100 --clip 1
    --mmdet queryinst_r50_fpn_1x_coco`

    `tevit fps tevit_msgshift --curve clip_length=1,2,5,10,20,36 --csv clips.csv`

    `tevit fps tevit_msgshift --find-max-clip`
    """
    from benchmarks.commands import Outputs, run_curve, run_fps, run_search
    from benchmarks.request import Request
    from benchmarks.speed.fps import SCOPES
    from benchmarks.speed.isolated import Job
    from benchmarks.speed.measure import default_device
    from benchmarks.speed.timing import Sampling

    request = Request(
        configs or (), mmdet or (), size, clip, batch, video_size, checkpoint, compiled
    )
    job = Job(
        "fps",
        request.workloads(),
        device or default_device(),
        Sampling(warmup, samples, seconds),
        tuple(scope or SCOPES),
        threads,
        None if memory_limit is None else int(memory_limit * 2**30),
    )
    outputs = Outputs(json_file, csv_file)
    if find_max_clip:
        run_search(job, most, outputs)
    elif curve is not None:
        run_curve(job, curve, outputs)
    else:
        run_fps(job, outputs)


# --- launch: plan, launch, status, logs, cancel, failures, reproduce -----------------------------

GridToRun = Annotated[str, typer.Argument(metavar="GRID", help="a shipped grid, or a YAML file")]
LaunchedGrid = Annotated[
    str, typer.Argument(metavar="GRID", help="name of a launched grid, or its file")
]
StoreOption = Annotated[
    Path | None, typer.Option("--store", help="folder of the runs; none: $TEVIT_RUNS, or ./runs")
]
Scale = Annotated[str | None, typer.Option(help="a scale of the grid, such as tiny")]
Seeds = Annotated[str | None, typer.Option(help="in place of the grid's: 3, or 0,3,4")]
GridName = Annotated[str | None, typer.Option("--name", help="in place of the grid's own")]
ExecutorOption = Annotated[
    str | None, typer.Option(help="inline, local or slurm; none: slurm where it is, else local")
]
ProfileOption = Annotated[
    str | None, typer.Option(help="what a cell asks for: default, cpu, four_gpus, or a YAML file")
]
Jobs = Annotated[int, typer.Option(help="cells at a time, of the local executor")]
Retry = Annotated[
    list[str] | None,
    typer.Option(help="also after this cause: error, out-of-memory, ..., all; or none at all"),
]
Attempts = Annotated[
    int, typer.Option("--max-attempts", help="attempts that get no further before giving up")
]
AllRows = Annotated[bool, typer.Option("--all", help="every cell, however many")]


@app.command("plan")
def plan_grid(
    grid: GridToRun,
    overrides: Overrides = None,
    scale: Scale = None,
    seeds: Seeds = None,
    name: GridName = None,
    executor: ExecutorOption = None,
    profile: ProfileOption = None,
    jobs: Jobs = 1,
    retry: Retry = None,
    max_attempts: Attempts = 3,
    costs: Annotated[
        bool | None,
        typer.Option(help="count multiply-adds (seconds a model); default: of few, once"),
    ] = None,
    every: AllRows = False,
    store: StoreOption = None,
) -> None:
    """Show what a launch would do, cell by cell, and the jobs it would submit; changes nothing.

    `tevit plan components`

    `tevit plan my_grid.yaml train.steps=4000 --seeds 3 --profile my_cluster.yaml`
    """
    from rich.console import Console

    from cli.options import make_target, read_grid
    from launch.costs import costs_of, worth_counting
    from launch.records.store import Store
    from launch.submit.plan import make_plan
    from launch.submit.retry import parse_rules
    from launch.watch.display import plan_table

    console, where = Console(), Store.default(store)
    chosen = read_grid(grid, overrides, scale=scale, seeds=seeds, rename=name)
    target = make_target(executor, profile, jobs)
    plan = make_plan(where, chosen, target, parse_rules(retry or (), max_attempts))
    count = worth_counting(chosen.cells) if costs is None else costs
    with console.status("counting multiply-adds, once a model (--no-costs: not)") as status:
        known = costs_of(
            where,
            chosen.cells,
            count=count,
            each=lambda cell: status.update(f"counting multiply-adds: {cell}"),
        )
    console.print(plan_table(plan, known, len(plan.cells) if every else 60))


@app.command("launch")
def launch_grid(
    grid: GridToRun,
    overrides: Overrides = None,
    scale: Scale = None,
    seeds: Seeds = None,
    name: GridName = None,
    executor: ExecutorOption = None,
    profile: ProfileOption = None,
    jobs: Jobs = 1,
    cell: Annotated[
        list[str] | None, typer.Option(help="only this cell (may be given several times)")
    ] = None,
    retry: Retry = None,
    max_attempts: Attempts = 3,
    report: Annotated[
        bool, typer.Option("--report", help="make the report when all ended")
    ] = False,
    wait: Annotated[bool, typer.Option("--wait", help="follow until all have ended")] = False,
    interval: Annotated[
        float | None,
        typer.Option(min=0.1, help="seconds between two looks [default: 2, on SLURM 30]"),
    ] = None,
    store: StoreOption = None,
) -> None:
    """Submit the cells of a grid that are missing or failed, and return.

    Launching again is safe: what runs or is done is left alone, what was interrupted resumes.

    `tevit launch components --profile my_cluster.yaml --report`

    `tevit launch components --scale tiny --executor local --jobs 2 --wait`

    `tevit launch heads --retry out-of-memory --profile large_gpu.yaml`
    """
    from cli.options import make_target, read_grid
    from launch.commands import LaunchOptions, run_launch
    from launch.records.store import Store
    from launch.submit.retry import parse_rules

    _log_to_stderr(main_process=True)
    chosen = read_grid(grid, overrides, scale=scale, seeds=seeds, rename=name)
    target = make_target(executor, profile, jobs)
    rules = parse_rules(retry or (), max_attempts)
    options = LaunchOptions(tuple(cell or ()), report, wait, interval)
    if not run_launch(Store.default(store), chosen, target, rules, options):
        sys.exit(1)


@app.command("status")
def grid_status(
    grid: LaunchedGrid,
    scale: Scale = None,
    watch: Annotated[bool, typer.Option("--watch", help="refresh until nothing runs")] = False,
    interval: Annotated[float, typer.Option(min=0.1, help="seconds between two looks")] = 10.0,
    tsv: Annotated[bool, typer.Option("--tsv", help="tab-separated, every cell")] = False,
    every: AllRows = False,
    store: StoreOption = None,
) -> None:
    """Show each cell's state, step, loss, AP, time left, host, job and what went wrong.

    `tevit status components --watch`
    """
    from cli.options import launched_name
    from launch.commands import show_status, watch_status
    from launch.records.store import Store

    where = Store.default(store)
    manifest = where.manifest(launched_name(grid, scale))
    limit = len(manifest.cells) if every else 60
    if watch:
        watch_status(where, manifest, interval, limit)
    else:
        show_status(where, manifest, limit, tsv=tsv)


@app.command("logs")
def cell_log(
    grid: LaunchedGrid,
    cell: Annotated[str, typer.Argument(help="its name, or the beginning of its signature")],
    follow: Annotated[bool, typer.Option("-f", "--follow", help="wait for more")] = False,
    scheduler: Annotated[
        bool, typer.Option("--scheduler", help="what SLURM wrote around the cell instead")
    ] = False,
    scale: Scale = None,
    store: StoreOption = None,
) -> None:
    """Print the log of a cell's latest attempt.

    `tevit logs components messenger=shift,head.kind=stqi,s0 -f`
    """
    from cli.options import launched_name
    from launch.records.store import Store
    from launch.watch.logs import find_log, follow_log

    where = Store.default(store)
    signature = where.manifest(launched_name(grid, scale)).cell(cell).signature
    run = where.run(signature)

    def over() -> bool:
        return not follow or run.state().name not in ("queued", "running")

    for text in follow_log(find_log(where, signature, scheduler=scheduler), over):
        sys.stdout.write(text)
        sys.stdout.flush()


@app.command("cancel")
def cancel_cells(
    grid: LaunchedGrid,
    cells: Annotated[
        list[str] | None, typer.Argument(help="names or signatures; none: every cell of the grid")
    ] = None,
    scale: Scale = None,
    store: StoreOption = None,
) -> None:
    """Take back the cells that are queued or running; a later launch resumes them.

    `tevit cancel components`

    `tevit cancel components messenger=off,head.kind=stqi,s1`
    """
    from cli.options import launched_name
    from launch.cancel import cancel
    from launch.records.store import Store

    where = Store.default(store)
    manifest = where.manifest(launched_name(grid, scale))
    wanted = [manifest.cell(name) for name in cells] if cells else list(manifest.cells)
    done = cancel(where, wanted)
    print(f"{len(done.cells)} cells cancelled" if done.cells else "nothing is queued or running")
    if done.problem:
        raise UserError(
            f"the cells will stop by themselves, but SLURM was not told: {done.problem}"
        )


@app.command("failures")
def grid_failures(grid: LaunchedGrid, scale: Scale = None, store: StoreOption = None) -> None:
    """Show what failed, alike failures together, with the whole traceback of one of them.

    `tevit failures components`
    """
    from rich.console import Console

    from cli.options import launched_name
    from launch.commands import failure_groups
    from launch.records.store import Store
    from launch.watch.display import failure_text

    where = Store.default(store)
    groups = failure_groups(where, where.manifest(launched_name(grid, scale)))
    Console(soft_wrap=True).print(failure_text(groups))


@app.command("reproduce")
def reproduce_run(
    run: Annotated[str, typer.Argument(help="signature, its beginning, or a run folder")],
    execute: Annotated[
        bool, typer.Option("--run", help="run it again now, in this process")
    ] = False,
    into: Annotated[Path, typer.Option(help="store for the repeated run")] = Path("reproduced"),
    store: StoreOption = None,
) -> None:
    """Print the exact commands that repeat a run, and every difference from today's environment.

    `tevit reproduce 0123abcd`

    `tevit reproduce runs/runs/0123abcd01234567 --run`
    """
    from launch.commands import run_again
    from launch.records.store import Store
    from launch.reproduce import recipe

    found = Store.default(store).find_run(run)
    made = recipe(found, into.absolute())
    print(f"# {made.origin}")
    print("\n".join(made.commands))
    for difference in made.differences:
        print(f"warning: {difference}", file=sys.stderr)
    if execute and not run_again(found, Store.default(into)):
        sys.exit(1)


# --- reports -------------------------------------------------------------------------------------


@app.command("report")
def report_grid(
    grid: Annotated[str, typer.Argument(help="name of a launched grid, or its file")],
    store: Annotated[
        Path | None, typer.Option(help="store of runs; default: $TEVIT_RUNS or ./runs")
    ] = None,
    scale: Annotated[str | None, typer.Option(help="scale that it was launched at")] = None,
    formats: Annotated[
        str, typer.Option("--format", help="of the tables: md,latex,csv,html")
    ] = "md,latex,csv,html",
    out: Annotated[
        Path | None, typer.Option(help="folder to write to; default: STORE/reports/GRID")
    ] = None,
    table: Annotated[
        Path | None, typer.Option(help="table specification (YAML) in place of the grid's own")
    ] = None,
    videos: Annotated[
        str | None, typer.Option(help="videos whose masks the page shows: names or ids, a,b,c")
    ] = None,
    plots: Annotated[bool, typer.Option(help="draw plots")] = True,
    page: Annotated[bool, typer.Option(help="write the HTML page")] = True,
    clips: Annotated[bool, typer.Option(help="show masks in the page")] = True,
) -> None:
    """Make tables, plots and a page from the runs of a grid, whatever their state.

    `tevit report components --scale tiny`

    `tevit report components --format latex --no-plots --no-page --out paper/tables`
    """
    from rich.console import Console

    from launch.records.store import Store
    from reports.report import launched_name, make_report
    from reports.tables.render_terminal import to_terminal

    console = Console()
    report = make_report(
        Store.default(store),
        launched_name(grid, scale),
        out=out,
        formats=[name.strip() for name in formats.split(",") if name.strip()],
        table_file=table,
        plots=plots,
        page=page,
        clips=clips,
        videos=[name.strip() for name in videos.split(",")] if videos else None,
        show=lambda built: console.print(to_terminal(built, console.width), ""),
    )
    for note in report.notes:
        console.print(f"Note: {note}", highlight=False, markup=False)
    for label, path in report.places().items():
        console.print(f"{label}: {path}", highlight=False, markup=False, soft_wrap=True)


@app.command("plot")
def plot_curve(
    curve: Annotated[Path, typer.Argument(help="a record of `tevit fps --curve ... --json FILE`")],
    out: Annotated[Path, typer.Option(help="folder to write to")] = Path(),
) -> None:
    """Plot time and memory along a measured curve, as PDF, PNG and CSV.

    `tevit fps tevit_msgshift --curve clip_length=1,5,10,20,36 --json clips.json`

    `tevit plot clips.json --out paper/figures`
    """
    from reports.plots.curve import read_curve
    from reports.plots.style import save

    plot = read_curve(curve)
    for path in save(plot, out):
        print(path)
    print(*plot.notes, sep="\n")


def main() -> None:
    """Run the command line; a user's error is one message and exit status 2."""
    try:
        app()
    except UserError as error:
        print(f"tevit: {error}", file=sys.stderr)
        sys.exit(2)
