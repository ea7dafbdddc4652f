"""The kernel's text files, in which a line is a name, a colon and a value."""

from __future__ import annotations

from pathlib import Path


def values_of(path: Path, name: str) -> list[str]:
    """The value of every line of that name; none where the system has no such file."""
    try:
        lines = path.read_text().splitlines()
    except OSError:
        return []
    pairs = [line.partition(":") for line in lines]
    return [value.strip() for key, _, value in pairs if key.strip() == name]


def bytes_of(path: Path, name: str) -> int | None:
    """A value in KiB as bytes; None where there is none."""
    found = values_of(path, name)
    return 1024 * int(found[0].split()[0]) if found else None
