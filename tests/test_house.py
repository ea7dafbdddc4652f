"""The house: imports go downwards only, no folder is crowded, and a concept has one home."""

import ast
import re
from collections import Counter, defaultdict
from pathlib import Path

import pytest

from launch.executors.table import EXECUTORS

ROOT = Path(__file__).parents[1]
# from the ground up; a room imports only those before it, a wing those before it in its room, and
# what stands in no wing of a room is named in its place
ROOMS = ("core", "benchmarks", "ablations", "launch", "reports", "cli")
WINGS = {
    "core": (
        *("errors", "files", "interrupt", "memory", "names", "periodic"),
        *("config", "model", "data", "training", "inference"),
    ),
    "benchmarks": ("records", "machine", "ap", "diagnosis", "workloads", "flops", "speed", "*"),
    "ablations": (
        *("analysis", "signature", "cell", "inherited", "grid_file", "axes", "base", "designs"),
        *("combinations", "draft", "expand", "table_spec", "grid"),
    ),
    "launch": (
        *("records", "code", "node", "executors", "watch", "submit", "costs", "price", "*"),
    ),
    "reports": (
        *("html", "frame", "tables", "renderers", "findings", "plots", "made", "page"),
        *("compare", "paper", "report", "notebook"),
    ),
}
MOST_FILES = 15
# what starts a program; and reports.load, which imports reports.notebook.load when it is called
SAME_BY_PURPOSE = {"app", "main", "load"}


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
    places = [ROOT / name for name in (*ROOMS, "tests", "docs", "tools")]
    files = [path for place in places for path in place.rglob("*") if path.is_file()]
    folders = [file.parent.relative_to(ROOT) for file in files if file.suffix != ".pyc"]
    crowded = {str(f): n for f, n in Counter(folders).items() if n > MOST_FILES}
    assert not crowded


def definitions(tree):
    """Public names that a module defines, each with what it is defined as."""
    for node in tree.body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            yield node.name, node
        elif isinstance(node, ast.Assign | ast.AnnAssign):
            for target in node.targets if isinstance(node, ast.Assign) else [node.target]:
                if isinstance(target, ast.Name):
                    yield target.id, node.value


TREES = {path: ast.parse(path.read_text()) for path, _ in modules()}


def test_no_public_name_means_two_things():
    meanings = defaultdict(dict)
    for path, tree in TREES.items():
        for name, value in definitions(tree):
            if not name.startswith("_") and name not in SAME_BY_PURPOSE:
                meanings[name].setdefault(ast.unparse(value), []).append(path.stem)
    assert "launched_name" in meanings
    assert {n: [*m.values()] for n, m in meanings.items() if len(m) > 1} == {}


def using(found):
    """Files, from the project's root, that have a node of which ``found`` is true."""
    paths = [path for path, tree in TREES.items() if any(map(found, ast.walk(tree)))]
    return {str(path.relative_to(ROOT)) for path in paths}


def compared(node):
    """The strings that an expression compares with, or looks up by."""
    parts = []
    if isinstance(node, ast.Compare):
        parts = [part for side in (node.left, *node.comparators) for part in ast.walk(side)]
    elif isinstance(node, ast.Subscript):
        parts = [node.slice]
    elif isinstance(node, ast.Dict):
        parts = [key for key in node.keys if key is not None]
    elif isinstance(node, ast.MatchValue):
        parts = [node.value]
    return {part.value for part in parts if isinstance(part, ast.Constant)}


def test_no_executor_is_known_by_its_name_outside_its_own_file():
    named = using(lambda node: compared(node) & set(EXECUTORS))
    own = {f"launch/executors/{name}.py" for name in EXECUTORS}
    # submitit's words for its own executors, in the environment of a rank and of a job
    assert named <= own | {"core/training/world.py", "launch/node/job_environment.py"}


def reads_key(node, key):
    """Whether a node takes ``key`` out of a mapping."""
    if isinstance(node, ast.Subscript):
        return isinstance(node.ctx, ast.Load) and getattr(node.slice, "value", None) == key
    get = isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)
    return get and node.func.attr == "get" and getattr(node.args[0], "value", None) == key


def test_one_reader_of_annotation_files():
    readers = using(lambda node: reads_key(node, "annotations"))
    readers = {name for name in readers if not name.startswith("core/data/convert/")}
    # and the check, which leaves out of a file what the reader finds faulty
    assert readers == {"core/data/annotations.py", "core/data/check.py"}


def test_one_file_knows_how_masks_are_encoded():
    def imports_masks(node):
        names = [alias.name for alias in getattr(node, "names", []) if isinstance(alias, ast.alias)]
        return getattr(node, "module", None) == "pycocotools" and "mask" in names

    assert using(imports_masks) == {"core/data/rle.py"}


def test_one_printer_of_validation_faults():
    def reads_faults(node):
        called = isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)
        return called and node.func.attr == "errors"

    assert using(reads_faults) == {"core/config/strict.py"}


def bound_names(tree):
    """Everything that a module defines, assigns or imports, and its functions' arguments."""
    for node in ast.walk(tree):
        match node:
            case ast.FunctionDef(name=name) | ast.ClassDef(name=name) | ast.arg(arg=name):
                yield name
            case ast.Name(id=name, ctx=ast.Store()):
                yield name
            case ast.alias(name=name, asname=other):
                yield (other or name).partition(".")[0]


def test_what_docstrings_refer_to_exists():
    known = {".".join(name): set(bound_names(TREES[path])) for path, name in modules()}
    lost = []
    for path, name in modules():
        here = known[".".join(name)]
        for kind, wanted in re.findall(r":(\w+):`~?\.?([\w.]+)`", path.read_text()):
            before, _, last = wanted.rpartition(".")
            home = known.get(before) or known.get(before.rpartition(".")[0]) or here
            if before in here:  # a method of a class that may come from elsewhere
                home = set().union(*known.values())
            if wanted not in known if kind == "mod" else last not in home:
                lost.append(f"{path.relative_to(ROOT)}: {wanted}")
    assert not lost
