"""Say how much of a displacement of the residual stream survives the final norm, and how much of
what survives it the number tokens see.

A norm takes the length of a state away, and a layer norm its mean too: N(x) = gain (x - c mean(x))
/ s(x) + bias. To first order a displacement v of a state x arrives as

    gain / s (v_c - x_c (x_c . v_c) / (width s^2)),   v_c = v - c mean(v),  x_c alike,

so that what points along the state itself is lost. The *norm's share* is that of the squared length
of v that is left before the gain, a projection, so between 0 and 1. The *head's share* is, of the
squared length that arrives after the gain, what lies in the span of the number tokens' rows of the
head less their mean: what is outside of it changes no difference between their logits, though it
may change their sum against other tokens. Both are means over the states that stand at the place.

For a layer below the last these are the shares of a logit lens, as if the layers above were not
there. A first derivative does not show what a long displacement does. A share says how much is
left, not that a model would use it; so it stands beside random displacements
(:mod:`workbench.bottleneck.directions`).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from workbench.arrays import Floats
from workbench.models import LanguageModel
from workbench.patch.frozen_norm import frozen


@dataclass(frozen=True, eq=False)
class NormDerivative:
    """The derivative of a final norm at some states.

    Attributes:
        gain: [width].
        centred: whether the mean is taken away.
        radial: [states, width] unit vectors along the states.
        removed: [states] share of what points along its state that is lost: 1, but for the norm's
            epsilon.
        scale: [states] what the norm divides by.
    """

    gain: Floats
    centred: bool
    radial: Floats
    removed: Floats
    scale: Floats

    def apply(self, vectors: Floats) -> Floats:
        """Return the ``vectors`` [m, width] as they arrive at every state, [m, states, width]."""
        left = self._centre(vectors)[:, None] - self._along(vectors)[..., None] * self.radial
        arrived: Floats = left * self.gain / self.scale[:, None]
        return arrived

    def norm_shares(self, vectors: Floats) -> Floats:
        """Return the norm's share of each of ``vectors`` [m, width], [m]."""
        left = self._squares(self._centre(vectors), self.radial, self._along(vectors))
        shares: Floats = left.mean(axis=1) / np.square(vectors).sum(axis=1)
        return shares

    def head_shares(self, vectors: Floats, basis: Floats) -> Floats:
        """Return the head's share of each of ``vectors`` [m, width], [m], for an orthonormal
        ``basis`` [rank, width] of the span of the head's rows.
        """
        given, radial = self._centre(vectors) * self.gain, self.radial * self.gain
        along = self._along(vectors)
        arrived = self._squares(given, radial, along)
        inside = self._squares(given @ basis.T, radial @ basis.T, along)
        shares: Floats = (inside / arrived).mean(axis=1)
        return shares

    def _along(self, vectors: Floats) -> Floats:
        """Return what each state takes away of each vector, [m, states], along its unit vector."""
        along: Floats = (self._centre(vectors) @ self.radial.T) * self.removed
        return along

    def _squares(self, given: Floats, radial: Floats, along: Floats) -> Floats:
        """Return the squared lengths [m, states] of ``given`` [m, k] less ``along`` [m, states]
        times ``radial`` [states, k], without a tensor [m, states, k].
        """
        lengths = np.square(given).sum(axis=1, keepdims=True)
        found: Floats = (
            lengths
            - 2 * along * (given @ radial.T)
            + np.square(along) * np.square(radial).sum(axis=1)
        )
        return found

    def _centre(self, vectors: Floats) -> Floats:
        wide = np.asarray(vectors, dtype=np.float64)
        return wide - wide.mean(axis=-1, keepdims=True) if self.centred else wide


def norm_derivative(lm: LanguageModel, states: Tensor) -> NormDerivative:
    """Return the derivative of the model's final norm at ``states`` [states, width].

    Raises:
        WorkbenchError: for a model without one final norm, and one of another form.
    """
    norm = lm.final_norm()
    given = states.to(lm.device, lm.dtype)
    seen: Floats = given.double().cpu().numpy()
    width = seen.shape[1]
    if isinstance(norm, torch.nn.Identity):
        ones = np.ones(len(seen))
        return NormDerivative(np.ones(width), False, np.zeros_like(seen), 0 * ones, ones)
    found = frozen(norm, given, 50 * float(torch.finfo(lm.dtype).eps))
    if found.centred:
        seen = seen - seen.mean(axis=1, keepdims=True)
    lengths, scale = np.linalg.norm(seen, axis=1), found.scale.numpy()
    return NormDerivative(
        found.gain.numpy(),
        found.centred,
        seen / lengths[:, None],
        lengths**2 / (width * scale**2),
        scale,
    )
