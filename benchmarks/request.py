"""What the command line asks to be measured, as jobs."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.machine.code import git_provenance
from benchmarks.machine.environment import command_line
from benchmarks.records import RECORD_SCHEMA
from benchmarks.workloads.mmdet import PLAIN_TRAINING, find_config
from benchmarks.workloads.spec import WorkloadSpec
from benchmarks.workloads.workload import ClipShape, clip_shape, parse_size
from core.config.load import load_config
from core.config.overrides import override, parse_assignments
from core.config.schema import Config
from core.data.transforms import Size
from core.errors import UserError

_PUBLISHED = "tevit_msgshift"
"""Whose shape and training clips a model of mmdet takes where no config of ours is named."""

# a comma that another switch follows, not one inside a list
_NEXT_SWITCH = re.compile(r",(?=[A-Za-z_][\w.]*=)")


@dataclass(frozen=True)
class Request:
    """Configs and the shape to measure them at; what is none is the config's own.

    Attributes:
        items: configs (a preset, file or run folder, with switches of its own after commas), and
            switches for all of them.
        mmdet: configuration files of mmdet, whose models get the shape and the training clips of
            the first config.
        size: of the padded frames, as ``640x384``.
        video_size: of masks and image files, as ``1280x720``.
        checkpoint: weights of the one config.
    """

    items: Sequence[str]
    mmdet: Sequence[str] = ()
    size: str | None = None
    clip: int | None = None
    batch: int = 1
    video_size: str | None = None
    checkpoint: Path | None = None
    compiled: bool = False

    def workloads(self) -> tuple[WorkloadSpec, ...]:
        """Every config and mmdet model, in the order in which they are named.

        Raises:
            UserError: nothing to measure, a name twice, a fault in a config or switch.
        """
        switches = [item for item in self.items if _is_switch(item)]
        names = [item for item in self.items if not _is_switch(item)]
        if self.checkpoint is not None and len(names) + len(self.mmdet) != 1:
            raise UserError("--checkpoint holds the weights of one config; give one config")
        configs = {name: named_config(name, switches) for name in names}
        specs = [self._ours(name, config) for name, config in configs.items()]
        first = next(iter(configs.values()), None) or named_config(_PUBLISHED, switches)
        specs += [self._mmdet(path, first) for path in self.mmdet]
        if not specs:
            raise UserError("nothing to measure: give a config, such as tevit_msgshift")
        if len({spec.name for spec in specs}) < len(names) + len(self.mmdet):
            raise UserError(f"a config is named twice: {', '.join([*names, *self.mmdet])}")
        return tuple(specs)

    def _shape(self, config: Config) -> ClipShape:
        return clip_shape(
            config,
            size=_optional_size(self.size),
            clip_length=self.clip,
            batch=self.batch,
            video_size=_optional_size(self.video_size),
        )

    def _ours(self, name: str, config: Config) -> WorkloadSpec:
        checkpoint = str(self.checkpoint.resolve()) if self.checkpoint else None
        return WorkloadSpec(
            name, self._shape(config), config.to_dict(), None, checkpoint, self.compiled
        )

    def _mmdet(self, path: str, trains: Config) -> WorkloadSpec:
        found = find_config(path)
        checkpoint = str(self.checkpoint.resolve()) if self.checkpoint else None
        config = override(trains, PLAIN_TRAINING).to_dict()
        name = f"mmdet {found.stem}"
        return WorkloadSpec(name, self._shape(trains), config, str(found), checkpoint)


def named_config(item: str, switches: Sequence[str] = ()) -> Config:
    """A config such as ``tevit_r50,head.kind=per_frame``, with ``switches`` applied, too.

    Raises:
        ConfigError: naming the field at fault.
    """
    name, *own = _NEXT_SWITCH.split(item)
    return load_config(name, {**parse_assignments(switches), **parse_assignments(own)})


def origin() -> dict[str, Any]:
    """What a file of ``--json`` says besides its records: the command, and the code's version."""
    return {"schema": RECORD_SCHEMA, "command": command_line(), "git": git_provenance()}


def _is_switch(item: str) -> bool:
    return "=" in item.partition(",")[0]


def _optional_size(text: str | None) -> Size | None:
    return None if text is None else parse_size(text)
