"""What can mix the frames of a clip in a backbone instead of messenger tokens.

Each is a rival of the messengers' shift, as its inventors use it, and none needs tokens: features
x_t (frame t of T) become

- ``channel_shift`` (TSM; Lin et al., ICCV 2019, section 3.2): at the entry of every block's first
  branch an eighth of the channels is that of frame t - 1, another eighth that of t + 1, zero
  beyond the clip; the residual path keeps x_t whole.  No parameters, no multiply-adds.
- ``mean``, the control that knows nothing of time: after each stage (x_t + mean over s of x_s) / 2.
  No parameters.
- ``attention``: after the last stage x_t + A(LN(x))_t, A being multi-head attention among the T
  features of one place (the temporal half of divided space-time attention; TimeSformer, Bertasius
  et al., ICML 2021, section 3).  As there, its output projection starts at zero.  It has no
  embedding of time, since clips of any length go through.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from core.model.attention import MultiheadAttention

SHIFTED_SHARE = 8
_HEADS = 8
LAST_STAGE = 4


def shift_channels(x: Tensor, clip_length: int, dim: int) -> Tensor:
    """Move an eighth of the channels one frame on and another eighth one frame back.

    Args:
        x: (B * T, ...), frames of a clip adjacent, channels in ``dim``.
        clip_length: T.
    """
    fold = x.shape[dim] // SHIFTED_SHARE
    clips = x.movedim(dim, -1).unflatten(0, (-1, clip_length))
    on, back, rest = clips.split((fold, fold, clips.shape[-1] - 2 * fold), dim=-1)
    nothing = torch.zeros_like(on[:, :1])
    on = torch.cat((nothing, on[:, :-1]), dim=1)
    back = torch.cat((back[:, 1:], nothing), dim=1)
    return torch.cat((on, back, rest), dim=-1).flatten(0, 1).movedim(-1, dim)


class FrameMixer(nn.Module):
    """Mixes the frames of clips in the backbone that it belongs to; ``messengers``: not at all.

    Without the attention it has no parameters, so that weights of a plain backbone fill it.
    """

    def __init__(self, kind: str, channels: int) -> None:
        """Of ``backbone.temporal=kind``, for a last stage of so many ``channels``."""
        super().__init__()
        self.kind = kind
        self.clip_length = 1
        if kind == "attention":
            self.norm = nn.LayerNorm(channels)
            self.attn = MultiheadAttention(channels, _HEADS)
            nn.init.zeros_(self.attn.out_proj.weight)

    def enter(self, *branches: nn.Module) -> None:
        """Have the channels shifted that enter the ``branches``, the first of each block.

        By hooks, since the blocks (one of them torchvision's) see images and know of no clips.
        """
        if self.kind == "channel_shift":
            for branch in branches:
                branch.register_forward_pre_hook(self._shift_input)

    def _shift_input(self, branch: nn.Module, inputs: tuple[Any, ...]) -> tuple[Any, ...]:
        dim = 1 if isinstance(branch, nn.Conv2d) else -1
        return shift_channels(inputs[0], self.clip_length, dim), *inputs[1:]

    def forward(self, features: Tensor, stage: int) -> Tensor:
        """Mix what ``stage`` (1 to 4) gives: (B * T, C, H, W), frames of a clip adjacent."""
        if self.kind == "mean":
            clips = features.unflatten(0, (-1, self.clip_length))
            return ((clips + clips.mean(dim=1, keepdim=True)) / 2).flatten(0, 1)
        if self.kind == "attention" and stage == LAST_STAGE:
            clips = features.unflatten(0, (-1, self.clip_length))
            places = clips.permute(0, 3, 4, 1, 2)  # (B, H, W, T, C)
            mixed = self.attn(self.norm(places).flatten(0, 2)).view_as(places)
            return (places + mixed).permute(0, 3, 4, 1, 2).flatten(0, 1)
        return features
