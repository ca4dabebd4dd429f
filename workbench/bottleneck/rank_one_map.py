"""Put what a probe reads onto the direction that numbers are read from, by a rank-one map.

After one layer, the state x at the confidence position and at the number's further tokens becomes

    x + u (strength z(x) + offset)

where z is the probe's log-odds at the confidence position, in standard deviations over training
questions, and u the direction in which the log-odds of a high number against a low one rise
(:func:`workbench.patch.metrics.high_log_odds_of`), scaled so that one unit raises them by one nat
to first order. The offset is the same for every question and undoes a ceiling; the strength makes
the number follow the probe. Layer, strength and offset are chosen on training questions, whose z is
out of fold, by the AUROC2 within domain of the text that is written.

Sign: surer, a higher number. If the text then tells right from wrong, one direction of the state
was all that was missing between the two. It does not show that the model computes anything of the
kind: the map adds a connection. The same map with another question's z shows what a push of that
size does by itself. Onto a random direction of the same norm it may do as well, or as well with the
opposite sign: any direction that moves the numbers will do, and it is the reading that was missing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from workbench.arrays import Bools, Floats
from workbench.bottleneck.unwritten import score_unwritten
from workbench.errors import WorkbenchError
from workbench.measure import auroc2_within
from workbench.trace.interventions import Branch, Patch
from workbench.trace.sites import Site

STRENGTHS = (2.0, 6.0)
"""Nats of the high numbers' log-odds for one standard deviation of the probe's."""
OFFSETS = (0.0, 1.0)
"""Shares of the mean log-odds of high numbers that are taken away from every question."""


@dataclass(frozen=True)
class Strength:
    """A candidate: after which ``layer``, nats per standard deviation, and nats for all."""

    layer: int
    strength: float
    offset: float

    def amount(self, z: Floats) -> Floats:
        """Return how far each question of ``z`` [n] is moved along the readout direction, nats."""
        return self.strength * z + self.offset


@dataclass(frozen=True, eq=False)
class Standardised:
    """The scale of a probe's log-odds on training questions, so that z has mean 0 and standard
    deviation 1 there.
    """

    mean: float
    spread: float

    def z(self, probability: NDArray[np.floating]) -> Floats:
        """Return the standardised log-odds of probabilities [n]."""
        return np.asarray((log_odds(probability) - self.mean) / self.spread)


def log_odds(probability: NDArray[np.floating]) -> Floats:
    """Return the log-odds of probabilities, which are kept off 0 and 1."""
    p = np.clip(np.asarray(probability, dtype=np.float64), 1e-6, 1 - 1e-6)
    return np.asarray(np.log(p) - np.log1p(-p))


def standardise(probability: NDArray[np.floating]) -> Standardised:
    """Return the scale of the out-of-fold probabilities [m] of training questions.

    Raises:
        WorkbenchError: where they are all the same.
    """
    found = log_odds(probability)
    if not found.std() > 0:
        raise WorkbenchError(
            "The probe reads the same from every training question, so there is nothing to put "
            "onto the readout."
        )
    return Standardised(float(found.mean()), float(found.std()))


def candidates(
    layers: Sequence[int],
    mean_log_odds: float,
    strengths: Sequence[float] = STRENGTHS,
    offsets: Sequence[float] = OFFSETS,
) -> list[Strength]:
    """Return every layer, strength and offset, the smallest changes first.

    Args:
        mean_log_odds: of high numbers against low ones over training questions, nats.
    """
    return [
        Strength(layer, strength, -share * mean_log_odds)
        for strength in strengths
        for share in offsets
        for layer in layers
    ]


def unit_of(gradient: Tensor) -> Tensor:
    """Return ``gradient`` [..., width] of a metric scaled to the step that raises it by one, to
    first order.

    Raises:
        WorkbenchError: for a gradient that is zero.
    """
    squared = gradient.float().square().sum()
    if not bool(squared > 0):
        raise WorkbenchError(
            "The numbers do not depend on the state to first order, so there is no direction to "
            "put anything onto."
        )
    return gradient.float() / squared


def mapped_branch(layer: int, places: Tensor, unit: Tensor, amount: Tensor) -> Branch:
    """Return the branch that adds ``amount`` [rows] times ``unit`` [1 + nodes, width] after
    ``layer`` at the number's tokens ``places`` [rows, 1 + nodes].
    """
    return tuple(
        Patch(Site(layer), place, amount.to(step)[:, None] * step, "add")
        for place, step in zip(places.unbind(dim=1), unit.unbind(dim=0), strict=True)
    )


def best_strength(
    written: Mapping[Strength, Floats], correct: Bools, domain: np.ndarray
) -> tuple[Strength, float]:
    """Return the candidate whose text ``written`` [n] of training questions discriminates best
    within domain, and its AUROC2; of equal ones the first. Texts without a number count as the
    usual one.
    """
    found = {
        each: float(
            np.nan_to_num(auroc2_within(score_unwritten(values), correct, domain), nan=-np.inf)
        )
        for each, values in written.items()
    }
    best = max(found, key=lambda each: float(np.nan_to_num(found[each], nan=-np.inf)))
    return best, float(found[best])
