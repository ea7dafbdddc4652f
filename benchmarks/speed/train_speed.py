"""What a training step takes: reading, forward, backward, optimiser; frames a second; memory.

The steps are the training's own (:class:`core.training.train.TrainingRun`), on the clips that it
would draw, all of them on one device.  Hooks tell where one part ends and the next one begins:

    data        reading the clips and moving them, to the beginning of the forward pass
    forward     features, heads, matching and losses
    backward    gradients, their norm, and the one wait for the losses' values
    optimiser   the update of the weights, to the end of the step

A model of mmdet takes the same steps with its own matching and losses: the clips, the optimiser and
the loop are ours.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any, cast

import torch
from torch.utils.flop_counter import FlopCounterMode

from benchmarks.flops.handlers import dispatch_handles
from benchmarks.machine.environment import device_name
from benchmarks.machine.memory import peak_memory
from benchmarks.machine.state import machine_state
from benchmarks.records import record_head
from benchmarks.speed.fps import doubts, ratios, scope_figures, timed_in
from benchmarks.speed.matmul_rate import MatmulRate, backends, matmul_rate, rate_facts
from benchmarks.speed.statistics import median_interval, trend
from benchmarks.speed.timing import PartClock, Sampling, unheard
from benchmarks.workloads.mmdet import TRAINS, MmdetTraining
from core.config.overrides import override
from core.config.schema import Config
from core.model.tevit import TeViT
from core.training.schedule import make_optimizer, set_lr
from core.training.train import TrainingRun
from core.training.world import World

PARTS = ("data", "forward", "backward", "optimiser")

_ONE = World(0, 1, 0)


def train_protocol(
    config: Config,
    device: torch.device,
    sampling: Sampling,
    together: Sequence[str] = (),
    mmdet: bool = False,
) -> dict[str, Any]:
    """Everything that a figure depends on and that can be chosen.

    Args:
        together: names of the configs that it took turns with.
        mmdet: whether a model of mmdet trains on the config's clips.
    """
    train, data = config.train, config.data
    return {
        "unit": "training frames per second",
        "device": device_name(device),
        "device_type": device.type,
        "clips": train.clips,
        "accumulate": train.accumulate,
        "clip_length": data.clip_length,
        "sizes": ", ".join(f"{long}x{short}" for long, short in data.train_sizes),
        "data": data.root,
        "workers": data.workers,
        "precision": train.precision,
        "compiled": train.compile,
        "checkpointing": train.checkpointing,
        **sampling.protocol(device),
        "interleaved_with": list(together),
        **(TRAINS if mmdet else {}),
        **backends(device),
    }


class TimedRun:
    """A training run, one step at a time, with the time of each part of each step."""

    def __init__(
        self, name: str, config: Config, folder: Path, steps: int, mmdet: Path | None = None
    ) -> None:
        """Of at most ``steps`` steps.

        Args:
            mmdet: configuration whose model trains in the place of the config's.
        """
        self.name, self.mmdet = name, mmdet
        self.config = override(config, {"train.steps": steps})
        self.run = TrainingRun(self.config, folder, _ONE)
        self.device = self.run.device
        if mmdet is not None:
            self._train_instead(MmdetTraining(mmdet))
        self.pixels: list[int] = []
        self.clock = PartClock(self.device)
        self._batches = self.run.batches()
        self.run.model.register_forward_pre_hook(self._forward_begins)
        self.run.model.register_forward_hook(lambda *_: self.clock.mark("backward"))
        self.run.optimizer.register_step_pre_hook(lambda *_: self.clock.mark("optimiser"))

    def _train_instead(self, model: MmdetTraining) -> None:
        run = self.run
        run.model = run.parallel = cast(TeViT, model.to(self.device).train())
        run.optimizer = make_optimizer(cast(TeViT, model.model), self.config.train)
        run.trained = [p for group in run.optimizer.param_groups for p in group["params"]]

    def _forward_begins(self, _: Any, inputs: tuple[Any, ...]) -> None:
        self.pixels[-1] += inputs[0].shape[0] * inputs[0].shape[-2] * inputs[0].shape[-1]
        self.clock.mark("forward")

    def step(self) -> None:
        """Take one step."""
        self.pixels.append(0)
        self.clock.begin("data")
        batches = next(self._batches)
        set_lr(self.run.optimizer, self.run.step, self.config.train)
        self.run.take_step(batches)
        self.clock.mark("end")

    def forget(self) -> None:
        """Begin anew with the steps that count."""
        self.clock.forget()
        self.pixels = []

    def milliseconds(self) -> dict[str, list[float]]:
        """Of each part, and of the whole ``step``, one value a step."""
        parts = self.clock.milliseconds(PARTS)
        return {**parts, "step": [sum(of) for of in zip(*parts.values(), strict=True)]}

    def multiply_adds(self) -> tuple[float, int]:
        """Of one step, forward and backward, by torch's counter; and the pixels of its frames."""
        handles = dispatch_handles()
        # the targets' masks are cut out with as many samples as a box is large: no count is known
        handles.pop(torch.ops.torchvision.roi_align, None)
        counter = FlopCounterMode(display=False, custom_mapping=handles)
        # what is compiled shows the counter no operators
        with torch.compiler.set_stance("force_eager"), counter:
            self.step()
        return counter.get_total_flops() / 2, self.pixels[-1]


def measure_training(
    configs: Mapping[str, Config],
    sampling: Sampling,
    report: Callable[[str], None] = unheard,
    mmdet: Mapping[str, Path] = MappingProxyType({}),
) -> list[dict[str, Any]]:
    """Take steps of every config in turns and write a record of kind ``train_speed`` for each.

    The process should be an isolated one; memory is left out where several configs share it.

    Args:
        mmdet: configurations of mmdet, by the names of the configs on whose clips they train.

    Raises:
        UserError: the data do not fit a config.
    """
    most = sampling.warmup + sampling.max_samples + 3
    with tempfile.TemporaryDirectory(prefix="tevit-train-") as folder:
        runs = [
            TimedRun(name, config, Path(folder) / str(k), most, mmdet.get(name))
            for k, (name, config) in enumerate(configs.items())
        ]
        device = runs[0].device
        report("matrix-product rate")
        precisions = {run.config.train.precision for run in runs}
        rates = {p: [matmul_rate(device, p)] for p in precisions}
        for _ in range(sampling.warmup):
            for run in runs:
                run.step()
                run.forget()
        before = machine_state(device)
        for _ in sampling.rounds("step", report):
            for run in runs:
                run.step()
        after = machine_state(device)
        for precision, known in rates.items():
            known.append(matmul_rate(device, precision))
        samples = {run.name: run.milliseconds() for run in runs}
        whole = {"step": {name: of["step"] for name, of in samples.items()}}
        records = []
        for run in runs:
            figures = _figures(run, samples[run.name], rates[run.config.train.precision])
            names = [other.name for other in runs if other is not run]
            trends = [("step", trend(samples[run.name]["step"]))]
            records.append(
                {
                    **record_head("train_speed", run.name),
                    "protocol": train_protocol(
                        run.config, device, sampling, names, run.mmdet is not None
                    ),
                    **figures,
                    "memory": peak_memory(run.step, device) if len(runs) == 1 else None,
                    "ratios": ratios(run.name, whole),
                    "parameters": sum(p.numel() for p in run.run.trained),
                    "environment": timed_in(before, after, trends, doubts(figures, device)),
                }
            )
        return records


def training_memory(config: Config, mmdet: Path | None = None) -> dict[str, Any]:
    """Peak memory of a step, alone in its process."""
    with tempfile.TemporaryDirectory(prefix="tevit-train-") as folder:
        run = TimedRun("memory", config, Path(folder), 2, mmdet)
        run.step()  # what is allocated once only is there from here on
        return peak_memory(run.step, run.device)


def _figures(
    run: TimedRun, samples: Mapping[str, list[float]], rates: Sequence[MatmulRate]
) -> dict[str, Any]:
    frames = run.config.train.clips * run.config.data.clip_length
    step = scope_figures(samples["step"], frames)
    mean_pixels = sum(run.pixels) / len(run.pixels)
    counted, pixels = run.multiply_adds()
    counted *= mean_pixels / pixels  # steps draw frames of several sizes
    machine = rate_facts(rates)
    share = counted / (step["median_ms"] / 1e3) / machine["matmul_rate"]
    parts: dict[str, dict[str, Any]] = {
        part: {**median_interval(samples[part]).named("median_ms"), "samples_ms": samples[part]}
        for part in PARTS
    }
    return {
        "scopes": {"step": {**step, "matmul_share": share}},
        "parts": parts,
        "figures": {
            "fps": step["fps"],
            "step_ms": step["median_ms"],
            **{f"{part}_ms": values["median_ms"] for part, values in parts.items()},
            "matmul_share": share,
        },
        "achieved": {
            "multiply_adds": counted,
            "counter": "torch, forward and backward",
            **machine,
        },
    }
