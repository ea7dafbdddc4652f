"""Several processes as one: joining the peers, and small reductions.

Every function here also works, doing nothing, in a single process.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import TypeVar

import torch
import torch.distributed as dist
from torch import Tensor

from core.training.world import World, is_batch_script, world_from_environment

T = TypeVar("T")
TIMEOUT = timedelta(minutes=30)

log = logging.getLogger(__name__)


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
