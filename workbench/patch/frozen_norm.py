"""Freeze the scale of a norm, which makes it the affine map it is at one observed input.

RMS norms and layer norms are N(x) = gain * (x - c mean(x)) / s(x) + bias, with c 1 for layer norms,
0 for RMS norms, and a scale s that depends on x. With s held at its observed value N is affine and
can be split over a sum x = x1 + x2 + ... Freezing hides that a piece also changes the scale. Gain,
bias and c are read off the module by probing, so a family's own class (1 + weight, no bias, ...)
needs no row; a norm of another form is refused.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from workbench.errors import WorkbenchError

PROBE = 1e3


@dataclass(frozen=True, eq=False)
class FrozenNorm:
    """A norm with frozen scale: ``gain`` and ``bias`` [width], ``scale`` [rows], float64 on the
    CPU.
    """

    gain: Tensor
    bias: Tensor
    scale: Tensor
    centred: bool

    def back(self, direction: Tensor) -> Tensor:
        """Return the direction [rows, width] in front of the norm whose product with x is that of
        ``direction`` with N(x) - bias.
        """
        pulled = direction * self.gain / self.scale[:, None]
        return pulled - pulled.mean(dim=-1, keepdim=True) if self.centred else pulled


def frozen(norm: Callable[[Tensor], Tensor], inputs: Tensor, tolerance: float) -> FrozenNorm:
    """Return the norm frozen at ``inputs`` [rows, width].

    Args:
        tolerance: largest allowed error of the frozen map, relative to the norm's output.

    Raises:
        WorkbenchError: for a module that is not of the form above.
    """
    width = inputs.shape[-1]
    signs = torch.ones(width, dtype=torch.float64)
    signs[1::2] = -1
    signs -= signs.mean()
    with torch.no_grad():
        probes = torch.stack(
            [torch.zeros(width, dtype=torch.float64), PROBE * signs, torch.full_like(signs, PROBE)]
        )
        answers = norm(probes.to(inputs)).double().cpu()
        seen = norm(inputs).double().cpu()
    bias = answers[0]
    gain = (answers[1] - bias) * signs.square().mean().sqrt() / signs
    centred = bool((answers[2] - bias).abs().max() < 0.5 * gain.abs().max())
    states = inputs.double().cpu()
    plain = gain * (states - states.mean(dim=-1, keepdim=True) if centred else states)
    scale = plain.square().sum(dim=-1) / (plain * (seen - bias)).sum(dim=-1)
    error = (plain / scale[:, None] + bias - seen).abs().max() / seen.abs().max()
    if not bool(error <= tolerance):
        raise WorkbenchError(
            f"{type(norm).__name__} is not a gain times its input over a scale: the frozen map is "
            f"off by {float(error):.1e} of "
            "its output, so nothing can be split through it."
        )
    return FrozenNorm(gain, bias, scale, centred)
