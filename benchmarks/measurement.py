"""What a measurement is: how its record is made, and how its protocol is told."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from core.config.schema import Config

if TYPE_CHECKING:
    from benchmarks.diagnosis.examine import DatasetFindings
    from core.data.dataset import VideoDataset


@dataclass(frozen=True)
class Inputs:
    """What a measurement may read.

    Attributes:
        name: of the model, for its record.
        checkpoint: trained weights, where the model has been trained.
        predictions: results on the held-out videos, for measurements that need them.
        wanted: names of all measurements that these inputs are for.
    """

    name: str
    config: Config
    checkpoint: Path
    predictions: Path
    wanted: frozenset[str] = frozenset()

    @cached_property
    def heldout(self) -> VideoDataset:
        """The videos that are scored."""
        from benchmarks.ap.score import heldout_videos

        return heldout_videos(self.config)

    @cached_property
    def findings(self) -> DatasetFindings:
        """What is in the predictions: read and matched once for all that is made of it."""
        from benchmarks.diagnosis.examine import examine_results

        return examine_results(self.heldout, self.predictions)

    @cached_property
    def scored(self) -> Mapping[str, Any]:
        """The protocol of what is scored."""
        from benchmarks.ap.protocol import ap_protocol

        return ap_protocol(self.config, self.heldout, self.checkpoint)


MakeRecord = Callable[[Inputs], dict[str, Any]]
"""Makes a record: JSON types, with ``figures`` and ``protocol``."""


@dataclass(frozen=True)
class Measurement:
    """One kind of record: how it is made, and how its protocol is told.

    Attributes:
        name: in a grid's ``measure:``; the record is ``results/<name>.json``.
        title: heading of its protocol.
        label: what the notes below a table say that a protocol belongs to.
        run: makes the record.
        needs_predictions: the model is trained and the held-out videos are predicted first.
        early: cheap and independent of the weights, so it is done before the training.
        on_request: a grid that does not say what to measure does without it.
        seedless: the same whatever the seed: the first of a cell's seeds has it alone.
        phrases: the best known protocol fields in words: a template and the fields that fill it.
        varied_by: protocol field to the switches that are expected to change it.
    """

    name: str
    title: str
    label: str
    run: MakeRecord
    needs_predictions: bool = False
    early: bool = False
    on_request: bool = False
    seedless: bool = False
    phrases: tuple[tuple[str, ...], ...] = ()
    varied_by: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
