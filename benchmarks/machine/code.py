"""Which code this is: the files that stand here, a hash of them, and what git says of them.

A frozen copy of the code (:mod:`launch.code.snapshot`) carries the answers in a file, :data:`MARK`.
"""

from __future__ import annotations

import functools
import hashlib
import os
import subprocess
from collections.abc import Iterable, Iterator, Mapping
from importlib import metadata
from pathlib import Path
from typing import Any

from core.errors import UserError
from core.files import read_json

MARK = ".tevit-code.json"
"""In the folder of a frozen copy: its hash, its files' hashes, and where it was taken from."""

DISTRIBUTION = "tevit-ablations"
PACKAGES = ("core", "benchmarks", "ablations", "launch", "reports", "cli")
LARGEST_DIFF = 1_000_000
LARGEST_TREE = 500 * 2**20
MOST_FILES = 20_000
_APART = ("tests", "docs", "tools")


def code_root() -> Path:
    """The folder that the project's packages lie in."""
    return Path(__file__).resolve().parents[2]


def environment_of_this_code() -> dict[str, str]:
    """What ``python -P -m`` needs to load the code that asks, be another one installed or not."""
    others = os.environ.get("PYTHONPATH")
    return {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, [str(code_root()), others]))}


def kind_of_code(root: Path) -> str:
    """ "snapshot" (a frozen copy), "installed" (from a wheel), "checkout" (git), or "folder"."""
    if (root / MARK).is_file():
        return "snapshot"
    if any(root.glob(f"{DISTRIBUTION.replace('-', '_')}-*.dist-info")):
        return "installed"
    return "checkout" if _tracked(root) else "folder"


def code_files(root: Path, without: Path | None = None) -> Iterator[str]:
    """Paths, relative to ``root``, of the files that are the code.

    Of a checkout those that git tracks, as they stand, and those that it neither tracks nor
    ignores; elsewhere the files of the project's packages.

    Args:
        without: a folder whose files do not count.
    """
    kind = kind_of_code(root)
    if kind == "snapshot":
        yield from read_json(root / MARK)["files"]
        return
    names = _checkout_files(root) if kind == "checkout" else _package_files(root)
    for name in names:
        if name != MARK and not (without and (root / name).is_relative_to(without)):
            yield name


def _tracked(root: Path) -> bool:
    """Whether git knows the packages in ``root``: it may lie in a checkout of something else."""
    command = ["git", "-C", str(root), "ls-files", "--", f"{PACKAGES[0]}/__init__.py"]
    return bool(run_text(command))


def _git_files(folder: Path, *options: str) -> list[str]:
    """What git lists; of a checkout no answer is not taken for none.

    Raises:
        UserError: git does not answer.
    """
    answer = run_text(["git", "-C", str(folder), "ls-files", "-z", *options])
    if answer is None:
        raise UserError(f"{folder}: git does not say which files are the code")
    return [name for name in answer.split("\0") if name]


def _checkout_files(folder: Path) -> Iterator[str]:
    names = {*_git_files(folder), *_git_files(folder, "--others", "--exclude-standard")}
    for name in sorted(names):
        path = folder / name
        linked = path.is_symlink()
        if path.is_dir() and not linked:  # a checkout inside this one
            yield from (f"{name.rstrip('/')}/{inner}" for inner in _checkout_files(path))
        elif linked and path.is_dir() and _outside(path, folder) and name.split("/")[0] in PACKAGES:
            yield from (f"{name}/{inner.relative_to(path)}" for inner in path.rglob("*.py"))
        elif os.path.lexists(path):  # else it was deleted, and that not yet committed
            yield name


def _package_files(root: Path) -> Iterator[str]:
    for package in PACKAGES:
        for path in sorted((root / package).rglob("*")):
            if path.is_file() and "__pycache__" not in path.parts:
                yield str(path.relative_to(root))


def file_sizes(root: Path, names: Iterable[str]) -> dict[str, int]:
    """Bytes of each file; links that stay links have none."""
    return {name: (root / name).stat().st_size for name in names if (root / name).is_file()}


def too_much(sizes: Mapping[str, int]) -> bool:
    """Whether so much cannot all be code: data lies in the checkout, and git does not ignore it."""
    return sum(sizes.values()) > LARGEST_TREE or len(sizes) > MOST_FILES


def _outside(link: Path, root: Path) -> bool:
    return not link.resolve().is_relative_to(root.resolve())


def read_code_file(path: Path, root: Path) -> tuple[str, bytes]:
    """Kind ("file" or "link") and content of a file of the code in ``root``.

    A link to a file is that file; other links, such as one to a folder of data, stay links.
    """
    if path.is_symlink() and not path.is_file():
        target = path.resolve()
        inside = not _outside(path, root)
        near = os.path.relpath(target, path.parent.resolve())
        return "link", os.fsencode(near if inside else target)
    return "file", path.read_bytes()


def file_hash(kind: str, content: bytes) -> str:
    """Of one file, its kind included."""
    return hashlib.sha256(kind.encode() + b"\0" + content).hexdigest()


def tree_hash(files: Mapping[str, str]) -> str:
    """Of a whole tree: path to :func:`file_hash`."""
    lines = "".join(f"{name}\0{files[name]}\n" for name in sorted(files))
    return hashlib.sha256(lines.encode("utf-8", "surrogateescape")).hexdigest()[:16]


def modules_hash(files: Mapping[str, str]) -> str:
    """Of the files that a cell can import: what other files say changes no result of it."""
    return tree_hash({name: of for name, of in files.items() if is_module(name)})


def is_module(name: str) -> bool:
    """Whether a cell may import the file."""
    return name.endswith(".py") and name.partition("/")[0] not in _APART


@functools.cache
def code_identity() -> dict[str, Any]:
    """The code of this process (JSON types).

    Returns:
        ``id`` (hash of all files; of an installed wheel its version before it; None: they are
        :func:`too_much`), ``modules`` (hash of those that a cell can import) and ``kind``, see
        :func:`kind_of_code`.
    """
    root = code_root()
    kind = kind_of_code(root)
    if kind == "snapshot":
        mark = read_json(root / MARK)
        return {"id": mark["id"], "modules": mark["modules"], "kind": kind}
    names = list(code_files(root))
    if much := too_much(file_sizes(root, names)):
        names = [name for name in names if is_module(name)]
    files = {name: file_hash(*read_code_file(root / name, root)) for name in names}
    whole = None if much else code_id(kind, files)
    return {"id": whole, "modules": modules_hash(files), "kind": kind}


def code_id(kind: str, files: Mapping[str, str]) -> str:
    """The name of code of this kind with these files (path to hash)."""
    whole = tree_hash(files)
    return f"{metadata.version(DISTRIBUTION)}-{whole}" if kind == "installed" else whole


def git_provenance(folder: Path | None = None) -> dict[str, Any]:
    """Commit and uncommitted changes of the code, so that a run can be repeated.

    Args:
        folder: any folder of the checkout; none: that of this code, which may be a frozen copy.

    Returns:
        ``commit`` (None outside a checkout), ``branch``, ``dirty`` (None: not known), ``diff``
        (tracked files against the commit; cut after :data:`LARGEST_DIFF` characters),
        ``diff_sha256`` (of the whole diff) and ``untracked`` (names only; None: not known).
    """
    nothing: dict[str, Any] = dict.fromkeys(("commit", "branch", "dirty", "diff"))
    nothing["untracked"] = []
    if folder is None and (root := code_root()) and (kind := kind_of_code(root)) != "checkout":
        return dict(read_json(root / MARK)["git"]) if kind == "snapshot" else nothing
    git = ["git", "-C", str(folder or Path(__file__).resolve().parent)]
    commit = run_text([*git, "rev-parse", "HEAD"])
    if not commit:
        return nothing
    top = run_text([*git, "rev-parse", "--show-toplevel"]) or "."
    git = ["git", "-C", top.strip()]
    answer = run_text([*git, "diff", "HEAD", "--no-color", "--no-ext-diff"])
    diff = answer or ""
    untracked = run_text([*git, "ls-files", "--others", "--exclude-standard"])
    return {
        "commit": commit.strip(),
        "branch": (run_text([*git, "rev-parse", "--abbrev-ref", "HEAD"]) or "").strip(),
        "dirty": None if answer is None else bool(diff),
        "diff": diff[:LARGEST_DIFF],
        "diff_sha256": hashlib.sha256(diff.encode()).hexdigest() if diff else None,
        "untracked": None if untracked is None else untracked.splitlines(),
    }


def run_text(command: list[str], timeout: float = 20.0) -> str | None:
    """Standard output of ``command``; None where it is missing, fails or hangs."""
    try:
        done = subprocess.run(command, capture_output=True, timeout=timeout, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.decode(errors="replace") if done.returncode == 0 else None
