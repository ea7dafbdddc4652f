"""Two processes, started in three ways, against one with twice the batch a forward pass."""

import shutil
import socket

import pytest
import submitit
import torch

from benchmarks.ap.evaluate import evaluate
from benchmarks.ap.score import heldout_videos
from core.inference.predict import predict_dataset
from core.training.checkpoint import read_file
from core.training.train import train
from tests.core.training.runs import history, losses, run_task, small, start, start_torchrun

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("one_thread", "own_cache")]

# initial weights have gradients of 1e6, and steps along them double a rounding error each: at the
# usual rate two runs drift apart within three steps on some processors, whatever the parallelism
SMALL_RATE = 1e-9

TWO = {
    "backbone__drop_path": 0.0, "train__steps": 4, "train__clips": 4, "train__accumulate": 2,
    "train__lr": SMALL_RATE,
}  # fmt: skip


@pytest.fixture(scope="module")
def two(tmp_path_factory, own_cache, one_thread):
    """Under torchrun, without interruption."""
    folder = tmp_path_factory.mktemp("two")
    assert start_torchrun(small(**TWO), folder, 2).wait() == 0
    return folder


def test_two_processes_are_one_with_twice_the_batch(two, tmp_path):
    train(small(**TWO), tmp_path, progress=False)
    for theirs, ours in zip(history(two), history(tmp_path), strict=True):
        assert theirs["losses"] == pytest.approx(ours["losses"], rel=1e-5), ours["step"]
        assert theirs["grad_norm"] == pytest.approx(ours["grad_norm"], rel=1e-4)
        assert theirs["lr"] == ours["lr"]
    states = [read_file(f / "checkpoints" / "last.pt")["state_dict"] for f in (two, tmp_path)]
    running = [n for n in states[0] if "running" in n]
    assert running
    for name in running:
        torch.testing.assert_close(states[0][name], states[1][name], rtol=1e-3, atol=1e-3)


def test_one_checkpoint_holds_the_generators_of_both(two):
    contents = read_file(two / "checkpoints" / "last.pt")
    assert contents["meta"]["ranks"] == 2 and len(contents["rng"]) == 2
    assert not contents["rng"][0]["torch"].equal(contents["rng"][1]["torch"])


def test_two_processes_recompute_and_score_together(tmp_path):
    """Batch norm's exchanges take place again in the backward pass, in the same order."""
    overrides = {
        "messenger__tokens": 0, "backbone__name": "resnet50", "train__steps": 3,
        "train__ema": 0.5, "data__holdout": 0.5, "train__lr": SMALL_RATE,
    }  # fmt: skip
    plain, folder = tmp_path / "plain", tmp_path / "both"
    assert start_torchrun(small(**overrides), plain, 2).wait() == 0
    overrides |= {"train__checkpointing": True, "train__eval_every": 2}
    assert start_torchrun(small(**overrides), folder, 2).wait() == 0
    assert losses(folder) == losses(plain)
    ours, theirs = (read_file(f / "checkpoints" / "last.pt") for f in (folder, plain))
    assert all(ours["ema"][name].equal(value) for name, value in theirs["ema"].items())
    config = small(**overrides)
    path = predict_dataset(
        config, folder / "checkpoints" / "last.pt", heldout_videos(config), tmp_path / "found"
    )
    figures = evaluate(heldout_videos(config), path).figures
    assert history(folder)[-1]["heldout"] == {n: figures[n] for n in ("AP", "AP50", "AP75")}
    assert history(folder)[1]["heldout_ema"].keys() == {"AP", "AP50", "AP75"}


def slurm(rank, job):
    return {
        "SLURM_JOB_ID": str(job), "SLURM_STEP_ID": "0", "SLURM_PROCID": str(rank),
        "SLURM_NTASKS": "2", "SLURM_STEP_NUM_TASKS": "2", "SLURM_LOCALID": str(rank),
        "SLURM_JOB_NODELIST": "localhost",
    }  # fmt: skip


def test_slurm_tasks_resume_exactly(two, tmp_path):
    """From torchrun's checkpoint of step 2, each rank with its own generators."""
    (tmp_path / "checkpoints").mkdir()
    shutil.copy(two / "checkpoints" / "previous.pt", tmp_path / "checkpoints" / "last.pt")
    shutil.copy(two / "history.jsonl", tmp_path)
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        job = s.getsockname()[1]  # a number that no other test uses
    tasks = [start(small(**TWO), tmp_path, **slurm(rank, job)) for rank in (0, 1)]
    assert [task.wait() for task in tasks] == [0, 0]
    assert losses(tmp_path) == losses(two)
    times = [line["time"] for line in history(tmp_path)]
    assert times[:2] == [line["time"] for line in history(two)][:2]
    assert times[2] > history(two)[-1]["time"], "steps 3 and 4 were done again"


def test_submitit_tasks(two, tmp_path):
    executor = submitit.LocalExecutor(tmp_path / "logs")
    executor.update_parameters(tasks_per_node=2, timeout_min=10)
    job = executor.submit(run_task, small(**TWO).to_dict(), str(tmp_path / "run"))
    job.results()
    assert losses(tmp_path / "run") == losses(two)
