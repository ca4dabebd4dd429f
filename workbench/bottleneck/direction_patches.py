"""Take a direction out of the states that a number is read from, swap it between questions, or push
states along it.

Every change acts after one layer at the confidence position and at the number's further tokens, as
one branch. With the unit direction w, a state x there becomes

- *removed*: x + w (m - w x), where m is the mean of w x over training questions at that token: what
  the direction says about this question is gone, its usual level stays.
- *swapped*: x + w (w y - w x), where y is another question's state; without a direction the whole
  state is the other's.
- *pushed*: x + length d, where d is the displacement that goes with the direction, in standard
  deviations: the states' covariance with w x, divided by the standard deviation of w x.

The direction that reads best (w) and the displacement that states show when the reading changes (d)
differ wherever other directions vary with it. w is taken out, d is pushed, so that pushed states
stay among those the model has; a random displacement of equal length is drawn with the states'
covariance too.

A direction that can be taken out without loss may still carry what the text says, in parallel with
others: how much a new probe reads from the states after the removal says whether there were others.
A probe's direction is a poor one to take out, since whatever varies with its reading stays. Without
the difference of the two kinds' mean states (:func:`difference_of_means`) no linear reading of the
training questions' states tells them apart at all (Haghighatkhah et al. 2022; Belrose et al. 2023).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from workbench.arrays import Bools, Floats
from workbench.errors import WorkbenchError
from workbench.trace.interventions import Branch, Patch
from workbench.trace.sites import Site
from workbench.trace.subspace import Subspace


def removed_branch(layer: int, places: Tensor, direction: Subspace, mean: Tensor) -> Branch:
    """Return the branch that sets the projection onto ``direction`` to the ``mean`` states'.

    Args:
        places: [rows, 1 + nodes] the number's tokens.
        mean: [1 + nodes, width] mean states of training questions there.
    """
    return tuple(
        Patch(Site(layer), place, usual.expand(len(place), -1), "without", direction)
        for place, usual in zip(places.unbind(dim=1), mean.unbind(dim=0), strict=True)
    )


def swapped_branch(layer: int, places: Tensor, direction: Subspace | None, other: Tensor) -> Branch:
    """Return the branch that writes the ``other`` questions' states [rows, 1 + nodes, width], or
    their projections onto ``direction`` alone.
    """
    pairs = zip(places.unbind(dim=1), other.unbind(dim=1), strict=True)
    if direction is None:
        return tuple(Patch(Site(layer), place, value) for place, value in pairs)
    return tuple(Patch(Site(layer), place, value, "within", direction) for place, value in pairs)


def pushed_branch(layer: int, places: Tensor, displacement: Tensor, length: float) -> Branch:
    """Return the branch that adds ``length`` times ``displacement`` [width] at every token."""
    step = (length * displacement).expand(len(places), -1)
    return tuple(Patch(Site(layer), place, step, "add") for place in places.unbind(dim=1))


def difference_of_means(states: NDArray[np.floating], correct: Bools, domain: np.ndarray) -> Floats:
    """Return the mean state of right answers less that of wrong ones, within domain: the covariance
    of ``states`` [questions, width] and grades after each ``domain``'s means are taken off both,
    divided by that of the grades, [width].

    Raises:
        WorkbenchError: where no domain has both right and wrong answers.
    """
    x, y = states.astype(np.float64), correct.astype(np.float64)
    for name in np.unique(domain):
        mine = domain == name
        x[mine] -= x[mine].mean(axis=0)
        y[mine] -= y[mine].mean()
    if not y.any():
        raise WorkbenchError(
            "Right and wrong answers' states differ only where a domain has both: ask more "
            "questions of each."
        )
    return np.asarray(x.T @ y / (y @ y))


def displacement_of(states: NDArray[np.floating], direction: Floats) -> Floats:
    """Return how ``states`` [questions, width] move when their reading along ``direction`` [width]
    rises by one standard deviation: [width].

    Raises:
        WorkbenchError: for a direction along which they do not vary.
    """
    centred = states.astype(np.float64) - states.mean(axis=0, dtype=np.float64)
    reading = centred @ direction
    spread = reading.std()
    if not spread > 0:
        raise WorkbenchError("The states do not vary along the direction they are pushed along.")
    return np.asarray(centred.T @ reading / (len(states) * spread))


def random_displacement(
    states: NDArray[np.floating], length: float, rng: np.random.Generator
) -> Floats:
    """Draw a displacement [width] with the covariance of ``states`` [questions, width], and scale
    it to ``length``.
    """
    centred = states.astype(np.float64) - states.mean(axis=0, dtype=np.float64)
    found = rng.standard_normal(len(states)) @ centred
    return np.asarray(length * found / np.linalg.norm(found))


def without_direction(states: NDArray[np.floating], direction: Floats) -> NDArray[np.float32]:
    """Return ``states`` [..., width] with the projection onto ``direction`` [width] taken out, in
    which a new probe may look for what is left.
    """
    given = torch.as_tensor(np.asarray(states, dtype=np.float32))
    span = Subspace(torch.as_tensor(direction))
    return (given - span.project(given)).numpy()


def subspaces_of(directions: Sequence[Floats]) -> list[Subspace]:
    """Return each direction [width] as a subspace."""
    return [Subspace(torch.as_tensor(each)) for each in directions]
