"""What cells of a profile ask sbatch for, and what the user's own environment adds."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any

from launch.executors.profile import SITE_FIELDS, Profile, Shape


def slurm_parameters(profile: Profile, shape: Shape, comment: str) -> dict[str, Any]:
    """What submitit's SLURM executor is given for cells of ``shape``.

    Args:
        comment: what tells the store's jobs from others.
    """
    site = {name: getattr(shape, name) for name in SITE_FIELDS} | from_environment(shape)
    gpus = f"{shape.gpu_type}:{shape.gpus}" if shape.gpu_type else shape.gpus
    # a line of the setup that fails must not leave the cell to run in half an environment
    setup = ["set -e", *profile.setup, "set +e"] if profile.setup else None
    mail = shape.mail
    more = {"reservation": shape.reservation, "nice": shape.nice}
    parameters = {
        "comment": comment,
        **site,
        "nodes": shape.nodes,
        "gpus_per_node": gpus if shape.gpus else None,
        "ntasks_per_node": shape.tasks_per_node,
        "cpus_per_task": shape.cpus,
        "mem": shape.memory,
        "mem_per_cpu": shape.memory_per_cpu,
        "mail_user": mail.to if mail else None,
        "mail_type": ",".join(mail.when) if mail else None,
        "dependency": shape.dependency,
        "time": shape.time,
        "signal_delay_s": profile.signal_delay,
        "array_parallelism": profile.array_parallelism,
        "setup": setup,
        "stderr_to_stdout": True,
        # a task that fails ends its peers, which would wait for it
        "srun_args": ["--kill-on-bad-exit=1"],
        "additional_parameters": {
            "requeue": True,
            **{name: value for name, value in more.items() if value is not None},
            **shape.extra,
        },
    }
    return {name: value for name, value in parameters.items() if value is not None}


def task_settings(profile: Profile, shape: Shape) -> dict[str, Any]:
    """What a task has to know of its job's limits."""
    return {"patience": 0.6 * profile.signal_delay, "minutes": shape.time}


def from_environment(shape: Shape, environment: Mapping[str, str] = os.environ) -> dict[str, str]:
    """What the user's SBATCH_PARTITION and its like add where the profile says nothing."""
    return {
        name: value
        for name in SITE_FIELDS
        if getattr(shape, name) is None and (value := environment.get(f"SBATCH_{name.upper()}"))
    }


def from_environment_said(shapes: Sequence[Shape]) -> list[str]:
    """A line for each SBATCH variable: whether it is used."""
    used = {f"SBATCH_{name.upper()}" for s in shapes for name in from_environment(s)}
    return [
        f"{name}={value} in the environment is "
        + ("used: the profile does not say" if name in used else "not used: the profile counts")
        for name, value in sorted(os.environ.items())
        if name.startswith("SBATCH_")
    ]
