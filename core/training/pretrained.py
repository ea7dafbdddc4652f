"""What a run begins with: public backbone weights under our names, other runs' weights by class.

ResNet: torchvision's names are ours.  PVTv2: the authors' separate query and key-value weights
become one, their linear layers 1x1 convolutions.  Swin (the authors' files or torchvision's):
besides the names, patch merging reads its four pixels in another order, so the weights behind it
are reordered.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from core.data.categories import same_classes
from core.errors import UserError
from core.training.checkpoint import (
    LoadReport,
    class_names_of,
    load_state,
    read_file,
    state_dict_of,
)

CLASS_LAYERS = tuple(f"{n}.{p}" for n in ("fc_cls", "conv_logits") for p in ("weight", "bias"))
"""Ends of the names of tensors that have a row for each class."""

_CLASSIFIER = re.compile(r"(fc|head|norm)\.")
_MADE_HERE = re.compile(r"(msg_tokens|mixer\..+|norm[0-3]\.(weight|bias))$")

_PVT_RENAMES = (
    (r"^patch_embed(\d)\.proj\.", r"layers.\1.0.projection."),
    (r"^patch_embed(\d)\.norm\.", r"layers.\1.0.norm."),
    (r"^block(\d)\.(\d+)\.", r"layers.\1.1.\2."),
    (r"^norm(\d)\.", r"layers.\1.2."),
    (r"\.attn\.proj\.", r".attn.attn.out_proj."),
    (r"\.mlp\.fc1\.", r".ffn.layers.0."),
    (r"\.mlp\.dwconv\.dwconv\.", r".ffn.layers.1."),
    (r"\.mlp\.fc2\.", r".ffn.layers.4."),
)
_TORCHVISION_SWIN_RENAMES = (
    (r"^features\.0\.0\.", r"patch_embed.proj."),
    (r"^features\.0\.2\.", r"patch_embed.norm."),
    (r"^features\.([1357])\.", r"layers.\1.blocks."),
    (r"^features\.([246])\.", r"layers.\1.downsample."),
    (r"\.mlp\.0\.", r".mlp.fc1."),
    (r"\.mlp\.3\.", r".mlp.fc2."),
)
_SWIN_RENAMES = (
    (r"^patch_embed\.proj\.", r"patch_embed.projection."),
    (r"^layers\.", r"stages."),
    (r"\.attn\.", r".attn.w_msa."),
    (r"\.mlp\.fc1\.", r".ffn.layers.0.0."),
    (r"\.mlp\.fc2\.", r".ffn.layers.1."),
)


def convert_backbone(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """A public backbone file's tensors under our names; the classifier's are left out.

    Names already ours, with or without a detector's ``backbone.`` before them, stay as they are.
    """
    if any(name.startswith("backbone.") for name in state):
        inside = {n: v for n, v in state.items() if n.startswith("backbone.")}
        return {n.removeprefix("backbone."): v for n, v in inside.items()}
    state = {n: v for n, v in state.items() if not _CLASSIFIER.match(n)}
    if "patch_embed1.proj.weight" in state:
        return _convert_pvt(state)
    if "features.0.0.weight" in state:
        state = {_torchvision_swin_name(n): v for n, v in state.items()}
    if "patch_embed.proj.weight" in state:
        return _convert_swin(state)
    return state


def load_pretrained(backbone: nn.Module, path: Path) -> LoadReport:
    """Fill ``backbone`` from its public weights file (or from a checkpoint of a whole detector).

    Messenger tokens, attention over time and Swin's four output norms are in no public file: they
    stay as they are.

    Raises:
        UserError: the file is missing, broken, unsafe, or of another backbone or variant.
    """
    path = Path(path)
    state = convert_backbone(state_dict_of(read_file(path, lazy=True), path))
    ours = backbone.state_dict()
    for name, value in state.items():
        if name.endswith("relative_position_bias_table") and name in ours:
            state[name] = resize_bias_table(value, len(ours[name]))
    report = load_state(backbone, state, path)
    strangers = [n for n in (*report.missing, *report.unexpected) if not _MADE_HERE.match(n)]
    if strangers or report.other_shape:
        raise UserError(
            f"backbone.pretrained={path} is of another backbone or variant.\n{report.summary()}"
        )
    return report


def load_weights(model: nn.Module, path: Path, classes: Sequence[str] = ()) -> LoadReport:
    """Load the weights in ``path`` (ours, or a published .pth) as far as they fit.

    Where the file and ``classes`` both say what the classes are called, each class takes over the
    rows of the one of the same name there (:func:`core.data.categories.same_classes`) and the
    others begin as they are; else the rows are taken over by their place.

    Raises:
        UserError: the file is missing, broken, unsafe, or nothing in it fits.
    """
    path = Path(path)
    contents = read_file(path, lazy=True)
    state, note = state_dict_of(contents, path), ""
    try:
        theirs = class_names_of(contents)
    except UserError as error:
        raise UserError(f"{path}: {error}") from error
    ours = model.state_dict()
    layers = [n for n in state if n in ours and n.endswith(CLASS_LAYERS)]
    other = list(classes) != theirs or any(state[n].shape != ours[n].shape for n in layers)
    if classes and theirs and other:
        same = same_classes(classes, theirs)
        state |= {name: _by_class(state[name], ours[name], same) for name in layers}
        fresh = [name for place, name in enumerate(classes) if place not in same]
        begun = f"; freshly begun: {', '.join(fresh)}" if fresh else ""
        note = f"{len(same)} of {len(classes)} classes taken over by name{begun}"
    return replace(load_state(model, state, path), note=note)


def _by_class(theirs: Tensor, ours: Tensor, same: Mapping[int, int]) -> Tensor:
    """Our rows of a class layer, those of the ``same`` classes replaced; theirs if nothing fits."""
    if theirs.shape[1:] != ours.shape[1:] or max(same.values(), default=0) >= len(theirs):
        return theirs
    rows = ours.clone()
    rows[list(same)] = theirs[list(same.values())].to(rows.dtype)
    return rows


def _rename(name: str, rules: tuple[tuple[str, str], ...]) -> str:
    for pattern, replacement in rules:
        name = re.sub(pattern, replacement, name)
    return name


def _convert_pvt(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """PVTv2's names; its stages count from 1, ours from 0."""
    converted: dict[str, Tensor] = {}
    for name, value in state.items():
        if ".attn.kv." in name:
            continue
        if ".attn.q." in name:
            value = torch.cat((value, state[name.replace(".q.", ".kv.")]))
            target = _rename(name, _PVT_RENAMES)
            target = re.sub(r"\.attn\.q\.(weight|bias)$", r".attn.attn.in_proj_\1", target)
        else:
            target = _rename(name, _PVT_RENAMES)
            if re.search(r"\.mlp\.fc\d\.weight$", name):
                value = value[:, :, None, None]
        target = re.sub(r"^layers\.(\d)", lambda m: f"layers.{int(m[1]) - 1}", target)
        converted[target] = value
    return converted


def _torchvision_swin_name(name: str) -> str:
    """torchvision numbers stages and mergings together: 1, 3, 5, 7 and between them 2, 4, 6."""
    name = _rename(name, _TORCHVISION_SWIN_RENAMES)
    return re.sub(r"^layers\.(\d)", lambda m: f"layers.{(int(m[1]) - 1) // 2}", name)


def _convert_swin(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    converted: dict[str, Tensor] = {}
    for name, value in state.items():
        if name.endswith(("attn_mask", "relative_position_index")):  # made of sizes, not learned
            continue
        if ".downsample." in name:
            value = _reorder_merged(value)
        converted[_rename(name, _SWIN_RENAMES)] = value
    return converted


def _reorder_merged(value: Tensor) -> Tensor:
    """Last dimension of patch merging's weights, from the public order of 4C inputs to ours.

    Public: four pixels, column by column (top left, bottom left, top right, bottom right), each
    with its C channels.  Ours (as ``unfold`` gives them): C channels, each with its four pixels,
    row by row.
    """
    pixels = value.unflatten(-1, (4, -1))[..., [0, 2, 1, 3], :]
    reordered: Tensor = pixels.transpose(-1, -2).flatten(-2)
    return reordered


def resize_bias_table(table: Tensor, rows: int) -> Tensor:
    """Relative position biases ((2w-1)^2, heads) for another window size, interpolated."""
    if len(table) == rows:
        return table
    old, new = round(len(table) ** 0.5), round(rows**0.5)
    image = table.T.reshape(1, -1, old, old)
    resized = F.interpolate(image, size=(new, new), mode="bicubic")
    return resized.reshape(-1, rows).T.contiguous()
