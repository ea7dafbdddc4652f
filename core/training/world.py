"""Which process of a job am I: under torchrun, SLURM or submitit; imports nothing slow."""

from __future__ import annotations

import os
import re
import socket
from collections.abc import Mapping
from dataclasses import dataclass

from core.errors import UserError

FIRST_PORT, PORTS = 12_000, 20_000  # below Linux's ephemeral ports, which start at 32768


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
    if size == 1 or is_batch_script(environ):
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
