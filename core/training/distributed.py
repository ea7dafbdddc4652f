"""Several processes as one: who am I, under torchrun, SLURM or submitit, and small reductions.

Every function here also works, doing nothing, in a single process.
"""

from __future__ import annotations

import logging
import os
import re
import socket
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import TypeVar

import torch
import torch.distributed as dist
from torch import Tensor

from core.errors import UserError

T = TypeVar("T")
TIMEOUT = timedelta(minutes=30)
FIRST_PORT, PORTS = 12_000, 20_000  # below Linux's ephemeral ports, which start at 32768

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class World:
    """This process among its peers.

    Attributes:
        rank: 0 to size - 1; rank 0 writes files and shows progress.
        size: processes in all.
        local_rank: rank among the processes of this host, which picks the GPU.
        address: host of rank 0.
        port: where rank 0 listens.
    """

    rank: int = 0
    size: int = 1
    local_rank: int = 0
    address: str = "127.0.0.1"
    port: int = FIRST_PORT

    @property
    def main(self) -> bool:
        """Whether this is the process that writes files."""
        return self.rank == 0


def world_from_environment(environ: Mapping[str, str] | None = None) -> World:
    """The process's place as its launcher says: torchrun, submitit's local executor or SLURM.

    Raises:
        UserError: a variable of the launcher is missing or not a number.
    """
    environ = os.environ if environ is None else environ
    if "RANK" in environ and "WORLD_SIZE" in environ:
        return _from_torchrun(environ)
    if environ.get("SUBMITIT_EXECUTOR") == "local" and "SUBMITIT_LOCAL_NTASKS" in environ:
        return World(
            rank=_integer(environ, "SUBMITIT_LOCAL_GLOBALID"),
            size=_integer(environ, "SUBMITIT_LOCAL_NTASKS"),
            local_rank=_integer(environ, "SUBMITIT_LOCAL_LOCALID"),
            port=port_of_job(environ.get("SUBMITIT_LOCAL_JOB_ID", "0")),
        )
    if "SLURM_PROCID" in environ:
        return _from_slurm(environ)
    return World()


def _from_torchrun(environ: Mapping[str, str]) -> World:
    if "MASTER_ADDR" not in environ:
        raise UserError("RANK and WORLD_SIZE are set but MASTER_ADDR is not: start with torchrun")
    return World(
        rank=_integer(environ, "RANK"),
        size=_integer(environ, "WORLD_SIZE"),
        local_rank=_integer(environ, "LOCAL_RANK", environ["RANK"]),
        address=environ["MASTER_ADDR"],
        port=_integer(environ, "MASTER_PORT"),
    )


def _from_slurm(environ: Mapping[str, str]) -> World:
    size = _integer(environ, "SLURM_STEP_NUM_TASKS", environ.get("SLURM_NTASKS", "1"))
    if is_batch_script(environ):
        return World()
    if size == 1:
        return World()
    port = port_of_job(environ.get("SLURM_JOB_ID", "0"), environ.get("SLURM_STEP_ID", "0"))
    return World(
        rank=_integer(environ, "SLURM_PROCID"),
        size=size,
        local_rank=_integer(environ, "SLURM_LOCALID", "0"),
        address=environ.get("MASTER_ADDR") or _host_of_first_task(environ),
        port=_integer(environ, "MASTER_PORT", str(port)),
    )


def is_batch_script(environ: Mapping[str, str]) -> bool:
    """Whether this is a SLURM batch script itself, which counts as task 0 but has no peers."""
    in_step = "SLURM_STEP_ID" in environ or "SLURM_STEP_NUM_TASKS" in environ
    return environ.get("ENVIRONMENT") == "BATCH" and "SLURM_PROCID" in environ and not in_step


def _host_of_first_task(environ: Mapping[str, str]) -> str:
    nodes = environ.get("SLURM_STEP_NODELIST") or environ.get("SLURM_JOB_NODELIST", "")
    host = first_host(nodes)
    if host == nodes and not _resolves(host):  # one node, whose name only SLURM knows
        return World.address
    return host


def _resolves(host: str) -> bool:
    try:
        socket.getaddrinfo(host, None)
    except OSError:
        return False
    return True


def _integer(environ: Mapping[str, str], name: str, default: str | None = None) -> int:
    text = environ.get(name, default)
    try:
        return int(text)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        raise UserError(f"environment variable {name}={text!r}: expected a whole number") from None


def first_host(nodes: str) -> str:
    """First name of a SLURM node list: ``"gpu[003-007,9],x1"`` gives ``"gpu003"``."""
    name = ""
    while nodes and nodes[0] != ",":
        if nodes[0] == "[":
            inside, _, nodes = nodes[1:].partition("]")
            name += re.split("[-,]", inside)[0]
        else:
            name, nodes = name + nodes[0], nodes[1:]
    return name


def port_of_job(job: str, step: str = "0") -> int:
    """A port that all tasks of a job step agree on and other jobs are unlikely to use."""
    numbers = [int(digits) for digits in re.findall(r"\d+", f"{job} {step}")]
    return FIRST_PORT + sum(numbers) % PORTS


def default_device(world: World | None = None) -> torch.device:
    """This process's GPU, or the CPU where there is none."""
    if not torch.cuda.is_available():
        return torch.device("cpu")
    local_rank = 0 if world is None else world.local_rank
    return torch.device("cuda", local_rank % torch.cuda.device_count())


@contextmanager
def joined(world: World | None = None) -> Iterator[World]:
    """Join the peers for the length of the block; a single process joins nobody.

    Where the processes are joined already, their group is used and left as it is.
    """
    if dist.is_initialized():
        local_rank = world_from_environment().local_rank if world is None else world.local_rank
        yield World(dist.get_rank(), dist.get_world_size(), local_rank)
        return
    world = world_from_environment() if world is None else world
    if world.size == 1:
        if is_batch_script(os.environ) and os.environ.get("SLURM_NTASKS", "1") != "1":
            tasks = os.environ["SLURM_NTASKS"]
            log.warning("SLURM gave %s tasks, but without srun only this one runs", tasks)
        yield world
        return
    device = default_device(world)
    if device.type == "cuda":
        torch.cuda.set_device(device)
    dist.init_process_group(
        "nccl" if device.type == "cuda" else "gloo",
        init_method=_rendezvous(world),
        rank=world.rank,
        world_size=world.size,
        timeout=TIMEOUT,
    )
    try:
        yield world
    finally:
        dist.destroy_process_group()


def _rendezvous(world: World) -> str:
    # torchrun's agent already listens at its port; env:// makes use of it
    if os.environ.get("TORCHELASTIC_USE_AGENT_STORE") == "True":
        return "env://"
    return f"tcp://{world.address}:{world.port}"


def world_size() -> int:
    """Processes joined at present."""
    return dist.get_world_size() if dist.is_initialized() else 1


def mean_over_ranks(values: Tensor) -> Tensor:
    """Mean of a tensor over the processes, without gradient."""
    if world_size() == 1:
        return values
    values = values.detach().clone()
    dist.all_reduce(values)
    return values / world_size()


def any_rank(flag: bool, device: torch.device) -> bool:
    """Whether any process says yes."""
    if world_size() == 1:
        return flag
    votes = torch.tensor(float(flag), device=device)
    dist.all_reduce(votes)
    return bool(votes > 0)


def gather_objects(value: T) -> list[T]:
    """Every process's value, by rank, on every process."""
    if world_size() == 1:
        return [value]
    values: list[T | None] = [None] * world_size()
    dist.all_gather_object(values, value)
    return values  # type: ignore[return-value]


def from_main(value: T) -> T:
    """Rank 0's value, on every process."""
    if world_size() == 1:
        return value
    values: list[T] = [value]
    dist.broadcast_object_list(values, src=0)
    return values[0]


def barrier() -> None:
    """Wait for all processes."""
    if world_size() > 1:
        dist.barrier()
