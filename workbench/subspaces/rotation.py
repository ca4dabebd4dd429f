"""Hold the directions that are learned: orthonormal by construction, all of them whole, or each
within a soft boundary.

The basis is the orthogonal parametrisation of torch, so a step of any optimiser leaves it
orthonormal. Without a boundary its r columns are the subspace (distributed alignment search, Geiger
et al. 2023, arXiv 2303.02536). With one (boundless search, Wu et al. 2023, arXiv 2305.08809),
column k of ``most`` counts by

    sigmoid((b * most - k - 1/2) / temperature)

with the share b learned. While the temperature falls, the mask becomes a step, and the columns
before it are the subspace. How many there are is then found, not given; a penalty on b keeps out
those that change nothing.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrizations

from workbench.errors import WorkbenchError
from workbench.trace.subspace import Subspace


@dataclass(frozen=True)
class Boundless:
    """The settings of a learned boundary.

    Attributes:
        most: directions among which the boundary lies.
        penalty: what the share of directions costs, in units of the loss.
        hottest: temperature at the first step, in directions; it falls to ``coldest`` in equal
            ratios.
    """

    most: int = 32
    penalty: float = 0.1
    hottest: float = 8.0
    coldest: float = 0.1

    def __post_init__(self) -> None:
        if self.most < 1 or self.penalty < 0 or not 0 < self.coldest <= self.hottest:
            raise WorkbenchError(
                "A boundary needs one direction or more, a penalty of 0 or more, and temperatures "
                f"that fall; got {self}."
            )


class Rotation(nn.Module):
    """Learned orthonormal directions, the columns of ``basis`` [width, r]."""

    basis: Tensor

    def __init__(self, width: int, size: int, boundless: Boundless | None, seed: int) -> None:
        super().__init__()
        start = torch.randn((width, size), generator=torch.Generator().manual_seed(seed))
        self.basis = nn.Parameter(torch.linalg.qr(start).Q)
        # A trivialisation would fill a basis up to [width, width] at random.
        parametrizations.orthogonal(
            self, "basis", orthogonal_map="householder", use_trivialization=False
        )
        self.boundless = boundless
        self.boundary = nn.Parameter(torch.zeros(()), requires_grad=boundless is not None)

    @property
    def share(self) -> Tensor:
        """The learned share of directions before the boundary."""
        return self.boundary.sigmoid()

    def temperature(self, progress: float) -> float:
        """Return the temperature after a share ``progress`` of the steps."""
        assert self.boundless is not None
        ratio = self.boundless.coldest / self.boundless.hottest
        return float(self.boundless.hottest * ratio**progress)

    def swapped(self, states: Tensor, donors: Tensor, progress: float) -> Tensor:
        """Return ``states`` [..., width] with the donors' coordinates, each as far as it counts."""
        basis = self.basis
        change = (donors.float() - states.float()) @ basis
        if self.boundless is not None:
            place = torch.arange(basis.shape[1]) + 0.5
            reached = self.share * basis.shape[1] - place
            change = change * (reached / self.temperature(progress)).sigmoid()
        return (states.float() + change @ basis.T).to(states.dtype)

    def penalty(self) -> Tensor | float:
        """Return what the boundary costs."""
        return 0.0 if self.boundless is None else self.boundless.penalty * self.share

    def subspace(self) -> Subspace:
        """Return the span of the directions before the boundary, one at least."""
        basis = self.basis.detach()
        count = basis.shape[1]
        if self.boundless is not None:
            count = max(1, round(float(self.share.detach()) * count))
        return Subspace(basis[:, :count])
