"""How to get a run again: the exact commands, and what is different today."""

from __future__ import annotations

import hashlib
import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ablations.cell import Cell
from ablations.grid import Grid
from ablations.signature import signature
from core.errors import UserError
from core.files import read_json
from launch.code.snapshot import mark_of, start_command
from launch.node.provenance import code_text, diff_path, different_code
from launch.records import lease
from launch.records.run_folder import RunFolder
from launch.records.shapes import AttemptFile, misfit
from launch.records.store import Store

COMPARED_FACTS = (
    "python",
    "packages",
    "cpu",
    "threads",
    "gpus",
    "driver",
    "cuda",
    "cudnn",
    "float32_matmul_precision",
    "platform",
)
"""Of an environment, those that a result may owe to."""


@dataclass(frozen=True)
class Recipe:
    """How to repeat a run.

    Attributes:
        commands: to be typed one after the other in a checkout.
        differences: between the environment of then and of now, one line each.
        origin: when, where and by which command the run was made.
    """

    commands: tuple[str, ...]
    differences: tuple[str, ...]
    origin: str


def recipe(run: RunFolder, runs: Path, today: Mapping[str, Any] | None = None) -> Recipe:
    """The commands that repeat ``run`` into the store ``runs``, with warnings.

    Args:
        today: this environment; none: it is looked at now.

    Raises:
        UserError: the run was never started, so there is nothing to repeat it by.
    """
    attempt, record = latest_provenance(run)
    if today is None:
        from benchmarks.machine.environment import environment

        today = environment()
    then = record["environment"]
    frozen = _frozen(run, then)
    git = then.get("git") or {}
    code = _code(git, today.get("git") or {}, kept=bool(frozen))
    facts = environment_differences(then, today)
    differing = [*code, *(f"{name}: {was} then, {is_} now" for name, was, is_ in facts)]
    if len(codes := different_code(provenance(run))) > 1:
        trained = "; ".join(f"attempt {r.get('attempt')}: {code_text(r)}" for r in codes)
        differing.insert(0, f"code: its attempts trained on different code ({trained})")
    start = run.begins_with()
    if signature(run.config(), start.signature if start else None) != run.signature:
        differing.append(
            "config: today's code gives it another signature, since its meaning has changed or "
            "a file that it names has"
        )
    return Recipe(
        tuple(_commands(run, runs, attempt, git, frozen)),
        tuple(differing),
        _origin(run, record),
    )


def provenance(run: RunFolder) -> Iterator[dict[str, Any]]:
    """The records that the run's attempts left, in order."""
    for claim in run.attempts():
        if record := lease.read_dict(run.provenance(claim.number), AttemptFile):
            yield record


def latest_provenance(run: RunFolder) -> tuple[int, dict[str, Any]]:
    """Number and record of the latest attempt that left one.

    Raises:
        UserError: there is none, or it is damaged.
    """
    for claim in reversed(run.attempts()):
        path = run.provenance(claim.number)
        if path.exists():
            record = read_json(path)
            if wrong := misfit(record, AttemptFile):
                raise UserError(f"{path}: {wrong}")
            return claim.number, {"environment": {}, **record}
    raise UserError(f"{run.path}: never started, so there is no provenance to reproduce it by")


def grid_of_run(run: RunFolder) -> Grid:
    """The run as a grid of one cell, to launch it again; its start run comes with it."""
    measure: Any = run.measure() or ("ap",)
    cell = Cell(
        f"reproduce-{run.signature}",
        run.config(),
        {"run": run.signature},
        measure,
        _start_cell(run),
    )
    return Grid(cell.name, f"the run {run.path}", (cell,), {"run": (run.signature,)}, measure, None)


def _start_cell(run: RunFolder) -> Cell | None:
    start = run.begins_with()
    if start is None:
        return None
    name = f"start-{start.signature}"
    return Cell(name, start.config(), {}, ("train",), _start_cell(start))


def _frozen(run: RunFolder, then: Mapping[str, Any]) -> tuple[str, ...]:
    """What runs the very code of the run, files unknown to git too; empty: it was not kept."""
    code, store = (then.get("code") or {}).get("id"), Store(run.path.parents[1])
    return start_command(store, code, "cli") if code and mark_of(store, code) else ()


def _commands(
    run: RunFolder, runs: Path, attempt: int, git: Mapping[str, Any], frozen: Sequence[str]
) -> Iterator[str]:
    words = ["reproduce", str(run.path), "--run", "--into", str(runs)]
    if frozen:
        yield shlex.join(["python", *frozen, *words])
        return
    if git.get("commit"):
        yield f"git checkout {git['commit']}"
    if git.get("diff"):
        yield f"git apply {shlex.quote(str(diff_path(run, attempt)))}"
    yield shlex.join(["tevit", *words])


def _code(then: Mapping[str, Any], now: Mapping[str, Any], *, kept: bool) -> Iterator[str]:
    if then.get("commit") is None:
        yield "code: the run was made outside of a checkout, its version is not known"
    elif then["commit"] != now.get("commit"):
        yield f"code: commit {then['commit'][:12]} then, {str(now.get('commit'))[:12]} now"
    if then.get("diff_sha256") != now.get("diff_sha256"):
        words = {True: "uncommitted changes", False: "no uncommitted changes"}
        was, is_ = words[bool(then.get("dirty"))], words[bool(now.get("dirty"))]
        yield f"code: {was} then, {'other ones' if was == is_ else is_} now"
    if kept:
        return
    if cut_off(then):
        yield "code: the uncommitted changes were too long to be kept whole"
    if then.get("commit") is not None and then.get("untracked", ()) is None:
        yield "code: which files were not under version control is not known"
    for name in then.get("untracked") or ():
        yield f"code: {name} was not under version control, so it may be missing"


def cut_off(git: Mapping[str, Any]) -> bool:
    """Whether only the beginning of the uncommitted changes was kept."""
    diff = git.get("diff") or ""
    return bool(diff) and hashlib.sha256(diff.encode()).hexdigest() != git.get("diff_sha256")


def environment_differences(
    then: Mapping[str, Any], now: Mapping[str, Any]
) -> Iterator[tuple[str, str, str]]:
    """As :func:`differences`, of the facts of two environments that a result may owe to."""
    for fact in COMPARED_FACTS:
        yield from differences(fact, then.get(fact), now.get(fact))


def differences(name: str, then: Any, now: Any) -> Iterator[tuple[str, str, str]]:
    """Dotted name and the two values, in words, of all in which two trees differ."""
    if isinstance(then, Mapping) and isinstance(now, Mapping):
        for key in sorted({*then, *now}):
            inner = f"{name}.{key}" if name else str(key)
            yield from differences(inner, then.get(key), now.get(key))
    elif then != now:
        yield name, _shown(then), _shown(now)


def _shown(value: Any) -> str:
    if value is None or value == []:
        return "none"
    if isinstance(value, list):
        return ", ".join(str(v.get("name", v)) if isinstance(v, Mapping) else str(v) for v in value)
    return str(value)


def _origin(run: RunFolder, record: Mapping[str, Any]) -> str:
    submission = record.get("submission") or {}
    command = submission.get("command")
    made = f"{run.signature}, attempt {record.get('attempt')}, {record.get('time')}"
    where = f" on {record['environment'].get('host')}"
    if isinstance(command, list):
        command = shlex.join(command)
    return made + where + (f", by: {command}" if command else "")
