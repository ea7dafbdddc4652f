"""What finished runs have taken: time, memory, on which kind of device."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from benchmarks.measurements import MEASUREMENTS
from core.config.overrides import flatten
from core.config.schema import Config
from core.errors import UserError
from launch.costs import known_costs
from launch.records import lease
from launch.records.run_folder import RunFolder
from launch.records.shapes import AttemptFile, DoneFile, SpentFile
from launch.records.store import Store
from launch.records.summary import last_line

MOST_RUNS = 300
"""Of a store, the latest: each costs a few small files to read."""

_FREE = frozenset(
    f"train.{name}"
    for name in (
        *("steps", "lr", "backbone_lr", "weight_decay", "clip_norm", "schedule", "warmup"),
        *("milestones", "final_lr", "cooldown", "layer_decay", "momentum", "decay_norms"),
        *("init", "checkpoint_every", "log_every"),
    )
) | {"seed", "backbone.pretrained", "data.split_seed", "data.split_file"}
"""Fields that do not change what a step takes."""
_HEAD_BYTES = 4096


@dataclass(frozen=True)
class Load:
    """What a config asks of a device, as far as prices depend on it.

    Attributes:
        key: equal for configs whose steps and tests take the same.
        family: the backbone's name.
        data: where the videos come from.
        precision: of training.
        step_work: multiply-adds of a step's forward passes; None: not counted.
        pass_work: of one forward pass, which is what memory holds.
        test_work: what predicting grows with, for data of one kind.
    """

    key: str
    family: str
    data: str
    precision: str
    step_work: float | None
    pass_work: float | None
    test_work: float | None


@dataclass(frozen=True)
class Observed:
    """A finished run.

    Attributes:
        step_s: seconds a training step, reading and checkpoints included; None: it took none.
        rest_s: seconds of everything else, over all attempts.
        measure: what it measured.
        host_peak: bytes of the first process; None: not recorded.
        gpu_peak: bytes of its GPU.
        watts: mean power by the hardware's counters, of the GPUs, or of the CPU packages whoever
            used them; None: not measured in every attempt.
        busy: load of a core of the machine; None: not recorded.
        device: such as ``NVIDIA A100``, or the CPU's name.
        gpus: that the cell had; 0: it ran on CPU cores.
        cores: threads of all its processes, where it had no GPU.
        shared: cells that had these at the same time.
        executor: that it was submitted by.
        parameters: that it was submitted with.
    """

    load: Load
    step_s: float | None
    rest_s: float
    measure: frozenset[str]
    host_peak: float | None
    gpu_peak: float | None
    watts: float | None
    busy: float | None
    device: str
    gpus: int
    cores: int
    shared: int
    executor: str | None
    parameters: Mapping[str, Any]


def load_of(config: Config, multiply_adds: int | None) -> Load:
    """What ``config`` asks for, if its model takes ``multiply_adds`` a frame of a test."""
    train, data = config.train, config.data
    values = flatten(config.to_dict())
    key = {name: value for name, value in values.items() if name not in _FREE}
    step = None
    if multiply_adds is not None:
        pixels = sum(a * b for a, b in data.train_sizes) / len(data.train_sizes)
        share = pixels / (data.test_size[0] * data.test_size[1])
        step = multiply_adds * share * data.clip_length * train.clips
    made = data.synthetic
    videos = made.videos * made.frames if data.root == "synthetic" else 1
    return Load(
        key=json.dumps(key, sort_keys=True),
        family=config.backbone.name,
        data=data.root,
        precision=train.precision,
        step_work=step,
        pass_work=None if step is None else step / train.accumulate,
        test_work=None if multiply_adds is None else multiply_adds * videos,
    )


def takes_steps(measure: Collection[str]) -> bool:
    """Whether what is wanted of a run needs its training."""
    needs = [name for name, one in MEASUREMENTS.items() if one.needs_predictions]
    return not {"train", *needs}.isdisjoint(measure)


def observe(store: Store, preferred: Iterable[str] = ()) -> list[Observed]:
    """The finished runs of a store that tell what they took, at most :data:`MOST_RUNS`.

    Args:
        preferred: signatures that are looked at whatever their age.
    """
    ages: dict[str, float] = {}
    for signature in store.existing():
        try:
            ages[signature] = store.run(signature).done_path.stat().st_mtime
        except OSError:
            continue
    latest = sorted(ages, key=ages.__getitem__, reverse=True)
    chosen = dict.fromkeys([*(s for s in preferred if s in ages), *latest[:MOST_RUNS]])
    found = (_observed(store.run(signature)) for signature in chosen)
    return [run for run in found if run is not None]


def _observed(run: RunFolder) -> Observed | None:
    done, provenance = lease.read_dict(run.done_path, DoneFile), _provenance(run)
    try:
        config = run.config()
        wall_s, attempts = float((done or {})["wall_s"]), int((done or {})["attempts"])
        facts = provenance["environment"]
        names = [str(gpu["name"]) for gpu in facts["gpus"]]
        cpu, threads = str(facts["cpu"]["model"]), int(facts["threads"]["intra_op"])
        tasks = int(provenance["attempt_of"].get("tasks") or 1)
    except (UserError, KeyError, TypeError, ValueError, AttributeError):
        return None  # damaged, of a colleague's older version, or not one of ours
    measure = frozenset((done or {}).get("measure") or ())
    step_s = None
    if takes_steps(measure) and run.trains():
        step_s = _seconds_a_step(run, config, attempts)
        if step_s is None:
            return None
    spent = lease.read_dict(run.spent, SpentFile) or {}
    submission = provenance.get("submission") or {}
    costs = known_costs(run, config)
    return Observed(
        load=load_of(config, costs.multiply_adds),
        step_s=step_s,
        rest_s=max(0.0, wall_s - (step_s or 0.0) * config.train.steps),
        measure=measure,
        host_peak=spent.get("host_peak"),
        gpu_peak=spent.get("gpu_peak"),
        watts=None if (joules := joules_of(run, attempts)) is None else joules / wall_s,
        busy=spent.get("busy"),
        device=names[0] if names else cpu,
        gpus=tasks if names else 0,
        cores=tasks * threads,
        shared=shared(submission),
        executor=submission.get("executor"),
        parameters=submission.get("parameters") or {},
    )


def joules_of(run: RunFolder, attempts: int) -> float | None:
    """What all attempts of a run took; None: not measured in each of them."""
    energy = (lease.read_dict(run.spent, SpentFile) or {}).get("energy")
    if not isinstance(energy, dict) or energy.get("attempts") != attempts:
        return None
    joules = energy.get("joules")
    return float(joules) if isinstance(joules, int | float) else None


def shared(submission: Mapping[str, Any]) -> int:
    """Cells that had a device at the same time: packed ones, or lanes of one GPU."""
    lanes = (submission.get("parameters") or {}).get("gpus")
    if isinstance(lanes, list) and lanes and lanes[0]:
        return lanes.count(lanes[0])
    return int((submission.get("pack") or {}).get("side_by_side", 1))


def _provenance(run: RunFolder) -> dict[str, Any]:
    numbers = [claim.number for claim in run.attempts()]
    return (lease.read_dict(run.provenance(numbers[-1]), AttemptFile) or {}) if numbers else {}


def _seconds_a_step(run: RunFolder, config: Config, attempts: int) -> float | None:
    """From the first to the last line of the history, where one attempt wrote both."""
    last = last_line(run)
    try:
        if attempts == 1:
            with run.history.open("rb") as stream:
                first = json.loads(stream.read(_HEAD_BYTES).splitlines()[0])
            if last["step"] > first["step"]:
                return float((last["time"] - first["time"]) / (last["step"] - first["step"]))
        return config.train.clips * config.data.clip_length / float(last["frames_per_s"])
    except (OSError, KeyError, ValueError, TypeError, IndexError, ZeroDivisionError):
        return None
