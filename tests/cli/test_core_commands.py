"""The commands of the core, through the command line's own parser."""

import json
import os
import signal
import subprocess
import sys
import time

import pytest
import torch
import yaml
from typer.testing import CliRunner

import cli
import core
from cli.model_tree import model_tree, parameter_count
from core.errors import UserError
from core.interrupt import stop_on_signals
from tests.core.inference.test_frames import write_images
from tests.core.training.runs import SMALL, history, small


@pytest.fixture(scope="module")
def small_yaml(tmp_path_factory):
    path = tmp_path_factory.mktemp("config") / "small.yaml"
    path.write_text(yaml.safe_dump({"preset": "tiny", **SMALL, "train.steps": 3}))
    return path


@pytest.fixture(autouse=True, scope="module")
def cache(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TEVIT_CACHE", str(tmp_path_factory.mktemp("cache")))
        patch.setenv("COLUMNS", "150")
        yield


def run(*arguments):
    """Output of ``tevit ARGUMENTS``; a user's error comes through as it is."""
    result = CliRunner().invoke(cli.app, [str(a) for a in arguments])
    if result.exception is not None:
        raise result.exception
    assert result.exit_code == 0
    return result.output


@pytest.fixture(scope="module")
def trained(tmp_path_factory, small_yaml, cache):
    folder = tmp_path_factory.mktemp("trained")
    output = run("train", small_yaml, "--data", "synthetic", "--out", folder)
    return folder, output


def test_train_says_what_is_next(trained):
    folder, output = trained
    assert "3 steps done" in output
    assert f"next: tevit eval {folder} {folder}/checkpoints/last.pt" in output
    assert len(history(folder)) == 3
    record = json.loads((folder / "config.json").read_text())
    assert record["name"] == "small" and record["config"] == small(train__steps=3).to_dict()


def test_the_next_command_works(trained, tmp_path):
    folder, output = trained
    command = output.split("next: tevit ")[1].split()
    table = run(*command, "--out", tmp_path, "--bootstrap", "20")
    assert "1 videos" in table and "AP50" in table
    record = json.loads((tmp_path / "ap.json").read_text())
    assert record["kind"] == "ap" and record["protocol"]["checkpoint"] == "last, step 3"
    assert set(record["per_class"]) and "bootstrap" in record
    split = json.loads((folder / "split.json").read_text())
    results = json.loads((tmp_path / "predictions.json").read_text())
    assert {r["video_id"] for r in results} == set(split["heldout"])


def test_the_same_command_goes_on(trained, small_yaml):
    folder, _ = trained
    assert "3 steps done" in run("train", small_yaml, "--out", folder)
    assert "3 steps done" in run("train", folder, "--out", folder), "a run folder is a config"


def test_another_config_is_refused(trained, small_yaml):
    folder, _ = trained
    with pytest.raises(UserError, match=r"config\.json is of another config: train\.lr=0\.5"):
        run("train", small_yaml, "train.lr=0.5", "--out", folder)


def test_a_folder_whose_run_never_began_is_free(tmp_path, small_yaml):
    with pytest.raises(UserError, match="nowhere: no such folder"):
        run("train", small_yaml, "--data", tmp_path / "nowhere", "--out", tmp_path / "run")
    assert "1 steps done" in run("train", small_yaml, "train.steps=1", "--out", tmp_path / "run")


def test_checkpoints_without_a_config_are_not_touched(tmp_path, small_yaml):
    (tmp_path / "checkpoints").mkdir()
    (tmp_path / "checkpoints" / "last.pt").write_text("x")
    with pytest.raises(UserError, match="holds checkpoints but no config"):
        run("train", small_yaml, "--out", tmp_path)


def test_default_folder(tmp_path, monkeypatch, small_yaml):
    monkeypatch.chdir(tmp_path)
    run("train", small_yaml, "train.steps=1")
    assert (tmp_path / "trained" / "small" / "checkpoints" / "last.pt").exists()


def test_predict_takes_videos_and_switches(trained, tmp_path):
    folder, _ = trained
    frames = write_images(tmp_path / "holiday", ["a.png", "b.png"])
    out = tmp_path / "r.json"
    output = run(
        "predict", folder, folder / "checkpoints" / "last.pt", frames, "inference.top_k=3",
        "--out", out, "--draw", tmp_path / "drawn",
    )  # fmt: skip
    assert "video 1 (holiday): 3 tracks, best score 0." in output and f"results: {out}" in output
    assert len(json.loads(out.read_text())) == 3
    assert len(list((tmp_path / "drawn").iterdir())) == 1


def test_predict_without_a_video(trained):
    folder, _ = trained
    with pytest.raises(UserError, match="no VIDEO given"):
        run("predict", folder, folder / "checkpoints" / "last.pt", "inference.top_k=3")


def test_an_equals_sign_in_a_path_is_a_path(trained, tmp_path):
    folder, _ = trained
    frames = write_images(tmp_path / "lr=1", ["a.png"])
    checkpoint = folder / "checkpoints" / "last.pt"
    assert "(lr=1)" in run("predict", folder, checkpoint, frames, "--out", tmp_path / "r.json")


def test_errors_are_one_message_and_status_2(monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["tevit", "train", "tiny", "head.kidn=per_frame"])
    with pytest.raises(SystemExit) as caught:
        cli.main()
    assert caught.value.code == 2
    error = capsys.readouterr().err
    assert "did you mean head.kind" in error and "Traceback" not in error


# --- tevit model ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("preset", "total", "trained"),
    [
        ("tevit_msgshift", "161,832,616", "161,832,616"),
        ("tevit_r50", "172,565,448", "172,340,104"),
        ("tevit_swin_l", "343,861,820", "343,861,820"),
    ],
)
def test_model_prints_the_published_counts(preset, total, trained):
    output = run("model", preset)
    assert f"{total} parameters, {trained} trained" in output
    for name in ("backbone: ", "neck: FPN", "rpn_head: ", "roi_head: ", "bbox_head: ", "mask_head"):
        assert name in output


def test_model_depth_and_switches():
    assert "neck" not in run("model", "tiny", "--depth", "0")
    assert "msg_tokens" in run("model", "tiny") and "msg_tokens" not in run(
        "model", "tiny", "messenger.tokens=0"
    )


def lines(tree):
    yield str(tree.label)
    for child in tree.children:
        yield from lines(child)


def test_the_tree_adds_up():
    """Leaves of the tree, times their number, are all parameters there are."""
    model = torch.nn.Sequential(
        torch.nn.Linear(2, 3), torch.nn.Linear(2, 3), torch.nn.Linear(2, 3).requires_grad_(False),
        torch.nn.ReLU(),
    )  # fmt: skip
    assert list(lines(model_tree(model))) == [
        "Sequential  27  (18 trained)",
        "0-1 (each): Linear  9",
        "2: Linear  9  frozen",
    ]
    assert parameter_count(model) == 27 and parameter_count(model, trainable=True) == 18


# --- Ctrl-C --------------------------------------------------------------------------------------


def test_the_first_ctrl_c_asks_and_the_second_stops():
    with pytest.raises(KeyboardInterrupt), stop_on_signals() as should_stop:
        assert not should_stop()
        os.kill(os.getpid(), signal.SIGINT)
        assert should_stop()
        os.kill(os.getpid(), signal.SIGINT)
        time.sleep(1)
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL


def test_train_stops_when_asked_and_goes_on(tmp_path, small_yaml, monkeypatch):
    from contextlib import contextmanager

    @contextmanager
    def asked_at_once():
        yield lambda: True

    with monkeypatch.context() as patch:
        patch.setattr("core.interrupt.stop_on_signals", asked_at_once)
        assert "stopped after step 1; the same command goes on" in run(
            "train", small_yaml, "--out", tmp_path
        )
    assert "3 steps done" in run("train", small_yaml, "--out", tmp_path)


def test_help_imports_nothing_that_takes_long():
    code = "import cli, core, sys; print(*sorted({'numpy', 'pydantic', 'torch'} & {*sys.modules}))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""
    assert set(core.__all__) == {name for names in core._HOMES.values() for name in names}
    for name in core.__all__:
        assert getattr(core, name) is not None
