"""Cluster profiles: what a cell asks SLURM for, in a YAML file that a site writes once.

partition: gpu
gpus: 1
time: 24:00:00
memory: 32G
setup: [module load cuda]
rules:
  - when: {backbone.name: swin_l}
    set: {gpus: 4, time: 2-00:00:00}
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    ValidationError,
    field_validator,
    model_validator,
)
from pydantic_core import ErrorDetails

from core.config.overrides import field_names, flatten, unknown, unknown_field
from core.config.schema import Config
from core.config.strict import Strict, fault_text, root_faults
from core.config.yaml_file import read_yaml
from core.errors import UserError

SHIPPED_PROFILES = Path(__file__).parents[1] / "profiles"
DEFAULT = "default"

SITE_FIELDS = ("partition", "account", "qos", "constraint")
"""Fields that users also set for all of their jobs, by SBATCH_PARTITION and its like."""

_LAUNCHERS_OWN = (
    *("array", "chdir", "comment", "error", "export", "export_file", "job_name", "no_requeue"),
    *("open_mode", "output", "parsable", "requeue", "signal", "test_only", "uid", "wait", "wrap"),
    *("a", "D", "e", "J", "o", "W"),
)
_OPTIONS = {
    "partition": ("partition", "p"),
    "account": ("account", "A"),
    "qos": ("qos", "q"),
    "constraint": ("constraint", "C"),
    "nodes": ("nodes", "N"),
    "time": ("time", "t"),
    "memory": ("mem", "mem_per_gpu"),
    "memory_per_cpu": ("mem_per_cpu",),
    "mail": ("mail_user", "mail_type"),
    "reservation": ("reservation",),
    "nice": ("nice",),
    "dependency": ("dependency", "d"),
    "cpus": ("cpus_per_task", "c"),
    "gpus": (
        *("gpus", "G", "gpus_per_node", "gpus_per_task"),
        *("ntasks", "n", "ntasks_per_node", "ntasks_per_gpu"),
    ),
}
"""Fields, and the options of sbatch that they stand for."""

_TIME = re.compile(r"(?:(?P<d>\d+)-)?(?P<h>\d+):(?P<m>\d+)(?::(?P<s>\d+))?")
_MEMORY = re.compile(r"\d+(\.\d+)?[KMGT]", re.IGNORECASE)


def _memory(value: Any) -> Any:
    if value is None or _MEMORY.fullmatch(str(value)):
        return value
    raise ValueError("expected a number and a unit, such as 32G or 500M")


Memory = Annotated[str, BeforeValidator(_memory)]
"""A number and a unit, such as 32G."""


def _memory_or_all(value: Any) -> Any:
    return "0" if str(value) == "0" else _memory(value)


def _time_limit(value: Any) -> Any:
    return value if isinstance(value, int) else minutes(str(value))


class ProfileError(UserError, ValueError):
    """A profile that cannot be used: names the file, each field at fault and what is valid."""


class Pack(Strict):
    """Several small cells in one job."""

    cells: Annotated[int, Field(ge=1)] = Field(description="cells a job, on average")
    side_by_side: Annotated[int, Field(ge=1)] = Field(
        1, description="cells of a job that run at once, on the same GPU"
    )


class Growth(Strict):
    """More host memory for a cell that ran out of it, which is then tried again unasked."""

    memory: Annotated[float, Field(gt=1)] = Field(description="times what the attempt had")
    most: Memory = Field(description="and not more than that")


class Mail(Strict):
    """Whom SLURM writes to, and when."""

    to: str = Field(description="address")
    when: tuple[Literal["BEGIN", "END", "FAIL", "REQUEUE", "TIME_LIMIT", "ALL"], ...] = Field(
        ("END", "FAIL"), description="sbatch's --mail-type; of an array, once for all"
    )


class Shape(Strict):
    """The resources of one cell; cells of the same shape go into one job array."""

    partition: str | None = Field(None, description="SLURM partition")
    account: str | None = Field(None, description="account that is charged")
    qos: str | None = Field(None, description="quality of service")
    constraint: str | None = Field(None, description="features that the node must have")
    gpus: Annotated[int, Field(ge=0)] = Field(1, description="GPUs a node; one task for each")
    gpu_type: str | None = Field(None, description="kind of GPU, such as a100")
    nodes: Annotated[int, Field(ge=1)] = Field(1, description="nodes a cell")
    cpus: Annotated[int, Field(ge=1)] | None = Field(None, description="CPU cores a task")
    time: Annotated[int, Field(ge=1), BeforeValidator(_time_limit)] = Field(
        24 * 60, description="time limit: minutes, H:MM:SS or D-HH:MM:SS"
    )
    memory: Annotated[str | None, BeforeValidator(_memory_or_all)] = Field(
        None, description="host memory a node, such as 32G; 0: all that the node has"
    )
    memory_per_cpu: Memory | None = Field(None, description="host memory a core, in its place")
    on_out_of_memory: Growth | None = Field(
        None, description="try again with more host memory: {memory: 1.5, most: 128G}"
    )
    reservation: str | None = Field(None, description="reservation that the jobs run in")
    nice: int | None = Field(None, description="lower the jobs' priority by this")
    mail: Mail | None = Field(None, description="{to: me@site.org, when: [END, FAIL]}")
    dependency: str | None = Field(None, description="further jobs to wait for: afterok:1234")
    pack: Pack | None = Field(None, description="several small cells a job: {cells: 8}")
    extra: dict[str, str | int | bool] = Field(
        {}, description="further sbatch options, such as {exclude: node7}"
    )

    @field_validator("extra")
    @classmethod
    def _not_the_launchers(cls, value: dict[str, Any]) -> dict[str, Any]:
        for name in value:
            option = name.strip("-").replace("-", "_")
            if option in _LAUNCHERS_OWN:
                raise ValueError(f"{name}: the launcher sets this option itself")
            for field, options in _OPTIONS.items():
                if option in options:
                    raise ValueError(f"{name}: use the field {field}")
            if option == "gres" and "gpu" in str(value[name]):
                raise ValueError(f"{name}: use the fields gpus and gpu_type")
        return value

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        if self.memory and self.memory_per_cpu:
            raise ValueError("memory_per_cpu: memory is given, too; SLURM takes one of them")
        if self.on_out_of_memory and (self.memory or "0") == "0":
            raise ValueError("on_out_of_memory: needs memory, such as 32G, to begin with")
        if self.pack and self.nodes * self.tasks_per_node > 1:
            raise ValueError(
                f"pack: only cells with one GPU or none can share a job, not gpus={self.gpus} on "
                f"nodes={self.nodes}"
            )
        return self

    @property
    def tasks_per_node(self) -> int:
        """One process a GPU; one where there is none."""
        return max(1, self.gpus)


def _known_resources(values: dict[str, Any]) -> dict[str, Any]:
    for name in values:
        if name not in Shape.model_fields:
            raise ValueError(unknown("field", name, Shape.model_fields))
    return values


Resources = Annotated[dict[str, Any], AfterValidator(_known_resources)]
"""Some of the fields of :class:`Shape`, by name."""


def _known_config_fields(values: dict[str, Any]) -> dict[str, Any]:
    for name in values:
        if name not in field_names():
            raise ValueError(unknown_field(name))
    return values


class ProfileRule(Strict):
    """Other resources for the cells whose config matches."""

    when: Annotated[dict[str, Any], AfterValidator(_known_config_fields)] = Field(
        description="config field to value, or to a list of values"
    )
    set: Resources = Field(description="what differs for these cells")

    def matches(self, config: Config) -> bool:
        """Whether every field in ``when`` has its value, or one of its values."""
        values = flatten(config.to_dict())
        for name, wanted in self.when.items():
            value = values[name]
            if value != wanted and not (isinstance(wanted, list) and value in wanted):
                return False
        return True


class Profile(Shape):
    """Everything about a site."""

    setup: tuple[str, ...] = Field((), description="shell lines to run before the cell")
    array_parallelism: Annotated[int, Field(ge=1)] = Field(
        256, description="cells of one array that run at once"
    )
    max_array_size: Annotated[int, Field(ge=1)] | None = Field(
        None, description="cells an array; none: as the site's MaxArraySize allows"
    )
    signal_delay: Annotated[int, Field(ge=1)] = Field(
        120, description="seconds before the time limit at which a cell is warned"
    )
    python: str | None = Field(None, description="Python on the nodes; none: this one")
    rules: tuple[ProfileRule, ...] = Field((), description="other resources for some cells")
    report: Resources = Field({}, description="other resources for the report's job")

    @model_validator(mode="after")
    def _warned_in_time(self) -> Self:
        shapes: list[Shape] = [self, *self.rule_shapes]
        for shape in shapes:
            if shape.time * 60 < 2 * self.signal_delay:
                raise ValueError(
                    f"signal_delay={self.signal_delay}: a cell with a time limit of "
                    f"{shape.time} min would be warned at once; at most {shape.time * 30} s"
                )
        return self

    @cached_property
    def rule_shapes(self) -> tuple[Shape, ...]:
        """The shape of each rule, applied alone."""
        return tuple(self._shape([rule]) for rule in self.rules)

    @property
    def report_shape(self) -> Shape:
        """What the report's job asks for: one CPU process for up to an hour, if not told else."""
        values = {name: getattr(self, name) for name in ("partition", "account", "qos")}
        return Shape(**{**values, "gpus": 0, "time": 60, **self.report})

    def shape(self, config: Config) -> Shape:
        """What a cell of this config asks for; of rules that disagree the last one counts."""
        return self._shape([rule for rule in self.rules if rule.matches(config)])

    def _shape(self, rules: list[ProfileRule]) -> Shape:
        values = {name: getattr(self, name) for name in Shape.model_fields}
        for rule in rules:
            values |= rule.set
        if max(values["gpus"], values["nodes"]) > 1 and not any("pack" in r.set for r in rules):
            values["pack"] = None
        return Shape(**values)


def minutes(text: str) -> int:
    """``90``, ``1:30:00`` or ``1-12:00:00`` in whole minutes, rounded up.

    Raises:
        ValueError: none of these.
    """
    if text.isdigit():
        return int(text)
    match = _TIME.fullmatch(text)
    if match is None:
        raise ValueError("expected minutes, H:MM:SS or D-HH:MM:SS")
    days, hours, mins, seconds = (int(match[k] or 0) for k in "dhms")
    if match["s"] is None and match["d"] is None:
        raise ValueError(f"{text!r} may mean hours or minutes: write H:MM:SS")
    return -(-((days * 24 + hours) * 3600 + mins * 60 + seconds) // 60)


def shipped_profiles() -> list[str]:
    """Names of the profiles that come with the package."""
    return sorted(path.stem for path in SHIPPED_PROFILES.glob("*.yaml"))


def load_profile(name_or_path: str | Path) -> Profile:
    """The profile of a file, or a shipped one by name.

    Raises:
        ProfileError: no such profile, or a field at fault; an unknown field lists the known.
        YamlError: the file is not YAML.
    """
    path = Path(name_or_path).expanduser()
    if not path.is_file():
        if str(name_or_path) not in shipped_profiles():
            message = unknown("profile", str(name_or_path), shipped_profiles())
            raise ProfileError(f"{message}, or a path to a YAML file")
        path = SHIPPED_PROFILES / f"{name_or_path}.yaml"
    data = read_yaml(path)
    if not isinstance(data, Mapping):
        raise ProfileError(f"{path}: expected fields and values, not {data!r:.80}")
    return make_profile(data, source=str(path))


def make_profile(values: Mapping[str, Any], source: str = "profile") -> Profile:
    """The same from Python.

    Raises:
        ProfileError: a field at fault.
    """
    try:
        return Profile.model_validate(dict(values))
    except ValidationError as error:
        lines = dict.fromkeys(map(_explain, root_faults(error)))
        raise ProfileError("\n".join(f"{source}: {line}" for line in lines)) from error


def _explain(fault: ErrorDetails) -> str:
    path = ".".join(map(str, fault["loc"]))
    section, _, name = path.rpartition(".")
    groups: dict[str, type[Strict]] = {"pack": Pack, "on_out_of_memory": Growth, "mail": Mail}
    model = ProfileRule if section.startswith("rules.") else groups.get(section, Profile)
    where = f"{section}: " if section else ""
    return fault_text(fault, where + unknown("field", name, model.model_fields), path)
