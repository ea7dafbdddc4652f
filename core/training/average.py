"""The exponential moving average of a model's weights."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import nn


class WeightAverage:
    """mean <- d mean + (1 - d) weights after each step, d = min(decay, (1 + step) / (10 + step)).

    The smaller d of the first steps makes the initial weights fade (as TensorFlow's
    ``ExponentialMovingAverage`` with ``num_updates``).  What batch norm keeps is averaged alike;
    whole numbers are copied.

    Attributes:
        state: the averages under the names of the model's state dict.
    """

    def __init__(self, model: nn.Module, decay: float) -> None:
        self.decay = decay
        self._model = model
        # listed once: these tensors are the model's own, and training changes them in place
        self._live = model.state_dict()
        self.state = {name: value.clone() for name, value in self._live.items()}
        self._averaged = [name for name, value in self.state.items() if value.is_floating_point()]

    @torch.no_grad()
    def update(self, step: int) -> None:
        """Take in the weights after ``step`` steps."""
        decay = min(self.decay, (1 + step) / (10 + step))
        means = [self.state[name] for name in self._averaged]
        torch._foreach_lerp_(means, [self._live[name] for name in self._averaged], 1 - decay)
        for name in self.state.keys() - self._averaged:
            self.state[name].copy_(self._live[name])

    @contextmanager
    def in_place(self) -> Iterator[None]:
        """The model with the averages as its weights for the length of the block."""
        raw = {name: value.clone() for name, value in self._live.items()}
        self._model.load_state_dict(self.state)
        try:
            yield
        finally:
            self._model.load_state_dict(raw)
