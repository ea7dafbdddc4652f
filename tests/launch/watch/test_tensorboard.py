"""A grid's runs as TensorBoard events."""

from __future__ import annotations

import json
import sys
import threading

import pytest
from slurm_cluster import wait_for
from toy_grids import toy_grid

from cli import app
from core.errors import UserError
from core.files import append_line, write_json
from launch.records import lease
from launch.records.process import myself
from launch.records.store import ManifestCell
from launch.submit.launcher import manifest_of
from launch.tensorboard import _folders, export_tensorboard

pytestmark = pytest.mark.versions


@pytest.fixture
def grid(store):
    """A grid of two cells, of which the first has trained two steps and is scored."""
    made = toy_grid(2)
    store.write_manifest(manifest_of(made))
    for cell in made.cells:
        run = store.run(cell.signature)
        run.create(schema=1, name=cell.name, config=cell.config, measure=["ap"])
    run = store.run(made.cells[0].signature)
    record(run, 1, 4.0)
    record(run, 2, 3.0)
    write_json(run.result("ap"), {"kind": "ap", "figures": {"AP": 0.25, "APm": None}})
    write_json(run.done_path, {})
    return made


def record(run, step, loss, when=100.0):
    line = {
        "step": step,
        "steps": 9,
        "time": when + step,
        "loss": loss,
        "losses": {"cls": loss / 2},
        **({"heldout": {"AP": 0.125, "AP75": None}} if step == 2 else {}),
    }
    append_line(run.history, json.dumps(line))


def read(folder):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(folder))
    events.Reload()
    points = {
        tag: [(event.step, event.value) for event in events.Scalars(tag)]
        for tag in events.Tags()["scalars"]
    }
    return points, events


def test_curves_figures_and_axes_are_exported_and_again_the_same(store, grid, tmp_path, capsys):
    command = ["export", "tensorboard", "toys", "--store", str(store.root)]
    for _ in range(2):
        app([*command, "--out", str(tmp_path / "tb")], standalone_mode=False)
        assert capsys.readouterr().out.splitlines() == [
            f"tensorboard --logdir {tmp_path / 'tb'}",
            "1 of 2 cells have trained",
        ]
    points, events = read(tmp_path / "tb/a=x,s0")
    assert points == {
        "train/loss": [(1, 4.0), (2, 3.0)],
        "train/losses/cls": [(1, 2.0), (2, 1.5)],
        "train/heldout/AP": [(2, 0.125)],
        "ap/AP": [(2, 0.25)],
    }
    assert events.Scalars("train/loss")[0].wall_time == 101.0
    assert "_hparams_/session_start_info" in events.PluginTagToContent("hparams")
    assert not (tmp_path / "tb/a=x,s1").exists()
    app(command, standalone_mode=False)
    assert (store.root / "tensorboard/toys/a=x,s0").is_dir()


def test_following_shows_a_cell_while_it_trains_and_a_resume_replaces_its_steps(
    store, grid, tmp_path
):
    run, folder = store.run(grid.cells[1].signature), tmp_path / "tb/a=x,s1"
    claim = lease.acquire(run.state_folder, myself())
    record(run, 1, 8.0)
    record(run, 2, 7.0)
    manifest = store.manifest("toys")
    following = threading.Thread(
        target=export_tensorboard, args=(store, manifest, tmp_path / "tb"), kwargs={"follow": 0.05}
    )
    following.start()
    wait_for(lambda: folder.is_dir() and len(read(folder)[0].get("train/loss", [])) == 2, 30, "it")
    run.history.unlink()  # resumed from the checkpoint of step 1, and done again
    record(run, 1, 8.0)
    record(run, 2, 6.0, when=200.0)
    record(run, 3, 5.0, when=200.0)
    wait_for(lambda: (3, 5.0) in read(folder)[0]["train/loss"], 30, "the resume")
    write_json(run.result("ap"), {"kind": "ap", "figures": {"AP": 0.5}})
    write_json(run.done_path, {})
    claim.end({"outcome": "done"})
    following.join(30)
    points, _ = read(folder)
    assert points["train/loss"] == [(1, 8.0), (2, 6.0), (3, 5.0)]
    assert points["ap/AP"] == [(3, 0.5)]


def test_without_tensorboard_it_says_what_to_install(store, grid, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    with pytest.raises(UserError, match=r"pip install 'tevit-ablations\[tensorboard\]'"):
        export_tensorboard(store, store.manifest("toys"), tmp_path / "tb")
    assert not (tmp_path / "tb").exists()


def test_cells_whose_names_differ_by_a_slash_have_a_folder_each(tmp_path):
    cells = [ManifestCell(name, f"{k}" * 16, 0, {}) for k, name in enumerate(("a/b", "a_b", "c/d"))]
    folders = _folders(tmp_path, cells)
    assert folders["a/b"] == tmp_path / "a_b-00000000"
    assert folders["a_b"] == tmp_path / "a_b-11111111"
    assert folders["c/d"] == tmp_path / "c_d"
