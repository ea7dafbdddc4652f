"""``tevit train``, ``predict`` and ``eval``: one model, without a grid."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from cli.options import DataRoot, Overrides, a_file, a_folder, log_to_stderr
from core.errors import UserError

app = typer.Typer()


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
    from benchmarks.ap.score import score_while_training
    from core.config.load import load_config
    from core.files import check_writable
    from core.interrupt import stop_on_signals
    from core.training.setup import claim_folder
    from core.training.train import train
    from core.training.world import world_from_environment

    main_process = world_from_environment().main
    log_to_stderr(main_process)
    chosen = load_config(config, [*(overrides or []), *([f"data.root={data}"] if data else [])])
    folder = out or Path("trained") / Path(config).stem
    if main_process:  # of several, one looks
        check_writable(folder, folder=True)
        claim_folder(folder, chosen, name=Path(config).stem)
    with stop_on_signals() as should_stop:
        result = train(
            chosen, folder, evaluate=score_while_training(chosen), should_stop=should_stop
        )
    if main_process and result.finished:
        print(f"{result.step} steps done: {result.checkpoint}")
        print(f"next: tevit eval {folder} {result.checkpoint}")
    elif main_process:
        print(f"stopped after step {result.step}; the same command goes on from there")


@app.command("predict")
def predict_paths(
    config: Annotated[str, typer.Argument(help="a preset, a YAML file or a run folder")],
    checkpoint: Annotated[Path, typer.Argument(help="ours (.pt) or a published .pth")],
    videos: Annotated[
        list[str],
        typer.Argument(
            metavar="VIDEO... [FIELD=VALUE]...",
            help="folders of frames, annotation files (.json), GIFs or video files; then switches",
        ),
    ],
    out: Annotated[Path, typer.Option("--out", help="results, as JSON", callback=a_file)] = Path(
        "results.json"
    ),
    draw: Annotated[
        Path | None,
        typer.Option(
            "--draw", help="folder for videos with the tracks drawn in", callback=a_folder
        ),
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
        Path | None,
        typer.Option("--out", help="folder for predictions.json and ap.json", callback=a_folder),
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

    from benchmarks.ap.evaluate import evaluate
    from benchmarks.ap.protocol import ap_protocol
    from benchmarks.ap.score import heldout_videos, score
    from benchmarks.ap.table import print_ap
    from core.config.load import load_config
    from core.files import write_json
    from core.inference.predict import predict_dataset

    chosen = load_config(config, [*(overrides or []), *([f"data.root={data}"] if data else [])])
    heldout = heldout_videos(chosen)
    with tempfile.TemporaryDirectory() as temporary:
        path = (out or Path(temporary)) / "predictions.json"
        predict_dataset(chosen, checkpoint, heldout, path)
        protocol = ap_protocol(chosen, heldout, checkpoint)
        result = evaluate(heldout, path)
    found = score(result, protocol, resamples=resamples, seed=chosen.seed)
    if out is not None:
        write_json(out / "ap.json", found.record)
    print_ap(found.result, found.drawn, Console())
