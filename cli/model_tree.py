"""A model as a tree of modules with their parameters."""

from __future__ import annotations

from itertools import groupby

from rich.text import Text
from rich.tree import Tree
from torch import nn


def parameter_count(module: nn.Module, trainable: bool = False) -> int:
    """Parameters of a module, each once; ``trainable``: only those."""
    return sum(p.numel() for p in module.parameters() if p.requires_grad or not trainable)


def model_tree(model: nn.Module, depth: int = 3) -> Tree:
    """Modules down to ``depth`` levels below the model, each with its parameters.

    Equal neighbours (a cascade's stages, a stage's blocks) share a line.
    """
    tree = Tree(_label(type(model).__name__, model))
    _grow(tree, model, depth)
    return tree


def _grow(tree: Tree, module: nn.Module, depth: int) -> None:
    if depth == 0:
        return
    children = [(n, m) for n, m in module.named_children() if parameter_count(m)]
    for _, alike in groupby(children, key=lambda named: _kind(named[1])):
        (name, child), *more = alike
        if more:
            name = f"{name}-{more[-1][0]} (each)"
        _grow(tree.add(_label(f"{name}: {type(child).__name__}", child)), child, depth - 1)
    own = sum(p.numel() for p in module.parameters(recurse=False))
    if own and children:
        names = ", ".join(name for name, _ in module.named_parameters(recurse=False))
        tree.add(Text.assemble(names, (f"  {own:,}", "bold")))


def _kind(module: nn.Module) -> tuple[type, list[tuple[str, object, bool]]]:
    """Names, shapes and trainability: what modules that share a line have in common."""
    return type(module), [(n, p.shape, p.requires_grad) for n, p in module.named_parameters()]


def _label(text: str, module: nn.Module) -> Text:
    total, trainable = parameter_count(module), parameter_count(module, trainable=True)
    label = Text.assemble(text, (f"  {total:,}", "bold"))
    if trainable == 0:
        label.append("  frozen", "dim")
    elif trainable < total:
        label.append(f"  ({trainable:,} trained)", "dim")
    return label
