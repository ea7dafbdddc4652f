"""Checkpoints: ours, written whole and resumed exactly, and the published .pth files, read safely.

Ours are files of the same shape as mmcv's (``meta``, ``state_dict``, ``optimizer``) plus ``rng``,
so one reader serves both and other tools can read our weights.
"""

from __future__ import annotations

import logging
import pickle
import random
import re
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from core.errors import UserError
from core.files import replacing, sync

FORMAT = "tevit"
LAST, PREVIOUS = "last.pt", "previous.pt"

LFS_POINTER = b"version https://git-lfs"
WRAPPERS = {"a parallel wrapper": "module.", "Lightning": "model.", "torch.compile": "_orig_mod."}
"""Who puts a prefix before the names of a model that it wraps, the outermost first."""

_READ_BYTES = 2**20
_NOT_LEARNED = ("num_batches_tracked", "relative_position_index")

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class LoadReport:
    """What became of a weights file.

    Attributes:
        source: the file.
        loaded: names of the model that the file filled.
        missing: learned tensors of the model that the file lacks: they keep their initial values.
        unexpected: names of the file that the model lacks.
        other_shape: name to (shape in the file, shape in the model): skipped.
        note: what else is to be said, a line.
    """

    source: Path
    loaded: tuple[str, ...]
    missing: tuple[str, ...]
    unexpected: tuple[str, ...]
    other_shape: Mapping[str, tuple[tuple[int, ...], tuple[int, ...]]]
    note: str = ""

    @property
    def complete(self) -> bool:
        """Whether every weight of the model came from the file."""
        return not self.missing and not self.other_shape

    def summary(self, names: int = 8) -> str:
        """A few lines for people; at most ``names`` names a kind."""
        lines = [f"{self.source}: {len(self.loaded)} of the model's tensors loaded"]
        shapes = tuple(
            f"{name} ({_shape(theirs)} in the file, {_shape(ours)} here)"
            for name, (theirs, ours) in self.other_shape.items()
        )
        for title, items in (
            ("not in the file", self.missing),
            ("not in the model", self.unexpected),
            ("of another shape, skipped", shapes),
        ):
            if items:
                more = f", and {len(items) - names} more" if len(items) > names else ""
                lines.append(f"  {len(items)} {title}: {', '.join(items[:names])}{more}")
        if self.note:
            lines.append(f"  {self.note}")
        return "\n".join(lines)


def _shape(shape: tuple[int, ...]) -> str:
    return "x".join(map(str, shape)) or "scalar"


def read_file(path: Path, lazy: bool = False) -> Any:
    """The contents of a .pth or .pt file, without running any code that it may hold.

    Numpy scalars and arrays are let in, since mmcv's ``meta`` may hold them.

    Args:
        path: the file.
        lazy: leave tensors on disk until they are used (where the format can), which spares the
            optimiser's; for tensors that are copied at once, since the file must stay there.

    Raises:
        UserError: no such file, not a checkpoint, broken, or holding objects of unknown classes.
    """
    path = Path(path)
    if not path.is_file():
        raise UserError(f"{path}: no such checkpoint file")
    try:
        with path.open("rb") as file:
            if file.read(len(LFS_POINTER)) == LFS_POINTER:
                raise UserError(
                    f"{path}: a git-lfs pointer, not the weights themselves: fetch them with "
                    "`git lfs pull`"
                )
        zipped = zipfile.is_zipfile(path)
        if zipped and (fault := _fault(path)):  # torch would fill the weights with what it finds
            raise UserError(f"{path}: not a checkpoint, or a broken one: {fault}")
        lazy = lazy and zipped
        with torch.serialization.safe_globals(_harmless_globals()):
            return torch.load(path, map_location="cpu", weights_only=True, mmap=lazy)
    except UserError:
        raise
    except Exception as error:  # a broken file makes torch raise whatever its parsers meet
        if isinstance(error, pickle.UnpicklingError) and "GLOBAL " in str(error):
            raise UserError(
                f"{path}: refused, because it holds objects of {_unsafe_classes(path, error)}"
                ", and loading those could run code. Where you trust the file, open it once with "
                "torch.load(file, weights_only=False) and save its state_dict alone"
            ) from error
        # torch's own text goes on with the advice to load without caution
        _, _, reason = str(error).rpartition("WeightsUnpickler error: ")
        reason = reason.strip().split("\n")[0] or type(error).__name__
        raise UserError(f"{path}: not a checkpoint, or a broken one: {reason:.200}") from error


def _unsafe_classes(path: Path, error: Exception) -> str:
    try:
        found = torch.serialization.get_unsafe_globals_in_checkpoint(path)
    except Exception:  # it cannot read the format before torch 1.6, or the file is broken
        found = re.findall(r"GLOBAL ([\w.]+)", str(error))
    return ", ".join(found) or "unknown classes"


def _harmless_globals() -> list[Any]:
    scalar, reconstruct = np.float64().__reduce__()[0], np.empty(0).__reduce__()[0]
    dtypes = {type(np.dtype(code)) for code in np.typecodes["All"]}
    # files written before numpy 2 call the module by its old name
    old = [
        (scalar, "numpy.core.multiarray.scalar"),
        (reconstruct, "numpy.core.multiarray._reconstruct"),
    ]
    return [scalar, reconstruct, np.ndarray, np.dtype, *dtypes, *old]


def state_dict_of(contents: Any, path: Path) -> dict[str, Tensor]:
    """Names and tensors in a file's contents, wherever its author put them.

    Raises:
        UserError: there are none.
    """
    for key in ("state_dict", "model", "model_state_dict"):
        if isinstance(contents, Mapping) and isinstance(contents.get(key), Mapping):
            contents = contents[key]
            break
    state = (
        {str(name): value for name, value in contents.items() if isinstance(value, Tensor)}
        if isinstance(contents, Mapping)
        else {}
    )
    if not state:
        raise UserError(f"{path}: holds no named tensors")
    for wrapper, prefix in WRAPPERS.items():
        if all(name.startswith(prefix) for name in state):
            log.warning("%s: %s put %r before every name; left out", path, wrapper, prefix)
            state = {name.removeprefix(prefix): value for name, value in state.items()}
    return state


def averaged_state(contents: Any, path: Path) -> dict[str, Tensor]:
    """The moving average of the weights that a run of ours with ``train.ema`` keeps.

    Raises:
        UserError: there is none.
    """
    if not isinstance(contents, Mapping) or "ema" not in contents:
        raise UserError(
            f"{path}: holds no average of its weights, since it was trained without train.ema; "
            "set inference.weights=raw"
        )
    return state_dict_of(contents["ema"], path)


def class_names_of(contents: Any) -> list[str]:
    """Names of the classes that a checkpoint was trained on, ours or mmdet's; none: it has none.

    Raises:
        UserError: what it holds is no list of names.
    """
    return _listed(contents, ("classes", "CLASSES"), str)


def category_ids_of(contents: Any) -> list[int]:
    """Ids of those classes.

    Raises:
        UserError: what it holds is no list of ids, or holds one twice.
    """
    return _listed(contents, ("category_ids",), int)


def _listed(contents: Any, keys: tuple[str, ...], kind: type) -> list[Any]:
    meta = contents.get("meta") if isinstance(contents, Mapping) else None
    if not isinstance(meta, Mapping):
        return []
    for key in keys:
        values = meta.get(key)
        if values is None:
            continue
        if not isinstance(values, list | tuple) or not all(type(v) is kind for v in values):
            raise UserError(f"the checkpoint's {key} are {values!r:.80}, not a list")
        if len(set(values)) < len(values) and kind is int:
            raise UserError(f"the checkpoint's {key} hold one twice: {values!r:.80}")
        return list(values)
    return []


def load_state(model: nn.Module, state: Mapping[str, Tensor], source: Path) -> LoadReport:
    """Copy the tensors of ``state`` whose name and shape ``model`` has.

    Raises:
        UserError: not one fits.
    """
    ours = model.state_dict()
    other_shape = {
        name: (tuple(value.shape), tuple(ours[name].shape))
        for name, value in state.items()
        if name in ours and value.shape != ours[name].shape
    }
    fitting = {n: v for n, v in state.items() if n in ours and n not in other_shape}
    report = LoadReport(
        source=source,
        loaded=tuple(fitting),
        missing=tuple(n for n in ours if n not in state and not n.endswith(_NOT_LEARNED)),
        unexpected=tuple(name for name in state if name not in ours),
        other_shape=other_shape,
    )
    if not fitting:
        raise UserError(
            f"{source}: nothing in it fits the model, which has names such as "
            f"{', '.join(list(ours)[:3])}\n{report.summary()}"
        )
    model.load_state_dict(fitting, strict=False)
    return report


def rng_state() -> dict[str, Any]:
    """State of python's, numpy's and torch's random generators, in plain types."""
    version, internal, gauss = random.getstate()
    kind, key, position, has_gauss, cached = np.random.get_state()
    return {
        "python": (version, list(internal), gauss),
        "numpy": (
            str(kind),
            np.asarray(key).tolist(),
            int(position),
            int(has_gauss),
            float(cached),
        ),
        "torch": torch.get_rng_state(),
        "cuda": torch.cuda.get_rng_state_all() if torch.cuda.is_available() else [],
    }


def set_rng_state(state: Mapping[str, Any]) -> None:
    """Put the generators back to what :func:`rng_state` saw."""
    version, internal, gauss = state["python"]
    random.setstate((version, tuple(internal), gauss))
    kind, key, *rest = state["numpy"]
    np.random.set_state((kind, np.array(key, dtype=np.uint32), *rest))
    torch.set_rng_state(state["torch"])
    if state["cuda"] and len(state["cuda"]) == torch.cuda.device_count():
        torch.cuda.set_rng_state_all(state["cuda"])


def save_checkpoint(folder: Path, contents: Mapping[str, Any]) -> Path:
    """Write ``folder/last.pt`` whole or not at all; the one before becomes ``previous.pt``.

    A kill between the two renames leaves ``previous.pt`` alone, which :func:`find_checkpoint`
    accepts.
    """
    last = folder / LAST
    with replacing(last) as temporary:
        with temporary.open("xb") as file:
            torch.save(dict(contents), file)
        sync(temporary)  # before the one that is there gives way
        if last.exists():
            last.replace(folder / PREVIOUS)
    return last


def find_checkpoint(folder: Path) -> Path | None:
    """The newest whole checkpoint of ``folder``, or none.

    A broken one is set aside as ``*.broken`` with a warning, so that it is never written over a
    good one.
    """
    for name in (LAST, PREVIOUS):
        path = folder / name
        if not path.exists():
            continue
        fault = _fault(path)
        if fault is None:
            if name == PREVIOUS:
                log.warning("%s is missing or broken; going on from %s", folder / LAST, path)
            return path
        log.warning("%s is broken (%s); set aside", path, fault)
        path.replace(path.with_name(path.name + ".broken"))
    return None


def _fault(path: Path) -> str | None:
    """What is wrong with a zip of tensors; reads all of it and checks its checksums."""
    try:
        with zipfile.ZipFile(path) as archive:
            for part in archive.infolist():
                if part.CRC:  # torch can be told to write none
                    _read_through(archive, part)
    except Exception as error:  # a broken file makes zipfile raise whatever it meets
        return str(error) or type(error).__name__
    return None


def _read_through(archive: zipfile.ZipFile, part: zipfile.ZipInfo) -> None:
    with archive.open(part) as stream:
        while stream.read(_READ_BYTES):
            pass
