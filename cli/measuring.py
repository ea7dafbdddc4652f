"""``tevit ap``, ``flops`` and ``fps``: what a model scores and costs."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from cli.options import (
    Scored,
    a_file,
    takes,
)
from core.errors import UserError

if TYPE_CHECKING:
    from benchmarks.speed.isolated import SpeedJob
    from benchmarks.workloads.spec import WorkloadSpec

app = typer.Typer()
bench = typer.Typer(
    help="Measure what training costs, and what bounds a model.", no_args_is_help=True
)
app.add_typer(bench, name="bench")

Weights = Annotated[Path | None, typer.Option("--checkpoint", help="weights; none: initial ones")]
MemoryLimit = Annotated[
    float | None, typer.Option(min=0.1, max=1e6, help="GiB that a measuring process may use")
]
JsonOut = Annotated[
    Path | None, typer.Option("--json", help="write the records to this file", callback=a_file)
]
CurveOut = Annotated[
    Path | None, typer.Option("--csv", help="write a curve's points to this file", callback=a_file)
]
Device = Annotated[
    str | None, typer.Option(help="cpu, cuda or cuda:1; none: the GPU if there is one")
]


@dataclass(frozen=True)
class Models:
    """Which models are to be measured."""

    configs: Annotated[
        list[str] | None,
        typer.Argument(
            help="presets, YAML files or run folders, each with switches of its own after commas "
            "(tevit_r50,head.kind=per_frame); and switches for all of them (head.classes=80)"
        ),
    ] = None
    mmdet: Annotated[
        list[str] | None,
        typer.Option(help="mmdet configuration to measure, too: a file, or a shipped name"),
    ] = None

    def workloads(self, **more: Any) -> tuple[WorkloadSpec, ...]:
        """Each of them, checked; ``more`` as of :class:`benchmarks.request.Request`."""
        from benchmarks.request import Request

        return Request(self.configs or (), self.mmdet or (), **more).workloads()


@dataclass(frozen=True)
class Shaped(Models):
    """And the shape of their input."""

    size: Annotated[
        str | None, typer.Option(help="padded frames, WIDTHxHEIGHT; none: the config's")
    ] = None
    clip: Annotated[int | None, typer.Option(help="frames a clip; none: the config's")] = None
    batch: Annotated[int, typer.Option(help="clips a call")] = 1

    def workloads(self, **more: Any) -> tuple[WorkloadSpec, ...]:
        """The same, at this shape."""
        return super().workloads(size=self.size, clip=self.clip, batch=self.batch, **more)


@dataclass(frozen=True)
class How(Models):
    """And how ``fps`` and ``bench`` are to measure them."""

    samples: Annotated[
        int, typer.Option(min=1, max=2000, help="timed calls or steps of each config, at least")
    ] = 20
    seconds: Annotated[
        float, typer.Option(min=0, max=86400, help="timed seconds (of each scope), at least")
    ] = 3.0
    warmup: Annotated[int, typer.Option(min=1, help="untimed calls or steps of each config")] = 3
    threads: Annotated[
        int | None, typer.Option(min=1, max=1024, help="CPU threads; none: torch's choice")
    ] = None
    tf32: Annotated[
        bool | None,
        typer.Option(
            "--tf32/--no-tf32", help="products and convolutions in TF32; none: torch's own"
        ),
    ] = None
    cudnn_benchmark: Annotated[
        bool | None,
        typer.Option(
            "--cudnn-benchmark/--no-cudnn-benchmark", help="let cuDNN try its algorithms; none: no"
        ),
    ] = None

    def job(
        self,
        kind: Literal["fps", "train", "roofline"],
        device: str | None = None,
        memory_limit: float | None = None,
        **more: Any,
    ) -> SpeedJob:
        """What is asked for, checked; ``memory_limit`` in GiB, ``more`` as of ``workloads``."""
        from benchmarks.speed.isolated import SpeedJob
        from benchmarks.speed.matmul_rate import Backends
        from benchmarks.speed.measure import find_device
        from benchmarks.speed.timing import Sampling

        return SpeedJob(
            kind,
            self.workloads(**more),
            find_device(device),
            Sampling(self.warmup, self.samples, self.seconds),
            threads=self.threads,
            memory_limit=None if memory_limit is None else int(memory_limit * 2**30),
            backends=Backends(self.tf32, self.cudnn_benchmark),
        )


@dataclass(frozen=True)
class HowShaped(Shaped, How):
    """And both."""


@app.command("ap")
@takes(Scored)
def average_precision(
    scored: Scored,
    resamples: Annotated[
        int | None,
        typer.Option(
            "--bootstrap", min=0, help="resamples over videos; default: 1000 with --against, else 0"
        ),
    ] = None,
) -> None:
    """Score predictions: YouTube-VIS AP and AR, by size and by class.

    `tevit ap heldout.json predictions.json --bootstrap 1000 --json ap.json`

    `tevit ap train.json runs/A/predictions.json --split runs/A/split.json \\
    --against runs/B/predictions.json`
    """
    from rich.console import Console

    from benchmarks.ap.bootstrap import bootstrap, difference_record
    from benchmarks.ap.evaluate import ap_record, evaluate
    from benchmarks.ap.table import print_ap, print_difference, unpredicted, unpredicted_note
    from core.data.annotations import read_annotations
    from core.data.split import heldout_part
    from core.files import write_json

    scored.refuse_to_overwrite()
    against, split = scored.against, scored.split
    if resamples is None:
        resamples = 0 if against is None else 1000
    if against is not None and not resamples:
        raise UserError("--against needs resamples; leave out --bootstrap 0")
    truth = read_annotations(scored.ground_truth)
    if split is not None:
        truth = heldout_part(truth, split)
    result = evaluate(truth, scored.results)
    drawn = bootstrap(result, resamples, seed=scored.seed) if resamples else None
    other = second = None
    if against is not None:
        second = evaluate(truth, against)
        other = bootstrap(second, resamples, seed=scored.seed)
    if scored.json_file is not None:
        protocol = {"data": str(scored.ground_truth), "results": str(scored.results)}
        if split is not None:
            protocol["split"] = f"held out: {split.name}"
        record = ap_record(result, protocol, drawn.to_dict() if drawn else None)
        if drawn and other:
            record["against"] = difference_record(other, drawn, str(against))
        write_json(scored.json_file, record)
    print_ap(result, drawn, Console())
    if note := unpredicted_note(result, scored.results, split):
        print(f"Note: {note}")
    if drawn and other:
        print_difference(drawn, other, str(against), Console())
    if second and (note := unpredicted(second)):
        print(f"Note: {against}: {note}")


@app.command("flops")
@takes(Shaped)
def count_flops(
    models: Shaped,
    device: Annotated[str, typer.Option(help="where the model runs while counted")] = "cpu",
    json_file: JsonOut = None,
) -> None:
    """Count multiply-adds a frame, by module, with two counters that must agree.

    `tevit flops tevit_msgshift tevit_r50 --size 640x384 --clip 5 --json flops.json`

    `tevit flops tevit_r50,head.kind=per_frame head.classes=80 --mmdet queryinst_r50_fpn_1x_coco`
    """
    from rich.console import Console

    from benchmarks.commands import Outputs
    from benchmarks.speed.isolated import SpeedJob, run_job
    from benchmarks.speed.measure import find_device
    from benchmarks.tables import flops_table

    records = run_job(SpeedJob("flops", models.workloads(), find_device(device)))
    Outputs(json_file).write(records)
    Console().print(flops_table(records))


@app.command("fps")
@takes(HowShaped)
def measure_fps(
    how: HowShaped,
    video_size: Annotated[
        str | None, typer.Option(help="masks and image files, WIDTHxHEIGHT; default 1280x720")
    ] = None,
    scope: Annotated[
        list[str] | None, typer.Option(help="model, postprocess, end_to_end; default: all three")
    ] = None,
    device: Device = None,
    checkpoint: Weights = None,
    compiled: Annotated[bool, typer.Option("--compile", help="use torch.compile")] = False,
    memory_limit: MemoryLimit = None,
    find_max_clip: Annotated[
        bool, typer.Option("--find-max-clip", help="search the longest clip that fits instead")
    ] = False,
    most: Annotated[int, typer.Option(min=1, help="longest clip that the search tries")] = 1024,
    curve: Annotated[
        str | None,
        typer.Option(help="measure at several values of clip_length=1,5,10, size, queries, batch"),
    ] = None,
    json_file: JsonOut = None,
    csv_file: CurveOut = None,
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
    from benchmarks.speed.fps import SCOPES

    if find_max_clip and curve is not None:
        raise UserError("--find-max-clip and --curve: one at a time")
    more = {"video_size": video_size, "checkpoint": checkpoint, "compiled": compiled}
    job = how.job("fps", device, memory_limit, **more)
    job = replace(job, scopes=tuple(dict.fromkeys(scope or SCOPES)))
    outputs = Outputs(json_file, csv_file)
    if find_max_clip:
        run_search(job, most, outputs)
    elif curve is not None:
        run_curve(job, curve, outputs)
    else:
        run_fps(job, outputs)


@bench.command("train")
@takes(How)
def bench_train(
    how: How,
    memory_limit: MemoryLimit = None,
    curve: Annotated[
        str | None, typer.Option(help="measure several numbers of clips a step: batch=1,2,4,8")
    ] = None,
    json_file: JsonOut = None,
    csv_file: CurveOut = None,
) -> None:
    """Measure training steps: data, forward, backward, optimiser; frames a second and memory.

    Several configs take turns in one process. The steps are the training's own, on its own data,
    all clips on one device. An mmdet model trains on the clips of the first config.

    `tevit bench train tiny tiny,train.precision=bf16 --json train.json`

    `tevit bench train tevit_msgshift data.root=PATH --curve batch=1,2,4,8 --json b.json`
    """
    from benchmarks.commands import Outputs, run_curve, run_fps

    job = how.job("train", memory_limit=memory_limit)
    outputs = Outputs(json_file, csv_file)
    if curve is None:
        run_fps(job, outputs)
    else:
        run_curve(job, curve, outputs)


@bench.command("roofline")
@takes(HowShaped)
def bench_roofline(
    how: HowShaped,
    device: Device = None,
    checkpoint: Weights = None,
    json_file: JsonOut = None,
) -> None:
    """Say what bounds each part of a model: the machine's matrix products, its memory, or neither.

    Multiply-adds, bytes and time of each part, beside the least time that this machine needs.

    `tevit bench roofline tevit_msgshift --size 640x384 --json roofline.json`

    `tevit plot roofline.json`
    """
    from benchmarks.commands import Outputs, run_fps

    run_fps(how.job("roofline", device, checkpoint=checkpoint), Outputs(json_file))


@app.command("regress")
def regress(
    record: Annotated[
        Path, typer.Argument(help="a file that `tevit fps` or `bench train` wrote with --json")
    ],
    tolerance: Annotated[
        float, typer.Option(min=0, help="change of speed that counts as none")
    ] = 0.05,
) -> None:
    """Measure a record's configs again on the same machine: faster, slower, as fast, cannot tell.

    Exit status 0: nothing is slower; 1: something is; 3: of something it cannot be told.

    `tevit bench train tiny --json before.json`, later `tevit regress before.json`
    """
    from benchmarks.commands import run_regress

    if status := run_regress(record, tolerance):
        raise typer.Exit(status)
