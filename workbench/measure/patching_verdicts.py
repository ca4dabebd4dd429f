"""Judge from a patching sweep whether a state causes what is said, and at which layers.

The rules stand in :data:`workbench.measure.verdicts.CLAIMS`. Two things are asked of donors from
other questions: does the readout follow the donor's own (the state carries a number), and does it
then tell whether the *donor's* answer was right (the number it carries is knowledge)? An adapter
that was never trained passes the first in every late layer, and fails the second.

``spread`` widens the second test by what trainings on shuffled targets reach by chance. The
verdicts do not show by which path the state came about.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from workbench.arrays import Bools
from workbench.measure.interval import Estimate, IntervalCurve
from workbench.measure.simultaneous import DonorSweep, clear_of, slope_band, slope_test
from workbench.measure.verdicts import (
    ALPHA,
    CAUSE,
    HALF,
    SMALL,
    WHERE,
    Check,
    Verdict,
    decide,
)
from workbench.measure.within_test import within_test
from workbench.settings.defaults import LEVEL

PERMUTATIONS = 999


@dataclass(frozen=True, eq=False)
class PatchingEvidence:
    """A sweep with donors from other questions, beside its control.

    Attributes:
        sweep: the tuned model's states of other questions.
        control: random vectors of the same length, at the same layers.
        donor_correct: [items] whether each donor's answer is right.
        donor_domain: [items] the donor's domain.
        spread: between trainings on shuffled targets, as in
            :func:`workbench.measure.verdicts.teaching_verdict`.
        last: the model's last layer, where the state is the readout.
    """

    sweep: DonorSweep
    control: DonorSweep
    donor_correct: Bools
    donor_domain: np.ndarray
    spread: float
    last: int


def cause_verdict(found: PatchingEvidence, *, resamples: int, seed: int) -> Verdict:
    """Judge whether the state causes it."""
    layers = found.sweep.layers[found.sweep.layers != found.last]
    sweep, control = found.sweep.at(layers), found.control.at(layers)
    items = len(sweep.base)
    follows = slope_test(sweep, permutations=PERMUTATIONS, seed=seed)
    over = slope_band(sweep, control, resamples=resamples, seed=seed, level=LEVEL)
    best = int(np.argmin(follows.p - 1e-9 * follows.t))
    # Chosen without the grades, so looking there needs no correction.
    clearest = int(np.argmax(np.nan_to_num(over.low, nan=-np.inf)))
    told = within_test(
        clear_of(sweep.base, sweep.patched[:, clearest]),
        found.donor_correct,
        found.donor_domain,
        extra=found.spread,
    )
    width = 1.96 * told.spread
    p = float(follows.p[best])
    checks = (
        Check(
            f"donor slope at layer {layers[best]}",
            slope_band(sweep, resamples=resamples, seed=seed, level=LEVEL).at(best, items),
            p,
            p <= ALPHA,
            False,
        ),
        Check(
            f"minus that of a random vector, at layer {layers[clearest]}",
            over.at(clearest, items),
            float("nan"),
            bool(over.low[clearest] > 0),
            bool((over.high < HALF).all()),
        ),
        Check(
            f"donor's answer told by the readout, at layer {layers[clearest]}",
            Estimate(told.value, told.value - width, told.value + width, items),
            told.p,
            told.p <= ALPHA and told.z > 0,
            bool(told.value + width < HALF + SMALL),
        ),
    )
    return decide(CAUSE, checks)


def passing_layers(layers: np.ndarray, band: IntervalCurve, last: int) -> tuple[int, int] | None:
    """Return the layer up to which the band lies below 1/2 and the layer from which on it lies
    above; None where either is missing or only the ``last`` layer is above.
    """
    below = np.logical_and.accumulate(band.high < HALF)
    above = np.logical_and.accumulate((band.low > HALF)[::-1])[::-1]
    if not below.any() or not above.any() or int(layers[above][0]) >= last:
        return None
    return int(layers[below][-1]), int(layers[above][0])


def where_verdict(found: PatchingEvidence, cause: Verdict, *, resamples: int, seed: int) -> Verdict:
    """Judge where the readout passes to the state: between which layers."""
    sweep = found.sweep
    band = slope_band(sweep, resamples=resamples, seed=seed, level=LEVEL)
    place = passing_layers(sweep.layers, band, found.last)
    items = len(sweep.base)
    nothing = Estimate(float("nan"), float("nan"), float("nan"), items)
    words = "" if place is None else f"between layers {place[0]} and {place[1]}"
    at = [] if place is None else [int(np.flatnonzero(sweep.layers == one)[0]) for one in place]
    slopes = [
        Check(f"donor slope at layer {layer}", band.at(index, items), float("nan"), True, False)
        for layer, index in zip(place or (), at, strict=True)
    ] or [Check("donor slope on either side of 1/2", nothing, float("nan"), False, False)]
    cause_check = Check(
        "the state is a cause", nothing, float("nan"), cause.holds, cause.outcome == "does not hold"
    )
    return decide(WHERE, (cause_check, *slopes), words)
