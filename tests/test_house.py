"""The house: rooms and wings import downwards only, and no folder is crowded."""

import ast
from collections import Counter
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
# from the ground up; a room imports only those before it, a wing those before it in its room, and
# what stands in no wing of a room is named in its place
ROOMS = ("core", "benchmarks", "ablations", "launch", "reports", "cli")
WINGS = {
    "core": ("errors", "files", "interrupt", "config", "model", "data", "training", "inference"),
    "benchmarks": ("records", "machine", "ap", "diagnosis", "workloads", "flops", "speed", "*"),
    "launch": (
        *("records", "code", "node", "executors", "watch", "submit", "costs", "price", "*"),
    ),
    "reports": (
        *("html", "frame", "tables", "renderers", "findings", "plots", "page", "compare"),
        *("paper", "made", "report", "notebook"),
    ),
}
MOST_FILES = 15


def modules():
    """Path and dotted name of every module of the project."""
    for room in ROOMS:
        for path in sorted((ROOT / room).rglob("*.py")):
            parts = path.relative_to(ROOT).with_suffix("").parts
            yield path, parts[:-1] if parts[-1] == "__init__" else parts


def imports(path):
    """Dotted names of the project's modules that a file imports, wherever in it."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module:
            name = tuple(node.module.split("."))
            if name[0] in ROOMS:
                for alias in node.names:
                    inner = ROOT.joinpath(*name, alias.name)
                    is_module = inner.is_dir() or inner.with_suffix(".py").is_file()
                    yield (*name, alias.name) if is_module else name


def floor(name):
    """Height of a module's wing in its room; None where the room has no wings."""
    wings = WINGS.get(name[0])
    if wings is None or len(name) == 1:
        return None
    return wings.index(name[1]) if name[1] in wings else wings.index("*")


ARROWS = [(name, target) for path, name in modules() for target in imports(path)]


def test_rooms_import_only_those_below():
    upwards = [(a, b) for a, b in ARROWS if ROOMS.index(b[0]) > ROOMS.index(a[0])]
    assert not upwards


@pytest.mark.parametrize("room", WINGS)
def test_wings_import_only_those_below(room):
    inside = [(a, b) for a, b in ARROWS if a[0] == b[0] == room and len(a) > 1 and len(b) > 1]
    assert inside
    upwards = [(".".join(a), ".".join(b)) for a, b in inside if floor(b) > floor(a)]
    assert not upwards


def test_no_two_modules_import_each_other():
    direct = {(a, b) for a, b in ARROWS if a != b}
    assert not [(a, b) for a, b in direct if (b, a) in direct]


def test_no_folder_holds_more_files_than_one_can_overlook():
    folders = [path.parent for path, _ in modules()]
    folders += [path.parent for path in (ROOT / "tests").rglob("*.py")]
    crowded = {str(f): n for f, n in Counter(folders).items() if n > MOST_FILES}
    assert not crowded
