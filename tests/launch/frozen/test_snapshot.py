"""Frozen copies of the code: what is in them, what they are called, what may go wrong."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from checkouts import copy_of_project, editable_install, environment, git

from benchmarks.machine import code
from core.errors import UserError
from core.files import read_json
from launch.code import snapshot
from launch.code.snapshot import freeze, mark_of, start_command
from launch.records.store import Store


@pytest.fixture
def checkout(tmp_path):
    """A checkout with one module, one ignored file and a store of its own."""
    root = tmp_path / "checkout"
    (root / "core").mkdir(parents=True)
    (root / "core/__init__.py").write_text("")
    (root / "core/a.py").write_text("x = 1\n")
    (root / "README.md").write_text("words\n")
    (root / ".gitignore").write_text("*.log\n")
    git(root, "init", "-q", "-b", "trunk")
    git(root, "add", ".")
    git(root, "commit", "-q", "-m", "first")
    return root


def names(store, name):
    return set(mark_of(store, name)["files"])


def copies(store):
    return [path.name for path in store.code.iterdir()]


PLAIN = {"core/__init__.py", "core/a.py", "README.md", ".gitignore"}


def test_what_stands_in_the_checkout_is_frozen_and_what_git_ignores_is_not(store, checkout):
    (checkout / "core/a.py").write_text("x = 2\n")
    (checkout / "core/new.py").write_text("y = 1\n")
    (checkout / "noise.log").write_text("...")
    (checkout / "README.md").unlink()
    name = freeze(store, checkout)
    assert names(store, name) == PLAIN - {"README.md"} | {"core/new.py"}
    folder = store.code / name
    assert (folder / "core/a.py").read_text() == "x = 2\n"
    assert not (folder / "noise.log").exists() and not (folder / "README.md").exists()
    assert not (folder / "core/a.py").stat().st_mode & 0o222, "nobody edits it by mistake"
    mark = mark_of(store, name)
    assert mark["git"]["dirty"] and "+x = 2" in mark["git"]["diff"]
    assert mark["source"] == str(checkout)


def test_the_same_content_is_frozen_once_whatever_its_commit(store, checkout):
    (checkout / "core/a.py").write_text("x = 2\n")
    first = freeze(store, checkout)
    assert mark_of(store, first)["git"]["dirty"] is True
    git(checkout, "commit", "-a", "-q", "-m", "second")
    assert freeze(store, checkout) == first
    assert copies(store) == [first]
    assert mark_of(store, first)["git"]["dirty"] is False, "it has been committed since"
    (checkout / "core/a.py").write_text("x = 1\n")
    assert freeze(store, checkout) != first


def test_words_are_another_tree_but_not_other_modules(store, checkout):
    first = freeze(store, checkout)
    (checkout / "README.md").write_text("other words\n")
    (checkout / "tests").mkdir()
    (checkout / "tests/test_a.py").write_text("")
    second = freeze(store, checkout)
    assert first != second
    assert mark_of(store, first)["modules"] == mark_of(store, second)["modules"]
    (checkout / "core/a.py").write_text("x = 3\n")
    assert mark_of(store, freeze(store, checkout))["modules"] != mark_of(store, first)["modules"]


def test_without_git_the_packages_are_the_code(store, checkout, tmp_path):
    plain = tmp_path / "plain"
    (plain / "core/__pycache__").mkdir(parents=True)
    (plain / "core/__init__.py").write_text("")
    (plain / "core/__pycache__/a.pyc").write_text("")
    (plain / "data.bin").write_text("")
    assert names(store, freeze(store, plain)) == {"core/__init__.py"}
    inside = checkout / "unpacked.log/core"  # a folder that the checkout around it ignores
    inside.mkdir(parents=True)
    (inside / "__init__.py").write_text("x = 1")
    assert names(store, freeze(store, inside.parent)) == {"core/__init__.py"}


def test_an_installed_wheel_has_version_and_hash_and_no_copy(store, checkout, monkeypatch):
    monkeypatch.setattr(code.metadata, "version", lambda name: "1.2")
    (checkout / "tevit_ablations-1.2.dist-info").mkdir()
    name = freeze(store, checkout)
    assert name.startswith("1.2-") and not store.code.exists()
    (checkout / "core/a.py").write_text("x = 3\n")  # edited among the libraries
    assert freeze(store, checkout) != name
    assert start_command(store, name, "cli") == ("-P", "-m", "cli")


def test_files_that_are_too_large_are_named_with_what_to_do(store, checkout, monkeypatch):
    monkeypatch.setattr(snapshot, "LARGEST_FILE", 1000)
    (checkout / "weights.pt").write_bytes(bytes(1001))
    with pytest.raises(UserError, match=r"weights\.pt \(0 MB\); add .* to \.gitignore"):
        freeze(store, checkout)
    (checkout / ".gitignore").write_text("*.pt\n")
    freeze(store, checkout)
    (checkout / "frames").mkdir()
    for k in range(9):
        (checkout / f"frames/{k}.jpg").write_bytes(bytes(900))
    for limit, value in (("LARGEST_TREE", 5000), ("MOST_FILES", 10)):
        with monkeypatch.context() as patch:
            patch.setattr(code, limit, value)
            with pytest.raises(UserError, match=r"files are too much .* most of it in frames; add"):
                freeze(store, checkout)
    assert len(copies(store)) == 1, "nothing is half-written"


def test_of_a_checkout_full_of_data_only_modules_are_read(checkout, monkeypatch):
    monkeypatch.setattr(code, "code_root", lambda: checkout)
    code.code_identity.cache_clear()
    whole = code.code_identity()
    (checkout / "video.mp4").write_bytes(bytes(5001))
    monkeypatch.setattr(code, "LARGEST_TREE", 5000)
    code.code_identity.cache_clear()
    try:
        assert code.code_identity() == {**whole, "id": None}
    finally:
        code.code_identity.cache_clear()


def test_a_store_inside_the_checkout_is_not_code(checkout):
    inside = Store(checkout / "runs")
    first = freeze(inside, checkout)
    (checkout / "runs/big.json").write_text("{}")
    assert freeze(inside, checkout) == first


def test_links_to_files_are_frozen_and_links_to_data_stay_links(store, checkout, tmp_path):
    outside = tmp_path / "outside"
    (outside / "deep").mkdir(parents=True)
    (outside / "one.py").write_text("z = 1\n")
    (outside / "deep/two.py").write_text("z = 2\n")
    (checkout / "core/one.py").symlink_to(outside / "one.py")
    (checkout / "core/linked").symlink_to(outside)
    (checkout / "data").symlink_to(outside)
    (checkout / "near").symlink_to("core")
    (checkout / "dangling").symlink_to("nowhere")
    folder = store.code / freeze(store, checkout)
    (outside / "one.py").write_text("z = 3\n")
    assert (folder / "core/one.py").read_text() == "z = 1\n"
    assert (folder / "core/linked/deep/two.py").read_text() == "z = 2\n", "modules are code"
    assert (folder / "data").resolve() == outside.resolve()
    assert (folder / "near").resolve() == (folder / "core").resolve()
    assert freeze(store, checkout) != folder.name


def test_a_checkout_inside_the_checkout_is_frozen_too(store, checkout):
    inner = checkout / "core/vendored"
    inner.mkdir()
    (inner / "v.py").write_text("v = 1\n")
    git(inner, "init", "-q")
    git(inner, "add", ".")
    assert "core/vendored/v.py" in names(store, freeze(store, checkout))


def test_a_frozen_copy_that_was_edited_is_refused(store, checkout):
    path = store.code / freeze(store, checkout) / "core/a.py"
    path.chmod(0o644)
    path.write_text("x = 9\n")
    with pytest.raises(UserError, match=r"core/a\.py is no longer as it was frozen"):
        freeze(store, checkout)


def test_a_copy_of_a_colleague_may_be_used(store, checkout, monkeypatch):
    name = freeze(store, checkout)

    def refuse(path):
        raise PermissionError(f"not the owner of {path}")

    monkeypatch.setattr(snapshot.os, "utime", refuse)
    assert freeze(store, checkout) == name


def test_a_store_that_cannot_be_written_is_named(store, checkout):
    store.root.mkdir()
    store.code.write_text("in the way")
    with pytest.raises(UserError, match="cannot be frozen"):
        freeze(store, checkout)


def test_of_many_launchers_at_once_each_finds_the_same_copy(store, checkout):
    for k in range(40):
        (checkout / f"core/m{k}.py").write_text(f"k = {k}\n" * 200)
    with ThreadPoolExecutor(8) as pool:
        found = set(pool.map(lambda _: freeze(store, checkout), range(8)))
    assert copies(store) == [*found]


def test_to_find_the_name_nothing_is_written(store, checkout):
    name = freeze(store, checkout, write=False)
    assert not store.root.exists()
    assert freeze(store, checkout) == name


def test_the_project_is_frozen_well_below_a_second(store):
    freeze(store)
    seconds = []
    for _ in range(3):
        start = time.perf_counter()
        freeze(store)
        seconds.append(time.perf_counter() - start)
    assert min(seconds) < 1.0


PARENT = """
import subprocess, sys
subprocess.run([sys.executable, "-P", "-m", "core.probe", *sys.argv[1:]], check=True)
"""
PROBE = "import core, json, sys; print(json.dumps([core.__file__, *sys.argv[1:]]))\n"


def test_a_module_runs_from_the_copy_whatever_else_bears_its_name(store, tmp_path):
    checkout = copy_of_project(tmp_path / "checkout")
    (checkout / "core/probe.py").write_text(PROBE)
    name = freeze(store, checkout)
    (checkout / "core/probe.py").write_text("raise SystemExit('the edited one ran')\n")
    libraries, home = tmp_path / "libraries", tmp_path / "home"
    editable_install(libraries, checkout)
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    editable_install(home / f".local/lib/python{version}/site-packages", checkout)
    (store.code / name / "parent.py").write_text(PARENT)
    for module in ("core.probe", "parent"):
        done = subprocess.run(
            [sys.executable, *start_command(store, name, module), "--some", "words"],
            env=environment(libraries, checkout, HOME=str(home)),
            cwd=checkout,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        frozen = str(store.code / name / "core/__init__.py")
        assert json.loads(done.stdout) == [frozen, "--some", "words"], module


def test_an_environment_that_insists_on_other_code_is_refused(store, tmp_path):
    checkout = copy_of_project(tmp_path / "checkout")
    name = freeze(store, checkout)
    libraries = tmp_path / "libraries"
    editable_install(libraries, checkout)
    hook = libraries / "sitecustomize.py"
    hook.write_text(hook.read_text().replace("meta_path.append(", "meta_path.insert(0, "))
    done = subprocess.run(
        [sys.executable, *start_command(store, name, "launch.node.worker")],
        env=environment(libraries),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert "has Python load core from" in done.stderr


def test_code_that_was_removed_is_not_replaced_by_other_code(store):
    words = [sys.executable, *start_command(store, "0" * 16, "cli"), "--help"]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert done.returncode != 0 and "0000/launch/code/start.py" in done.stderr


def test_in_the_copy_the_code_knows_its_name_and_its_commit(store, tmp_path):
    checkout = copy_of_project(tmp_path / "checkout")
    (checkout / "core/what.py").write_text(
        "import json\nfrom benchmarks.machine.code import code_identity, git_provenance\n"
        "print(json.dumps([code_identity(), git_provenance()]))\n"
    )
    name = freeze(store, checkout)
    done = subprocess.check_output([sys.executable, *start_command(store, name, "core.what")])
    identity, git_facts = json.loads(done)
    mark = read_json(store.code / name / code.MARK)
    assert identity == {"id": name, "modules": mark["modules"], "kind": "snapshot"}
    assert git_facts == mark["git"] and git_facts["untracked"] == ["core/what.py"]
