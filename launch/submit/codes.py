"""Which code each cell runs: that of its earlier attempts, or what stands here now."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from ablations.cell import Cell
from benchmarks.machine.code import code_identity, is_module
from core.errors import UserError
from launch.code.snapshot import changed_files, mark_of
from launch.executors.base import BatchPlan, CellStatus, Target
from launch.records.store import Store

_SHOWN = 3


def codes_of(
    store: Store,
    target: Target,
    cells: Sequence[tuple[Cell, CellStatus]],
    problems: list[str],
) -> dict[str, str]:
    """Signature to the code that each of ``cells`` is to run; empty where that is left open.

    Args:
        problems: what the user should know is added here.

    Raises:
        UserError: a cell was begun by code that is not to be had any more, or here.
    """
    if target.code is None:
        return {}
    codes = {cell.signature: target.code for cell, _ in cells}
    if target.new_code:
        return codes
    changed: dict[str, list[str]] = {}
    for cell, status in cells:
        own = (status.state.holder or {}).get("code")
        if isinstance(own, str) and own != target.code:
            _check(store, target, cell, own)
            codes[cell.signature] = own
            changed.setdefault(own, []).append(cell.name)
    if target.executor.runs == "what stands here":
        return dict.fromkeys(codes, target.code)
    for own, names in changed.items():
        if mark_of(store, own).get("modules") == _modules(store, target.code):
            continue
        files = changed_files(mark_of(store, own), mark_of(store, target.code))
        where = f" in {_some(modules)}" if (modules := list(filter(is_module, files))) else ""
        count = "1 cell goes" if len(names) == 1 else f"{len(names)} cells go"
        problems.append(
            f"{count} on with the code {own} of earlier attempts, which differs from what stands "
            f"here{where}; --new-code: with what stands here"
        )
    return codes


def _modules(store: Store, code: str) -> str:
    """Hash of what cells can import of what stands here, be it frozen already or only planned."""
    return str(mark_of(store, code).get("modules") or code_identity()["modules"])


def _check(store: Store, target: Target, cell: Cell, own: str) -> None:
    """The code that a cell was begun by can be run."""
    assert target.code is not None
    if target.executor.runs == "what stands here":
        if mark_of(store, own).get("modules") != _modules(store, target.code):
            raise UserError(
                f"cell {cell.name} was begun by the code {own}, and {target.executor.name} runs "
                "what stands here: use --executor local, or --new-code to go on with other code"
            )
    elif not mark_of(store, own):
        what = f"{store.code / own} is gone" if "-" not in own else "another version is installed"
        raise UserError(
            f"cell {cell.name} was begun by the code {own}, but {what}; --new-code goes on with "
            "what stands here"
        )


def _some(names: Sequence[str]) -> str:
    """The first few of many."""
    more = f", and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return ", ".join(names[:_SHOWN]) + more


def in_order(batches: Iterable[BatchPlan], after: Mapping[str, str]) -> list[BatchPlan]:
    """Batches behind those of the runs that they start from."""

    def depth(signature: str) -> int:
        return 1 + depth(after[signature]) if signature in after else 0

    return sorted(batches, key=lambda batch: max(depth(c.signature) for c in batch.cells))
