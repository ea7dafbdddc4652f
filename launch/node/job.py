"""What one cell does: train, predict, score, count, measure; each step leaves a record.

A step whose record exists is skipped, so a cell that is run again does only what is missing, and
any step can be repeated alone by removing its record.
"""

from __future__ import annotations

import gc
import logging
from collections.abc import Callable
from typing import Any

from core.config.schema import Config
from core.files import write_json
from launch.node.provenance import write_provenance
from launch.records.run_folder import RunFolder

logger = logging.getLogger(__name__)

RESAMPLES = 1000
BOOTSTRAP_SEED = 0
"""The same for all cells: two that met the same draws of videos can be compared in pairs."""


def run_cell(
    run: RunFolder, *, attempt: int, should_stop: Callable[[], bool], leader: bool = True
) -> bool:
    """Bring the run in the folder to its end.

    Args:
        run: its config and what is to be measured are read from the folder.
        attempt: number of this attempt, for the provenance.
        should_stop: asked after each training step and between the other steps.
        leader: False for the tasks that only help to train.

    Returns:
        Whether everything is done; else it was asked to stop, and a later call goes on.
    """
    config = run.config()
    if leader:
        write_provenance(run, attempt)
    if "ap" in run.measure() and not run.predictions.exists() and not run.result("ap").exists():
        if not _train(run, config, should_stop):
            return False
        if leader and not should_stop():
            _predict(run, config)
    if not leader:
        return True
    while (kind := missing(run)) is not None:
        if should_stop():
            return False
        logger.info("measuring: %s", kind)
        write_json(run.result(kind), MEASUREMENTS[kind](run, config))
    return True


def missing(run: RunFolder) -> str | None:
    """The next measurement to do, or None; another grid may ask for more meanwhile."""
    wanted = run.measure()
    return next((k for k in MEASUREMENTS if k in wanted and not run.result(k).exists()), None)


def _train(run: RunFolder, config: Config, should_stop: Callable[[], bool]) -> bool:
    from core.training.train import train

    result = train(config, run.path, should_stop=should_stop, progress=True)
    return result.finished


def _predict(run: RunFolder, config: Config) -> None:
    from core.inference.predict import predict_dataset

    predict_dataset(config, run.checkpoint, _heldout(config), run.predictions)


def _heldout(config: Config) -> Any:
    """The part of the dataset that is scored."""
    from core.data.split import make_split
    from core.data.youtube_vis import load_dataset

    dataset = load_dataset(config.data)
    return dataset.subset(make_split(dataset, config.data).heldout)


def _ap(run: RunFolder, config: Config) -> dict[str, Any]:
    from benchmarks.ap.bootstrap import bootstrap
    from benchmarks.ap.evaluate import ap_record, evaluate
    from benchmarks.ap.protocol import ap_protocol

    if not run.predictions.exists():
        _predict(run, config)
    heldout = _heldout(config)
    result = evaluate(heldout, run.predictions)
    drawn = bootstrap(result, RESAMPLES, seed=BOOTSTRAP_SEED)
    return ap_record(result, ap_protocol(config, heldout, run.checkpoint), drawn.to_dict())


def _flops(run: RunFolder, config: Config) -> dict[str, Any]:
    from benchmarks.flops.record import flops_record

    return flops_record(config, name=run.signature)


def _fps(run: RunFolder, config: Config) -> dict[str, Any]:
    from benchmarks.speed.measure import fps_record

    _free_memory()
    trained = run.checkpoint if run.checkpoint.exists() else None
    return fps_record(config, name=run.signature, checkpoint=trained)


def _free_memory() -> None:
    """Leave the GPU to the process that measures."""
    import torch

    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()


MEASUREMENTS: dict[str, Callable[[RunFolder, Config], dict[str, Any]]] = {
    "ap": _ap,
    "flops": _flops,
    "fps": _fps,
}
"""In the order in which they are done."""
