"""Keep the bfloat16 cast of a head that shares its matrix with the token embedding.

The embedding needs the matrix in float32, its rows being the residual stream's first states, so the
head's cannot be rounded in place as other layers' are; autocast would cast all of it at every call,
which for a readout of a few hundred rows costs as much as the product. The cast is kept beside the
weights, outside the model's parameters: the two modules stay tied, and nothing of it is saved. It
takes half of the embedding's memory once more. Products are the same to the bit.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from workbench.compat import is_moved_for_each_use, version_of

ATTRIBUTE = "cast_of_weight"


@dataclass(frozen=True, eq=False)
class _Cast:
    """A weight's cast, and which weight it was made of, in which state."""

    rounded: Tensor
    weight: Tensor
    place: int
    version: int

    def fits(self, weight: Tensor) -> bool:
        """Return whether ``weight`` is still what was cast."""
        same = self.weight is weight and self.place == weight.data_ptr()
        return same and self.version == version_of(weight)


def can_keep_cast(module: Any, embedding: Any) -> bool:
    """Return whether ``module`` is a plain linear map whose frozen float32 matrix is the
    embedding's, and stays where it is between calls.
    """
    if type(module).forward is not nn.Linear.forward or is_moved_for_each_use(module):
        return False
    weight = module.weight
    tied = weight is embedding.weight and not weight.requires_grad
    return tied and weight.dtype == torch.float32 and weight.device.type != "meta"


def forward_with_cast(module: Any, input: Tensor) -> Tensor:
    """Return the linear map of ``input`` by the cast of the module's weight, which is made at the
    first call and wherever the weight has changed since; a weight that is trained is not kept.

    Call it under autocast.
    """
    weight = module.weight
    if weight.requires_grad:
        return nn.functional.linear(input, weight, module.bias)
    kept = vars(module).get(ATTRIBUTE)
    if kept is None or not kept.fits(weight):
        rounded = weight.detach().to(torch.bfloat16)
        kept = _Cast(rounded, weight, weight.data_ptr(), version_of(weight))
        setattr(module, ATTRIBUTE, kept)
    return nn.functional.linear(input, kept.rounded, module.bias)


def forget_cast(module: nn.Module) -> None:
    """Release what is kept for a module, if anything is."""
    vars(module).pop(ATTRIBUTE, None)
