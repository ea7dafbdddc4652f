"""Predictions of the held-out videos to a record of AP, for `tevit eval` and a cell's job."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from benchmarks.ap.bootstrap import Bootstrap, bootstrap
from benchmarks.ap.evaluate import ApResult, ap_record, evaluate
from core.config.schema import Config
from core.data.dataset import VideoDataset
from core.data.split import make_split
from core.data.youtube_vis import load_dataset
from core.inference.classes import Classes
from core.inference.frames import FileFrames
from core.inference.predict import predict_videos
from core.inference.results_writer import Result
from core.model.tevit import TeViT
from core.training.distributed import gather_objects
from core.training.train import Evaluate
from core.training.world import World


@dataclass(frozen=True)
class Score:
    """What predictions are worth; ``drawn``: its resamples over videos, if asked for."""

    result: ApResult
    drawn: Bootstrap | None
    record: dict[str, Any]


def heldout_videos(config: Config) -> VideoDataset:
    """The part of the config's dataset that is scored."""
    dataset = load_dataset(config.data)
    return dataset.subset(make_split(dataset, config.data).heldout)


def score(result: ApResult, protocol: Mapping[str, Any], *, resamples: int, seed: int) -> Score:
    """Resample what predictions score, and make the record.

    Args:
        result: of :func:`benchmarks.ap.evaluate.evaluate`.
        protocol: of :func:`benchmarks.ap.protocol.ap_protocol`.
        resamples: over videos; 0: no intervals.
        seed: of the resamples.
    """
    drawn = bootstrap(result, resamples, seed=seed) if resamples else None
    return Score(result, drawn, ap_record(result, protocol, drawn.to_dict() if drawn else None))


def score_while_training(config: Config) -> Evaluate | None:
    """For :func:`core.training.train.train`: AP, AP50 and AP75 of the held-out videos.

    The processes share out the videos; masks pass through memory.  None where the config does not
    ask for it.
    """
    if not config.train.eval_every:
        return None
    heldout = heldout_videos(config)
    ids = Classes.of_dataset(heldout).ids

    def figures(
        model: TeViT, world: World, should_stop: Callable[[], bool]
    ) -> Mapping[str, float | None]:
        sources = (
            (video.id, FileFrames(video)) for video in heldout.videos[world.rank :: world.size]
        )
        mine: list[Result] = []
        stopped = False
        for entries in predict_videos(model, sources, config, ids):
            mine += entries
            if stopped := should_stop():
                break
        shares = gather_objects((stopped, mine))
        if not world.main or any(stopped for stopped, _ in shares):
            return {}
        results = [entry for _, share in shares for entry in share]
        found = evaluate(heldout, results, workers=1).figures
        return {name: found[name] for name in ("AP", "AP50", "AP75")}

    return figures
