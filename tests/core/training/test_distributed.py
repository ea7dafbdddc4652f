import logging
import socket
from pathlib import Path

import pytest
import torch
import torch.distributed as dist
import torch.multiprocessing as mp
from torch import nn

from core.errors import UserError
from core.training.distributed import (
    any_rank,
    barrier,
    default_device,
    from_main,
    gather_objects,
    joined,
    mean_over_ranks,
    world_size,
)
from core.training.sync_batch_norm import SyncBatchNorm2d, synchronize_batch_norm
from core.training.world import World, first_host, port_of_job, world_from_environment

# --- who am I ------------------------------------------------------------------------------------

TORCHRUN = {
    "RANK": "3",
    "WORLD_SIZE": "4",
    "LOCAL_RANK": "1",
    "MASTER_ADDR": "gpu7",
    "MASTER_PORT": "29400",
}
SLURM = {
    "SLURM_JOB_ID": "4711",
    "SLURM_PROCID": "5",
    "SLURM_NTASKS": "8",
    "SLURM_LOCALID": "1",
    "SLURM_JOB_NODELIST": "gpu[003-004,9],login",
}
SUBMITIT = {
    "SUBMITIT_EXECUTOR": "local",
    "SUBMITIT_LOCAL_JOB_ID": "8080",
    "SUBMITIT_LOCAL_NTASKS": "2",
    "SUBMITIT_LOCAL_GLOBALID": "1",
    "SUBMITIT_LOCAL_LOCALID": "1",
}


def test_alone():
    assert world_from_environment({}) == World()
    assert World().main and not World(rank=1, size=2).main


def test_torchrun():
    assert world_from_environment(TORCHRUN) == World(3, 4, 1, "gpu7", 29400)


def test_slurm_tasks():
    world = world_from_environment(SLURM)
    assert world == World(5, 8, 1, "gpu003", port_of_job("4711"))


def test_the_script_may_choose_the_meeting_point():
    world = world_from_environment(SLURM | {"MASTER_ADDR": "ib0.gpu9", "MASTER_PORT": "4242"})
    assert (world.address, world.port) == ("ib0.gpu9", 4242)


def test_a_node_that_only_slurm_can_name(monkeypatch):
    """On one node the peers are here; on several the name must be known."""

    def unknown(*_):
        raise OSError("Name or service not known")

    monkeypatch.setattr("socket.getaddrinfo", unknown)
    one = SLURM | {"SLURM_JOB_NODELIST": "gpu-42.invalid"}
    assert world_from_environment(one).address == "127.0.0.1"
    assert world_from_environment(SLURM | {"SLURM_JOB_NODELIST": ""}).address == "127.0.0.1"
    two = SLURM | {"SLURM_JOB_NODELIST": "gpu-[42-43].invalid"}
    assert world_from_environment(two).address == "gpu-42.invalid"
    monkeypatch.setattr("socket.getaddrinfo", lambda *_: [])
    assert world_from_environment(one).address == "gpu-42.invalid"


def test_slurm_step_counts_more_than_the_job():
    """``srun -n2 -w localhost`` inside a job of 8 tasks on 3 nodes."""
    step = {
        "SLURM_STEP_ID": "2",
        "SLURM_STEP_NUM_TASKS": "2",
        "SLURM_STEP_NODELIST": "localhost",
        "SLURM_PROCID": "1",
    }
    world = world_from_environment(SLURM | step)
    assert (world.rank, world.size, world.address) == (1, 2, "localhost")
    assert world.port != port_of_job("4711"), "two steps of a job must not share a port"


def test_batch_script_without_srun_runs_alone(caplog, monkeypatch):
    """The script itself is task 0 of 8; waiting for the other seven would take forever."""
    batch = SLURM | {"SLURM_PROCID": "0", "ENVIRONMENT": "BATCH"}
    assert world_from_environment(batch) == World()
    for name, value in batch.items():
        monkeypatch.setenv(name, value)
    with caplog.at_level(logging.WARNING), joined() as world:
        assert world.size == 1
    assert "gave 8 tasks, but without srun only this one runs" in caplog.text
    under_srun = batch | {"SLURM_STEP_ID": "0", "SLURM_STEP_NUM_TASKS": "8"}
    assert world_from_environment(under_srun).size == 8


def test_a_slurm_job_of_one_task_is_alone():
    assert world_from_environment(SLURM | {"SLURM_NTASKS": "1", "SLURM_PROCID": "0"}) == World()


def test_submitit_local():
    world = world_from_environment(SUBMITIT)
    assert (world.rank, world.size, world.local_rank) == (1, 2, 1)
    assert world.port == port_of_job("8080")


def test_launchers_inside_each_other():
    """torchrun in a SLURM task counts, and so does submitit's local executor."""
    assert world_from_environment(SLURM | TORCHRUN).size == 4
    assert world_from_environment(SLURM | SUBMITIT).size == 2


@pytest.mark.parametrize(
    ("environ", "message"),
    [
        ({"RANK": "0", "WORLD_SIZE": "2"}, "MASTER_ADDR is not: start with torchrun"),
        (TORCHRUN | {"MASTER_PORT": "x"}, "MASTER_PORT='x': expected a whole number"),
        (SLURM | {"SLURM_PROCID": ""}, "SLURM_PROCID='': expected a whole number"),
        (
            {k: v for k, v in SUBMITIT.items() if "GLOBALID" not in k},
            "SUBMITIT_LOCAL_GLOBALID=None",
        ),
    ],
)
def test_broken_environment(environ, message):
    with pytest.raises(UserError, match=message):
        world_from_environment(environ)


@pytest.mark.parametrize(
    ("nodes", "host"),
    [
        ("n1", "n1"),
        ("n1,n2", "n1"),
        ("n[1-4]", "n1"),
        ("n[07,09-12]", "n07"),
        ("a[1-2]b[3,5]-ib,c", "a1b3-ib"),
        ("gpu-3.cluster.org", "gpu-3.cluster.org"),
    ],
)
def test_first_host(nodes, host):
    assert first_host(nodes) == host


def test_ports_are_free_to_use_and_differ():
    ports = {port_of_job(str(job)) for job in range(1000, 2000)}
    assert len(ports) == 1000
    assert all(1024 < port < 32768 for port in ports | {port_of_job("99999999_12", "7")})


def test_device_of_a_rank(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    assert default_device(World(rank=7, size=8, local_rank=3)) == torch.device("cuda", 1)
    assert default_device() == torch.device("cuda", 0)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert default_device(World(local_rank=3)) == torch.device("cpu")


def test_reductions_of_one_process_do_nothing():
    with joined(World()) as world:
        assert world.size == world_size() == 1
        values = torch.ones(2)
        assert mean_over_ranks(values) is values
        assert any_rank(True, values.device) and not any_rank(False, values.device)
        assert gather_objects("a") == ["a"] and from_main("a") == "a"
        barrier()
    assert not dist.is_initialized()


# --- two processes -------------------------------------------------------------------------------


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def norm_step(norm, x):
    """Output, input gradient and weight gradients of a weighted sum through ``norm``."""
    x = x.clone().requires_grad_()
    y = norm(x)
    weight = torch.arange(y.numel(), dtype=y.dtype).view_as(y).sin()
    # each sample's weight must not depend on the process that holds it
    (y * weight[:1] * x.detach().cos()).sum().backward()
    return y.detach(), x.grad, norm.weight.grad, norm.bias.grad


def make_norm():
    torch.manual_seed(1)
    norm = nn.BatchNorm2d(3)
    nn.init.normal_(norm.weight)
    nn.init.normal_(norm.bias)
    return norm


BATCH = torch.randn(5, 3, 4, 4, generator=torch.Generator().manual_seed(0)) * 3 + 7
PARTS = {"unequal": (slice(0, 2), slice(2, 5)), "empty": (slice(0, 5), slice(5, 5))}


def run_rank(rank, port, out):
    torch.set_num_threads(1)
    with joined(World(rank, 2, rank, "127.0.0.1", port)) as world:
        with joined() as inner:  # a second time changes nothing
            assert (inner.rank, inner.size) == (rank, 2)
        results = {
            "mean": mean_over_ranks(torch.tensor([1.0 + rank])),
            "any": (any_rank(rank == 1, torch.device("cpu")), any_rank(False, torch.device("cpu"))),
            "gathered": gather_objects({"rank": world.rank}),
            "main": from_main(f"rank {rank}"),
        }
        for kind, parts in PARTS.items():
            model = nn.Sequential(make_norm())
            assert synchronize_batch_norm(model) == 1
            results[kind] = norm_step(model[0], BATCH[parts[rank]])
            results[kind + " state"] = model.state_dict()
        barrier()
    assert not dist.is_initialized()
    torch.save(results, f"{out}/{rank}.pt")


@pytest.fixture(scope="module")
def two_ranks(tmp_path_factory):
    out = tmp_path_factory.mktemp("ranks")
    mp.spawn(run_rank, (free_port(), str(out)), nprocs=2)
    return [torch.load(Path(out) / f"{rank}.pt") for rank in range(2)]


@pytest.mark.slow
def test_reductions_of_two_processes(two_ranks):
    for results in two_ranks:
        assert results["mean"] == 1.5
        assert results["any"] == (True, False)
        assert results["gathered"] == [{"rank": 0}, {"rank": 1}]
        assert results["main"] == "rank 0"


@pytest.mark.slow
@pytest.mark.parametrize("kind", PARTS)
def test_batch_norm_of_two_processes_is_that_of_one(two_ranks, kind):
    norm = make_norm()
    y, x_grad, weight_grad, bias_grad = norm_step(norm, BATCH)
    ranks = [results[kind] for results in two_ranks]
    torch.testing.assert_close(torch.cat([r[0] for r in ranks]), y)
    torch.testing.assert_close(torch.cat([r[1] for r in ranks]), x_grad)
    torch.testing.assert_close(ranks[0][2] + ranks[1][2], weight_grad)
    torch.testing.assert_close(ranks[0][3] + ranks[1][3], bias_grad)
    for results in two_ranks:
        state = results[kind + " state"]
        for name, value in norm.state_dict().items():
            torch.testing.assert_close(state[f"0.{name}"], value)


# --- synchronised batch norm in one process ------------------------------------------------------


def test_synchronised_norm_alone_is_plain():
    plain, model = make_norm(), nn.Sequential(make_norm())
    synchronize_batch_norm(model)
    assert isinstance(model[0], SyncBatchNorm2d)
    for mode in (True, False):
        plain.train(mode), model.train(mode)
        assert model(BATCH).equal(plain(BATCH))
    assert model.state_dict().keys() == {f"0.{n}" for n in plain.state_dict()}


def test_replacing_keeps_parameters_modes_and_other_norms():
    inner = nn.Sequential(nn.BatchNorm2d(2).eval(), nn.BatchNorm1d(2), nn.LayerNorm(2))
    model = nn.ModuleDict({"a": nn.BatchNorm2d(2, eps=0.1, momentum=None), "b": inner})
    model["a"].weight.requires_grad_(False)
    before = dict(model.named_parameters())
    assert synchronize_batch_norm(model) == 2
    assert synchronize_batch_norm(model) == 0
    assert {n: id(p) for n, p in model.named_parameters()} == {n: id(p) for n, p in before.items()}
    assert model["a"].training and not model["b"][0].training
    assert model["a"].eps == 0.1 and model["a"].momentum is None
    assert not model["a"].weight.requires_grad
    assert type(model["b"][1]) is nn.BatchNorm1d
