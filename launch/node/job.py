"""What one cell does: count, try a step, train, predict, score, measure; each leaves a record.

What is cheap and can fail comes first.  A step whose record exists is skipped, so a cell that is
run again does only what is missing, and any step can be repeated alone by removing its record.  A
measurement that fails costs its own figure: the cell goes on without it and says so.
"""

from __future__ import annotations

import logging
import traceback
from collections.abc import Callable
from pathlib import Path

from benchmarks.measurement import Inputs, Measurement
from benchmarks.measurements import MEASUREMENTS
from core.config.schema import Config
from core.errors import UserError
from core.files import write_json
from launch.node.provenance import write_provenance
from launch.node.spent import metered
from launch.records.failures import cause_of
from launch.records.run_folder import RunFolder, timestamp

logger = logging.getLogger(__name__)

ShouldStop = Callable[[], bool]


def run_cell(run: RunFolder, *, attempt: int, should_stop: ShouldStop, leader: bool = True) -> bool:
    """Bring the run in the folder to its end.

    Args:
        run: its config and what is to be measured are read from the folder.
        attempt: number of this attempt, for the provenance.
        should_stop: asked after each training step and between the other steps.
        leader: False for the tasks that only help to train.

    Returns:
        Whether everything is done, or has failed for this time; else it was asked to stop, and a
        later call goes on.
    """
    config = run.config()
    if not leader:
        return not _needs_training(run) or _train(run, config, should_stop)
    with metered(run):
        return _lead(run, config, should_stop, attempt)


def _lead(run: RunFolder, config: Config, should_stop: ShouldStop, attempt: int) -> bool:
    failed: set[str] = set()
    needs_training = _needs_training(run)
    write_provenance(run, attempt)
    if not _measure(run, config, should_stop, attempt, failed, early=True):
        return False
    if needs_training and not run.checkpoint.exists():
        _try_step(config)
    if needs_training and not _train(run, config, should_stop):
        return False
    if "train" in run.measure() and not run.result("train").exists():
        write_json(run.result("train"), {"kind": "train", "steps": config.train.steps})
    return _measure(run, config, should_stop, attempt, failed)


def missing(
    run: RunFolder, failed: set[str] | frozenset[str] = frozenset(), *, early: bool = False
) -> Measurement | None:
    """The next measurement to do, or None; another grid may ask for more meanwhile.

    Args:
        failed: measurements that are not to be tried again.
        early: only those that are done before the training.
    """
    wanted = set(run.measure()) - failed
    for name, measurement in MEASUREMENTS.items():
        due = measurement.early or not early
        if due and name in wanted and not run.result(name).exists():
            return measurement
    return None


def _measure(
    run: RunFolder,
    config: Config,
    should_stop: ShouldStop,
    attempt: int,
    failed: set[str],
    *,
    early: bool = False,
) -> bool:
    """Make the records that are missing; False: it was asked to stop before the last of them."""
    scored: Inputs | None = None  # kept, so that predictions are read and matched once
    while (measurement := missing(run, failed, early=early)) is not None:
        if should_stop():
            return False
        name = measurement.name
        try:
            if measurement.needs_predictions and not run.predictions.exists():
                _predict(run, config)
                continue
            logger.info("measuring: %s", name)
            inputs = scored if measurement.needs_predictions else None
            if inputs is None:
                wanted = frozenset(run.measure()) - failed
                inputs = Inputs(run.signature, config, _checkpoint(run), run.predictions, wanted)
            scored = inputs if measurement.needs_predictions else None
            record = measurement.run(inputs)
        except Exception as error:
            if should_stop() or cause_of(error) == "disk full":
                raise
            logger.exception("%s: the measurement failed, the cell goes on without it", name)
            failed.add(name)
            write_json(
                run.failed_result(name),
                {
                    "attempt": attempt,
                    "cause": cause_of(error),
                    "last_line": f"{type(error).__name__}: {error}".splitlines()[0],
                    "traceback": traceback.format_exc(),
                    "time": timestamp(),
                },
            )
        else:
            write_json(run.result(name), record)
            run.failed_result(name).unlink(missing_ok=True)
    return True


def _needs_training(run: RunFolder) -> bool:
    """Whether others need its weights, or a measurement predictions, that are not there."""
    if run.predictions.exists() or _checkpoint(run) != run.checkpoint:
        return False
    wanted = set(run.measure())
    return ("train" in wanted and not run.result("train").exists()) or any(
        measurement.needs_predictions and name in wanted and not run.result(name).exists()
        for name, measurement in MEASUREMENTS.items()
    )


def _try_step(config: Config) -> None:
    from core.training.trial import try_step

    height, width = try_step(config)
    logger.info("a training step fits into memory at %dx%d", width, height)


def _train(run: RunFolder, config: Config, should_stop: ShouldStop) -> bool:
    from benchmarks.ap.score import score_while_training
    from core.training.train import train

    start = run.begins_with()
    if start is not None and not start.trained():
        raise UserError(
            f"{start.path}: the run that this cell starts from has not been trained to its end; "
            "launch the grid again"
        )
    return train(
        config,
        run.path,
        start=start.checkpoint if start else None,
        evaluate=score_while_training(config),
        should_stop=should_stop,
        progress=True,
    ).finished


def _checkpoint(run: RunFolder) -> Path:
    """The weights to test: the run's own, or those of one with the same training."""
    start = run.start()
    shared = start is not None and not run.trains() and start.trained()
    return start.checkpoint if start is not None and shared else run.checkpoint


def _predict(run: RunFolder, config: Config) -> None:
    from benchmarks.ap.score import heldout_videos
    from core.inference.predict import predict_dataset

    predict_dataset(config, _checkpoint(run), heldout_videos(config), run.predictions)
