"""What the files of a store look like, looked at where they are read: who goes on meets no other.

Only what is relied upon is asked for.  Keys may be missing, and others may be there: further
versions of the project wrote them.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, FiniteFloat, ValidationError

from core.config.strict import fault_text, root_faults
from core.errors import UserError
from core.files import read_json

Object = dict[str, Any]


def _numbers(tree: Object) -> Object:
    for name, value in tree.items():
        if isinstance(value, dict):
            _numbers(value)
        elif value is not None and (
            isinstance(value, bool)
            or not isinstance(value, int | float)
            or not abs(value) <= sys.float_info.max
        ):
            raise ValueError(f"{name} is {value!r:.80}, expected a number")
    return tree


Figures = Annotated[Object, AfterValidator(_numbers)]
"""Numbers by name, or more of them below a name; null: not measured."""


def _characters(text: str) -> str:
    text.encode()  # else it has half of one, which no other file could hold
    return text


Text = Annotated[str, AfterValidator(_characters)]

_Record = TypeVar("_Record")


class FileShape(BaseModel):
    """A JSON object with some known keys."""

    model_config = ConfigDict(strict=True)


def _folder_name(name: str) -> str:
    if not re.fullmatch(r"[\w-][\w.-]*", name, re.ASCII):
        raise ValueError(f"{name!r:.80} names no run folder")
    return name


Signature = Annotated[str, AfterValidator(_folder_name)]
"""Of a run: the name of its folder."""


class RunFile(FileShape):
    """The config of a run, and what it was made for."""

    name: str | None = None
    config: dict[str, Object | int | str | float | bool | None] | None = None
    measure: list[str] = []
    start: Signature | None = None
    trains: bool = True


class HolderFile(FileShape):
    """What the holder of a claim said of itself; see :func:`launch.records.process.myself`."""

    host: str | None = None
    node: str | None = None
    machine: str | None = None
    pid: int | None = None
    started: str | None = None
    time: FiniteFloat | None = None
    job_id: str | int | None = None
    restarts: int | None = None
    batch: str | None = None
    index: int | None = None
    worker: str | None = None
    code: str | None = None


class EndFile(FileShape):
    """How a claim ended."""

    outcome: str | None = None
    time: FiniteFloat | None = None
    cause: str | None = None


class GitPart(FileShape):
    """See :func:`benchmarks.machine.code.git_provenance`."""

    commit: str | None = None
    branch: str | None = None
    dirty: bool | None = None
    diff: str | None = None
    diff_sha256: str | None = None
    untracked: list[str] | None = None


class CodePart(FileShape):
    """See :func:`benchmarks.machine.code.code_identity`."""

    id: str | None = None
    modules: str | None = None


class EnvironmentPart(FileShape):
    """See :func:`benchmarks.machine.environment.environment`."""

    host: str | None = None
    driver: str | None = None
    python: str | None = None
    packages: dict[str, str | None] | None = None
    cpu: Object | None = None
    gpus: list[Object] | None = None
    git: GitPart | None = None
    code: CodePart | None = None
    drift: list[str] | None = None


class SubmissionPart(FileShape):
    """See :mod:`launch.node.provenance`."""

    executor: str | None = None
    parameters: Object | None = None
    pack: dict[str, int] | None = None
    command: str | list[str] | None = None


class AttemptFile(EnvironmentPart):
    """What an attempt ran on and with; of early ones that was its environment alone."""

    attempt: int | None = None
    time: str | None = None
    trains: bool = True
    environment: EnvironmentPart = EnvironmentPart()
    submission: SubmissionPart | None = None


class DoneFile(FileShape):
    """The mark of a finished run."""

    time: str | None = None
    wall_s: FiniteFloat | None = None
    attempts: int | None = None
    summary: Object | None = None


class FailureFile(FileShape):
    """See :mod:`launch.records.failures`."""

    attempt: int | None = None
    cause: str | None = None
    last_line: str | None = None
    traceback: str | None = None


class EnergyPart(FileShape):
    """See :mod:`launch.node.spent`."""

    attempts: int | None = None
    joules: FiniteFloat | None = None
    source: str | None = None
    why_not: str | None = None


class SpentFile(FileShape):
    """What the attempts of a run took besides time."""

    host_peak: FiniteFloat | None = None
    gpu_peak: FiniteFloat | None = None
    busy: FiniteFloat | None = None
    energy: EnergyPart | None = None


class ScoresPart(FileShape):
    """What the held-out videos said while it trained; see :mod:`benchmarks.ap.score`."""

    AP: FiniteFloat | None = None


class LineFile(FileShape):
    """A line of the metric history; see :class:`core.training.history.Metrics`."""

    step: Annotated[int, Field(ge=0, lt=2**63)]
    steps: int | None = None
    time: FiniteFloat | None = None
    loss: float | None = None  # one that is not finite costs no more than itself
    losses: Figures | None = None
    lr: FiniteFloat | None = None
    grad_norm: FiniteFloat | None = None
    frames_per_s: FiniteFloat | None = None
    seconds_left: FiniteFloat | None = None
    heldout: ScoresPart | None = None
    heldout_ema: ScoresPart | None = None


class RangePart(FileShape):
    """See :class:`launch.price.estimate.Range`."""

    low: FiniteFloat
    mid: FiniteFloat
    high: FiniteFloat


class PricePart(RangePart):
    """What was predicted of a cell; see :mod:`launch.price.record`."""

    units: FiniteFloat
    gpu: bool = False
    alone: bool = False
    watt_hours: RangePart | None = None


class BootstrapPart(FileShape):
    """Intervals, and the resamples that they come of; see :mod:`benchmarks.ap.bootstrap`."""

    seed: int | None = None
    resamples: int | None = None
    samples: dict[str, list[FiniteFloat | None]] | None = None
    AP: Figures | None = None


class MemoryPart(FileShape):
    """See :func:`benchmarks.machine.memory.peak_memory`."""

    allocated: FiniteFloat | None = None
    reserved: FiniteFloat | None = None
    host_peak: FiniteFloat | None = None


class PowerPart(FileShape):
    """See :func:`benchmarks.machine.energy.energy_of`."""

    joules_per_frame: FiniteFloat | None = None


class RecordFile(FileShape):
    """A measurement's."""

    kind: str | None = None
    created: str | None = None
    protocol: Object | None = None
    environment: EnvironmentPart | None = None
    figures: Figures | None = None
    bootstrap: BootstrapPart | None = None
    by_module: Figures | None = None
    memory: MemoryPart | None = None
    energy: PowerPart | None = None


def misfit(value: Any, shape: type[FileShape]) -> str | None:
    """What of a file's JSON is first not as it should be, in words; none: it fits.

    Example:
        >>> misfit({"wall_s": []}, DoneFile)
        'wall_s=[]: Input should be a valid number'
    """
    if not isinstance(value, dict):
        return "not a JSON object"
    try:
        shape.model_validate(value)
    except ValidationError as error:
        return _first_fault(error)
    return None


def read_whole(path: Path, kind: Callable[..., _Record], what: str) -> _Record:
    """The record in a file as a ``kind``, a dataclass of pydantic's that has all of its keys.

    Args:
        what: the file holds, in words.

    Raises:
        UserError: no such file, or a damaged one, such as one with a key of another version.
    """
    record = read_json(path)
    if not isinstance(record, dict):
        raise UserError(f"{path}: not {what}: not a JSON object")
    try:
        return kind(**record)
    except ValidationError as error:
        raise UserError(f"{path}: not {what}: {_first_fault(error)}") from error


def _first_fault(error: ValidationError) -> str:
    first = root_faults(error)[0]
    return fault_text(first, "a key that is not known", ".".join(map(str, first["loc"])))
