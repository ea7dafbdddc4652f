"""Boxes as a trained model has them, for models that are measured with initial weights."""

from __future__ import annotations

import torch
from torch import nn

SIDES = (0.2, 0.6)
"""Shares of the frame's height and width that boxes take up."""
IN_FRAME = "boxes inside the frame"
"""What records say of such weights."""


@torch.no_grad()
def put_boxes_in_frame(model: nn.Module) -> bool:
    """Draw the proposal boxes inside the frame, and keep the stages from moving them.

    Initial regressors throw boxes thousands of pixels out of the frame, where RoIAlign pools zeros,
    no mask is pasted and there is little to encode: no speed that a trained model has.  The same
    boxes are drawn for all models with as many queries, mmdet's among them.

    Args:
        model: with learned proposal boxes (centre, width and height in shares of the frame), under
            the names of ours and of mmdet's Sparse R-CNN family.

    Returns:
        Whether it is such a model; others are left as they are.
    """
    proposals = getattr(getattr(model, "rpn_head", None), "init_proposal_bboxes", None)
    if not isinstance(proposals, nn.Embedding):
        return False
    generator = torch.Generator().manual_seed(0)
    low, high = SIDES
    drawn = torch.rand(2, *proposals.weight[:, :2].shape, generator=generator)
    sides = low + (high - low) * drawn[0]
    centres = sides / 2 + (1 - sides) * drawn[1]
    proposals.weight.copy_(torch.cat([centres, sides], 1))
    for head in model.roi_head.bbox_head:  # type: ignore[union-attr]
        head.fc_reg.weight.zero_()
        head.fc_reg.bias.zero_()
    return True
