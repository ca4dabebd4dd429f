"""Normalise states as a dictionary saw them in training.

- "layer_norm": each state less its mean, over its standard deviation (with n - 1, plus 1e-5).
- "constant_norm": each state scaled to the length sqrt(width).

Both as SAE Lens does (``_setup_activation_normalization`` of sae_lens/saes/sae.py); the
reconstruction is taken back to the state's own scale. Scaling by one number for all states is
folded into the weights when a dictionary is loaded and is no normalisation any more.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from torch import Tensor

Normalisation = Literal["none", "layer_norm", "constant_norm"]

EPSILON = 1e-5


@dataclass(frozen=True, eq=False)
class Scale:
    """How states were normalised: ``middle`` was taken from them, the rest divided by ``divisor``;
    a reconstruction is multiplied by ``size`` and added to ``middle``. All [..., 1].
    """

    middle: Tensor
    divisor: Tensor
    size: Tensor


def scale_of_states(kind: Normalisation, states: Tensor) -> Scale | None:
    """Return how ``states`` [..., width] are normalised; None for not at all."""
    if kind == "none":
        return None
    if kind == "constant_norm":
        size = states.norm(dim=-1, keepdim=True) / states.shape[-1] ** 0.5
        return Scale(states.new_zeros(()), size, size)
    middle = states.mean(dim=-1, keepdim=True)
    size = (states - middle).std(dim=-1, keepdim=True)
    return Scale(middle, size + EPSILON, size)
