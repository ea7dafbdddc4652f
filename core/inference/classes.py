"""What a model's classes stand for, and which categories of a dataset they are."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from core.data.categories import name_key
from core.data.dataset import VideoDataset
from core.errors import UserError
from core.names import listed
from core.training.checkpoint import category_ids_of, class_names_of

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Classes:
    """What a model's classes stand for.

    Attributes:
        ids: category id of each class 0 to C - 1.
        names: name of each category id, as far as they are known.
        told: whether the checkpoint says either; else the classes are numbered from 1.
    """

    ids: Mapping[int, int]
    names: Mapping[int, str]
    told: bool = True

    @classmethod
    def of_dataset(cls, dataset: VideoDataset) -> Self:
        """The dataset's own."""
        ids = {label: category for category, label in dataset.labels.items()}
        return cls(ids, dict(dataset.categories))

    @classmethod
    def of_checkpoint(cls, contents: Mapping[str, Any], classes: int) -> Self:
        """Those that a checkpoint was trained on (ours or mmdet's); else ids from 1, no names.

        Raises:
            UserError: it holds names or ids that are no list of such.
        """
        names, ids = class_names_of(contents), category_ids_of(contents)
        if names and ids and len(names) != len(ids):
            raise UserError(f"the checkpoint names {len(names)} classes, but has {len(ids)} ids")
        numbers = ids or list(range(1, (len(names) or classes) + 1))
        return cls(
            dict(enumerate(numbers)), dict(zip(numbers, names, strict=False)), bool(names or ids)
        )

    def matched(self, dataset: VideoDataset, checkpoint: Path) -> Classes:
        """The dataset's category of each class that it has: of the same name, else the same id.

        Datasets list the same classes in other orders, or some of them, so the place says nothing;
        it decides only where the checkpoint says neither names nor ids.

        Raises:
            UserError: the dataset has categories that no class stands for; both lists are named.
        """
        theirs = dataset.categories
        by_name = {name_key(name): category for category, name in theirs.items()}
        if not self.told and len(theirs) == len(self.ids):
            return Classes.of_dataset(dataset)
        if not self.told:
            ids = {}
        elif not self.names:
            ids = {label: number for label, number in self.ids.items() if number in theirs}
        elif len(by_name) == len(theirs):
            ours = {
                label: name_key(self.names.get(number, "")) for label, number in self.ids.items()
            }
            ids = {label: by_name[name] for label, name in ours.items() if name in by_name}
        else:  # categories that share a name
            same = {number for number, name in self.names.items() if theirs.get(number) == name}
            ids = {label: number for label, number in self.ids.items() if number in same}
        if lacking := theirs.keys() - set(ids.values()):
            raise UserError(
                f"{checkpoint}: its classes are not those of {dataset.annotations_path}, where it "
                f"knows nothing of {listed(f'{i} ({theirs[i]})' for i in sorted(lacking))}\n"
                f"  the checkpoint's: {self._list()}\n"
                f"  the dataset's: {listed(f'{i} ({n})' for i, n in sorted(theirs.items()))}"
            )
        if left := [number for label, number in self.ids.items() if label not in ids]:
            found = listed(self.names.get(number, str(number)) for number in left)
            log.warning(
                "%s: classes that %s lacks are left out: %s",
                checkpoint,
                dataset.annotations_path,
                found,
            )
        return Classes(ids, dict(theirs))

    def _list(self) -> str:
        if not self.told:
            return f"{len(self.ids)}, without names or ids"
        return listed(
            f"{i} ({self.names[i]})" if i in self.names else str(i) for i in self.ids.values()
        )
