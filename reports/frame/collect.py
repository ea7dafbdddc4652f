"""Run folders to one tidy frame: the truth from which tables and plots are derived.

One row a cell and seed, whatever became of it.  Columns, left to right:

* ``grid``, ``cell``, ``seed``, ``name``, ``signature``, ``state``, ``cause``, ``mixed``;
* ``axis.<axis>``: the label of the cell's value;
* every switch by its dotted name (``head.kind``, ``messenger.tokens``, ...), lists as JSON;
* a measurement's figures and, beside them, its protocol: ``ap.AP``, ..., ``ap.protocol.data``;
  units as in the records (fractions, multiply-adds, frames a second, bytes);
* ``run.*``: what the run was made with and how long it took.
"""

from __future__ import annotations

import io
import json
from collections.abc import Iterable, Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pandas as pd

from benchmarks.measurements import NAMES
from core.files import write_atomic
from launch.node.provenance import different_code
from reports.frame.protocol import measured, mixed_within, protocol_fields
from reports.frame.runs import CellRun, GridRuns

_NOT_COLUMNS = frozenset(
    {
        *("kind", "schema", "created", "name", "figures", "protocol"),
        *("environment", "per_video", "by_operator", "by_counter"),
    }
)
_LONG = frozenset({"samples_ms", "samples"})


def collect(grid: GridRuns) -> pd.DataFrame:
    """The frame of ``grid``; every cell and seed of the manifest has its row."""
    rows = [
        {_characters(name): _characters(value) for name, value in _row(run, grid).items()}
        for run in grid.runs
    ]
    # convert_dtypes: whole numbers stay whole where a run lacks one, instead of turning to floats
    frame = pd.DataFrame(rows, columns=_column_order(rows)).convert_dtypes()
    frame["mixed"] = _mixed(frame)
    return frame


def save_frame(frame: pd.DataFrame, stem: Path) -> tuple[list[Path], str | None]:
    """Write ``stem``.csv and, where pyarrow is installed, ``stem``.parquet.

    Returns:
        the files written, and what to tell the user if Parquet could not be.
    """
    paths = [stem.with_suffix(".csv")]
    write_atomic(paths[0], frame.to_csv(index=False))
    if find_spec("pyarrow") is None:
        return paths, "no Parquet file: pyarrow is not installed (pip install pyarrow)"
    buffer = io.BytesIO()
    _one_type_a_column(frame).to_parquet(buffer, index=False, engine="pyarrow")
    paths.append(stem.with_suffix(".parquet"))
    write_atomic(paths[1], buffer.getvalue())
    return paths, None


def flat_columns(tree: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested mappings as dotted names; lists as JSON text.

    Example:
        >>> flat_columns({"head": {"kind": "stqi"}, "shift": [1, -1]})
        {'head.kind': 'stqi', 'shift': '[1,-1]'}
    """
    flat: dict[str, Any] = {}
    for name, value in tree.items():
        if isinstance(value, Mapping):
            flat.update(flat_columns(value, f"{prefix}{name}."))
        elif isinstance(value, Sequence) and not isinstance(value, str):
            flat[prefix + name] = json.dumps(value, separators=(",", ":"))
        else:
            flat[prefix + name] = value
    return flat


def _characters(value: Any) -> Any:
    """A text without what is none of it, which pandas could not hold; anything else as it is."""
    return value.encode(errors="replace").decode() if isinstance(value, str) else value


def _row(run: CellRun, grid: GridRuns) -> dict[str, Any]:
    row: dict[str, Any] = {
        "grid": grid.name,
        "cell": run.cell,
        "seed": run.seed,
        "name": run.name,
        "signature": run.signature,
        "state": run.state,
        "cause": "; ".join([run.cause or "", *run.faults]).strip("; ") or None,
        "mixed": None,
    }
    row |= {f"axis.{axis}": run.axes.get(axis) for axis in grid.manifest.axes}
    row |= {k: v for k, v in flat_columns(run.config or {}).items() if k != "seed"}
    for kind in NAMES:
        if kind in run.records:
            row |= {f"{kind}.{k}": v for k, v in _record(run.records[kind]).items()}
    return row | {f"run.{k}": v for k, v in _provenance(run).items()}


def _record(record: Mapping[str, Any]) -> dict[str, Any]:
    """Figures first, then what is known of their spread and parts, then the protocol."""
    flat: dict[str, Any] = {"recorded": record.get("created") or "undated"}
    flat |= flat_columns(record.get("figures") or {})
    rest = {k: _short(v) for k, v in record.items() if k not in _NOT_COLUMNS}
    environment = record.get("environment") or {}
    drift = environment.get("drift")
    flat |= flat_columns(rest | ({"drift": "; ".join(drift)} if drift else {}))
    protocol = dict(record.get("protocol") or {})
    if record.get("kind") == "fps":  # what was timed with belongs to how it was timed
        torch = (environment.get("packages") or {}).get("torch")
        used = {**{name: environment.get(name) for name in ("driver", "host")}, "torch": torch}
        protocol |= {name: value for name, value in used.items() if value is not None}
    return flat | flat_columns(protocol, "protocol.")


def _short(value: Any) -> Any:
    """Raw samples stay in the run folder."""
    if not isinstance(value, Mapping):
        return value
    return {k: _short(v) for k, v in value.items() if k not in _LONG}


def _provenance(run: CellRun) -> dict[str, Any]:
    environments = [attempt.get("environment", attempt) for attempt in run.provenance] or [{}]
    gits = [environment.get("git") or {} for environment in environments]
    latest = environments[-1]
    made = different_code(run.provenance) or run.provenance[-1:]
    codes = [_code(attempt.get("environment", attempt)) for attempt in made]
    torch = [(environment.get("packages") or {}).get("torch") for environment in environments]
    facts = {
        # every attempt may have trained, so what one of them ran with the result may owe to it
        "commit": _each(git.get("commit") for git in gits),
        # of the attempts that trained; both in the same order
        "code": "; ".join(name for name, _ in codes if name) or None,
        "modules": "; ".join(modules for _, modules in codes if modules) or None,
        "branch": gits[-1].get("branch"),
        "dirty": _any_known(git.get("dirty") for git in gits),
        "host": latest.get("host"),
        "python": latest.get("python"),
        "torch": _each(torch),
        "attempts": len(run.provenance) or None,
        "start": run.start,
    }
    facts |= {k: v for k, v in (run.done or {}).items() if k in ("time", "wall_s", "attempts")}
    return flat_columns({k: v for k, v in facts.items() if v is not None})


def _code(environment: Mapping[str, Any]) -> tuple[str, str]:
    """Name of the code, and what tells it from other code; of runs from before it had a name, the
    commit, and nothing outside of a checkout.
    """
    code, git = environment.get("code") or {}, environment.get("git") or {}
    commit = str(git.get("commit") or "")
    changed = f"{commit} {git['diff_sha256']}" if git.get("diff_sha256") else commit
    name = str(code.get("id") or commit[:10])
    return name, str(code.get("modules") or changed or name)


def _any_known(values: Iterable[bool | None]) -> bool | None:
    """Whether one is true; none: it is not known of each, and true of none."""
    found = list(values)
    return True if True in found else None if None in found else False


def _each(values: Iterable[object]) -> str | None:
    """Those that differ, in their order: ``0123abc; 4567def``."""
    return "; ".join(dict.fromkeys(str(value) for value in values if value is not None)) or None


def _column_order(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """Every column of any row, sections together: identity, axes, switches, records, run."""
    names = list(dict.fromkeys(name for row in rows for name in row))
    sections = list(dict.fromkeys(_section(name) for name in names))
    last = [part for kind in NAMES for part in (kind, f"{kind}.protocol")] + ["run"]
    order = [section for section in sections if section not in last] + last
    return sorted(names, key=lambda name: order.index(_section(name)))


def _section(name: str) -> str:
    kind, _, rest = name.partition(".")
    if not rest:
        return "identity"
    return f"{kind}.protocol" if rest.startswith("protocol.") else kind


def _mixed(frame: pd.DataFrame) -> pd.Series:
    """For each row, the protocol fields in which the seeds of its cell differ; else nothing."""
    said: dict[str, list[str]] = {}
    for kind in NAMES:
        for cell in _suspects(frame, kind):
            fields = mixed_within(frame[frame["cell"] == cell], kind)
            said.setdefault(cell, []).extend(f"{kind}: {field}" for field in fields)
    return frame["cell"].map({cell: "; ".join(fields) or None for cell, fields in said.items()})


def _suspects(frame: pd.DataFrame, kind: str) -> list[str]:
    """Cells with more than one value in any protocol column of ``kind``; all cells at once."""
    rows = measured(frame, kind)
    columns = [f"{kind}.protocol.{field}" for field in protocol_fields(rows, kind)]
    if rows.empty or not columns:
        return []
    values = rows.groupby("cell", sort=False)[columns].nunique(dropna=False)
    return [str(cell) for cell in values.index[(values > 1).any(axis=1)]]


def _one_type_a_column(frame: pd.DataFrame) -> pd.DataFrame:
    """Parquet knows one type a column; a column of several becomes text."""
    tidy = frame.copy()
    for name in tidy.columns[[dtype.kind == "O" for dtype in tidy.dtypes]]:
        tidy[name] = tidy[name].map(lambda value: None if pd.isna(value) else str(value))
    return tidy
