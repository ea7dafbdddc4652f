"""Training: from a config and a folder to a checkpoint, resumable at any step.

Every source of randomness is either a function of the step (the clips) or saved with the
checkpoint (the generators), so on a CPU a run that was killed and resumed gives the same losses,
bit for bit, as one that was not.  (On CUDA, sums by atomic additions differ in the last bits.)
"""

from __future__ import annotations

import contextlib
import logging
import math
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from core.config.schema import Config
from core.data.loader import ClipBatch, make_loader
from core.data.split import write_split
from core.errors import UserError
from core.model.tevit import TeViT, build_model
from core.training.average import WeightAverage
from core.training.checkpoint import (
    FORMAT,
    find_checkpoint,
    read_file,
    rng_state,
    save_checkpoint,
    set_rng_state,
)
from core.training.distributed import (
    any_rank,
    default_device,
    from_main,
    gather_objects,
    joined,
    mean_over_ranks,
)
from core.training.history import Metrics, append_history, truncate_history
from core.training.progress import training_display
from core.training.schedule import make_optimizer, set_lr
from core.training.setup import (
    check_same_config,
    load_initial_weights,
    losses_of,
    parallel,
    prepare,
    seed_all,
    training_split,
)
from core.training.sync_batch_norm import synchronize_batch_norm
from core.training.world import World

Evaluate = Callable[[TeViT, World, Callable[[], bool]], Mapping[str, float | None]]
"""Figures of a model in eval mode, or none at all where it is asked to stop meanwhile.

Called on every process; the main one's answer counts.
"""

log = logging.getLogger(__name__)


class NonFiniteLossError(UserError):
    """The loss or its gradient is not a number; no weight has taken it in."""


@dataclass(frozen=True)
class TrainResult:
    """How a call of :func:`train` ended.

    Attributes:
        finished: all steps are done; else it was asked to stop.
        step: steps done in all.
        checkpoint: the latest one, which holds that step.
    """

    finished: bool
    step: int
    checkpoint: Path


def never() -> bool:
    """The answer of a training that nothing stops."""
    return False


def train(
    config: Config,
    folder: Path,
    *,
    start: Path | None = None,
    evaluate: Evaluate | None = None,
    should_stop: Callable[[], bool] = never,
    progress: bool = True,
) -> TrainResult:
    """Train ``config``, going on from ``folder/checkpoints`` where there is one.

    Under torchrun, SLURM tasks or submitit every process calls this; rank 0 writes.

    Args:
        folder: gets ``checkpoints/last.pt``, ``history.jsonl`` and ``split.json``.
        start: checkpoint of another run whose weights the first step begins with, as far as they
            fit; none: the initial weights of the config.
        evaluate: asked every ``train.eval_every`` steps and after the last one, of the weights
            and of their average; the history gets the answers.  No number of the training, random
            ones among them, depends on it.
        should_stop: polled after each step; true: checkpoint and return.
        progress: show a bar on a terminal, log lines elsewhere.

    Raises:
        NonFiniteLossError: naming the step, the videos and the last good checkpoint.
        UserError: the data or the weights do not fit the config, or the folder holds a run of
            another config.
    """
    with joined() as world:
        run = TrainingRun(config, Path(folder), world, start, evaluate)
        return run.train(should_stop, progress and world.main)


class TrainingRun:
    """A model, its optimiser and its place in the data, on one of the processes."""

    def __init__(
        self,
        config: Config,
        folder: Path,
        world: World,
        start: Path | None = None,
        evaluate: Evaluate | None = None,
    ) -> None:
        self.config, self.folder, self.world = config, folder, world
        self.device = default_device(world)
        self.evaluate = evaluate if config.train.eval_every else None
        self.step = 0
        dataset, split = training_split(config, world)
        self.dataset, self.heldout = dataset.subset(split.train), dataset.subset(split.heldout)
        if world.main:
            write_split(folder / "split.json", split, dataset)
        last = from_main(find_checkpoint(folder / "checkpoints") if world.main else None)
        # same initial weights on every rank, then a stream of its own for each
        seed_all(config.seed)
        self.model = build_model(config).train()
        if last is None:
            names = self.dataset.class_names
            for report in load_initial_weights(self.model, config, start, names):
                self._tell(report.summary())
        seed_all(config.seed + 1 + world.rank)
        if world.size > 1 and config.train.sync_batch_norm:
            synchronize_batch_norm(self.model)
        self.model.to(self.device)
        prepare(self.model, config.train, self.device)
        decay = config.train.ema
        self.average = WeightAverage(self.model, decay) if decay else None
        self.optimizer = make_optimizer(self.model, config.train)
        # listed once: walking all modules each step takes as long as their norms
        self.trained = [p for group in self.optimizer.param_groups for p in group["params"]]
        self.saved_rng: Mapping[str, Any] | None = None
        if last is not None:
            self._resume(last)
        if world.main:
            truncate_history(self.history, self.step)
        self.parallel = parallel(self.model, world, self.device)

    def _tell(self, message: str) -> None:
        """Log once, not once a process."""
        log.log(logging.INFO if self.world.main else logging.DEBUG, "%s", message)

    @property
    def history(self) -> Path:
        """The metric history."""
        return self.folder / "history.jsonl"

    def train(self, should_stop: Callable[[], bool], progress: bool) -> TrainResult:
        """Take the steps that are left; see :func:`train`."""
        steps = self.config.train.steps
        checkpoint = self.folder / "checkpoints" / "last.pt"
        saved = self.step if self.step else None
        metrics = Metrics(self.config)
        with training_display(progress, self.step, steps) as display:
            began = time.perf_counter()
            for batches in self.batches():
                lr = set_lr(self.optimizer, self.step, self.config.train)
                losses, norm = self.take_step(batches)
                metrics.count(time.perf_counter() - began)
                stop = any_rank(should_stop(), self.device) and self.step < steps
                heldout = {} if stop else self._heldout(should_stop)
                logged = self.step % self.config.train.log_every == 0 or self.step in (1, steps)
                if logged or heldout:
                    line = metrics.line(self.step, losses, lr, norm) | heldout
                    display.show(line)
                    if self.world.main:
                        append_history(self.history, line)
                if stop or self.step % self.config.train.checkpoint_every == 0:
                    checkpoint, saved = self._save(), self.step
                if stop:
                    break
                began = time.perf_counter()
        if saved != self.step:
            checkpoint = self._save()
        return TrainResult(self.step == steps, self.step, checkpoint)

    def batches(self) -> Iterator[list[ClipBatch]]:
        """Of each step that is left, the batches of its forward passes."""
        train, world = self.config.train, self.world
        batches = make_loader(
            self.dataset,
            self.config.data,
            self.config.seed,
            self.heldout,
            start_clip=self.step * train.clips,
            clips=train.clips // (world.size * train.accumulate),
            rank=world.rank,
            world=world.size,
            batches=(train.steps - self.step) * train.accumulate,
            pin_memory=self.device.type == "cuda",
        )
        first = next(batches, None)
        # only now: starting the loader draws from the generators
        if self.saved_rng is not None:
            set_rng_state(self.saved_rng)
        while first is not None:
            rest = [next(batches) for _ in range(train.accumulate - 1)]
            yield [first, *rest]
            first = next(batches, None)

    def take_step(self, batches: list[ClipBatch]) -> tuple[dict[str, float], float]:
        """One optimiser step; its losses (means over clips and ranks) and gradient norm."""
        sums: dict[str, Tensor] = {}
        for i, batch in enumerate(batches):
            losses = self._forward_backward(batch, last=i == len(batches) - 1)
            for name, value in losses.items():
                sums[name] = sums.get(name, 0) + value.detach() / len(batches)
        norm = nn.utils.clip_grad_norm_(self.trained, self.config.train.clip_norm)
        means = mean_over_ranks(torch.stack(list(sums.values())))
        *values, gradient = torch.cat((means, norm[None])).tolist()  # one wait for the device
        numbers = dict(zip(sums, values, strict=True))
        if not all(map(math.isfinite, [*values, gradient])):
            self._stop_on_non_finite(numbers, batches)
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        self.step += 1
        if self.average is not None:
            self.average.update(self.step)
        return numbers, gradient

    def _forward_backward(self, batch: ClipBatch, last: bool) -> dict[str, Tensor]:
        """Add one batch's gradients; ranks exchange them only in a step's ``last`` batch."""
        waits: contextlib.AbstractContextManager[None] = contextlib.nullcontext()
        if not last and isinstance(self.parallel, DistributedDataParallel):
            waits = self.parallel.no_sync()
        with waits:
            losses = losses_of(self.parallel, batch, self.device, self.config.train)
            total = torch.stack(list(losses.values())).sum()
            (total / self.config.train.accumulate).backward()
        return losses

    def _heldout(self, should_stop: Callable[[], bool]) -> dict[str, Any]:
        """What :attr:`evaluate` says, after the steps that ask for it, for the history."""
        train = self.config.train
        if self.evaluate is None or (self.step % train.eval_every and self.step != train.steps):
            return {}
        generators = rng_state()
        self.model.eval()
        # what is compiled is so for training, and a whole video is of another shape
        eager = torch.compiler.set_stance("force_eager") if train.compile else None
        with eager or contextlib.nullcontext():
            found = {"heldout": self.evaluate(self.model, self.world, should_stop)}
            if self.average is not None:
                with self.average.in_place():
                    found["heldout_ema"] = self.evaluate(self.model, self.world, should_stop)
        self.model.train()
        set_rng_state(generators)
        return {name: dict(figures) for name, figures in found.items() if figures}

    def _stop_on_non_finite(self, losses: dict[str, float], batches: list[ClipBatch]) -> None:
        videos = [target.video_id for _, targets in batches for target in targets]
        everyones = sorted({video for ids in gather_objects(videos) for video in ids})
        guilty = [name for name, value in losses.items() if not math.isfinite(value)]
        last = find_checkpoint(self.folder / "checkpoints") if self.world.main else None
        raise NonFiniteLossError(
            f"step {self.step + 1}: {', '.join(guilty[:4]) or 'the gradient'} is not finite, with "
            f"videos {', '.join(map(str, everyones))}; last good checkpoint: "
            f"{last or 'none, the run had not saved one'}. No weight has changed. Look at these "
            "videos' annotations, or lower train.lr or train.clip_norm"
        )

    def _save(self) -> Path:
        generators = gather_objects(rng_state())
        path = self.folder / "checkpoints" / "last.pt"
        if self.world.main:
            meta = {
                "format": FORMAT,
                "step": self.step,
                "config": self.config.to_dict(),
                "classes": list(self.dataset.class_names),
                "category_ids": sorted(self.dataset.categories),
                "ranks": self.world.size,
                "time": time.time(),
            }
            state = self.model.state_dict()
            contents = {"meta": meta, "state_dict": state, "rng": generators}
            if self.average is not None:
                contents["ema"] = self.average.state
            save_checkpoint(path.parent, {**contents, "optimizer": self.optimizer.state_dict()})
        return path

    def _resume(self, path: Path) -> None:
        contents = read_file(path)
        meta = contents.get("meta", {}) if isinstance(contents, dict) else {}
        if meta.get("format") != FORMAT:
            raise UserError(f"{path}: not a training checkpoint of ours; set train.init={path}")
        check_same_config(self.config, meta["config"], path)
        self.model.load_state_dict(contents["state_dict"])
        self.optimizer.load_state_dict(contents["optimizer"])
        if self.average is not None:
            for name, value in contents["ema"].items():
                self.average.state[name].copy_(value)
        self.step = meta["step"]
        if meta["ranks"] == self.world.size:
            self.saved_rng = contents["rng"][self.world.rank]
        else:
            log.warning(
                "%s was trained by %d processes and goes on with %d: drop path will draw other "
                "numbers",
                path,
                meta["ranks"],
                self.world.size,
            )
        self._tell(f"going on from {path}, step {self.step}")
