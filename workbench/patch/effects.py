"""Compute the statistics of a patching sweep, with intervals over questions.

``shift`` is (patched - base) / (donor - base) on the readout, aggregated over items as a ratio of
means. 0: the patch did nothing; 1: it moved the readout all the way to the donor's. The per-item
mean clipped to [0, 1] of the literature is reported too. ``following`` regresses the patched
readout on the donor's and the base's own readouts, for donors from other questions. Donor slope 1
and base slope 0 mean that the state carries that item's confidence. A shift without following means
that only the general level moved, which the mean shift alone cannot tell.

``layer_gradient`` is Spearman's rho between layer and mean shift. A monotone curve does not by
itself localise anything: a linear ramp has rho 1 as well, and a patch of the last layer moves
everything.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata

from workbench.arrays import Floats
from workbench.errors import WorkbenchError
from workbench.measure import Estimate
from workbench.measure.interval import IntervalCurve
from workbench.measure.percentile import bounds
from workbench.settings.defaults import LEVEL

ALIKE = 1e-9
"""The smallest difference of readouts on 0-1 that counts as more than rounding."""


@dataclass(frozen=True)
class Sweep:
    """The readouts of one condition.

    Attributes:
        layers: [layers].
        base: [items] unpatched readout of the run patched into.
        donor: [items] readout of the run the state comes from.
        patched: [items, layers].
    """

    layers: NDArray[np.int64]
    base: Floats
    donor: Floats
    patched: Floats

    def __post_init__(self) -> None:
        items, layers = self.patched.shape
        if len(self.layers) != layers or len(self.base) != items or len(self.donor) != items:
            raise WorkbenchError(
                "A sweep needs base and donor readouts per item and patched ones per item and "
                "layer."
            )


def _resamples(items: int, resamples: int, seed: int) -> NDArray[np.int64]:
    return np.random.default_rng(seed).integers(0, items, size=(resamples, items))


def _curve(
    statistic: Callable[[NDArray[np.int64]], Floats],
    items: int,
    resamples: int,
    seed: int,
    fitted: int = 1,
) -> IntervalCurve:
    value = statistic(np.arange(items)[None])[0]
    drawn = statistic(_resamples(items, resamples, seed))
    return IntervalCurve(value, *bounds(value, drawn, LEVEL, items, fitted))


def mean_shift(
    sweep: Sweep, *, resamples: int, seed: int, span: Floats | None = None
) -> IntervalCurve:
    """Return the ratio of means per layer. ``span`` [items] replaces donor - base where a control
    has no readout of its own.
    """
    moved = sweep.patched - sweep.base[:, None]
    distance = sweep.donor - sweep.base if span is None else span

    def statistic(rows: NDArray[np.int64]) -> Floats:
        return moved[rows].mean(axis=1) / distance[rows].mean(axis=1)[:, None]

    return _curve(statistic, len(sweep.base), resamples, seed)


def clipped_mean_shift(sweep: Sweep) -> Floats:
    """Return the mean over items of the shift clipped to [0, 1], without items whose readouts
    differ by less than 0.01.
    """
    distance = sweep.donor - sweep.base
    used = np.abs(distance) >= 0.01
    if not used.any():
        return np.full(len(sweep.layers), np.nan)
    shift = (sweep.patched[used] - sweep.base[used, None]) / distance[used, None]
    return np.clip(shift, 0, 1).mean(axis=0)


def following(sweep: Sweep, *, resamples: int, seed: int) -> tuple[IntervalCurve, IntervalCurve]:
    """Return the slopes of the patched readout on the donor's and on the base's own readout, per
    layer.
    """
    items, layers = sweep.patched.shape

    def slopes(rows: NDArray[np.int64]) -> Floats:
        design = np.stack([np.ones(rows.shape), sweep.donor[rows], sweep.base[rows]], axis=-1)
        found = np.einsum("rki,ril->rkl", np.linalg.pinv(design), sweep.patched[rows])
        return found[:, 1:].reshape(len(rows), 2 * layers)

    def in_chunks(rows: NDArray[np.int64]) -> Floats:
        return np.concatenate([slopes(rows[i : i + 200]) for i in range(0, len(rows), 200)])

    # Three numbers are fitted: the level and both slopes.
    both = _curve(in_chunks, items, resamples, seed, fitted=3)
    donor, base = (
        IntervalCurve(both.value[at], both.low[at], both.high[at])
        for at in (slice(layers), slice(layers, None))
    )
    return donor, base


def half_layer(layers: NDArray[np.int64], donor_slope: Floats) -> int | None:
    """Return the first layer from whose patch on the donor slope passes 0.5; None if it
    never does.
    """
    passed = np.flatnonzero(donor_slope > 0.5)
    return int(layers[passed[0]]) if len(passed) else None


def layer_gradient(sweep: Sweep) -> Estimate:
    """Return Spearman's rho between layer index and mean shift, without an interval.

    Where layers lie on a plateau, noise decides their order: rho of a sample is too low, and that
    of a resample lower still. In simulated sweeps whose true rho is 1 the percentile interval of 16
    or 64 questions lay below it in nearly all where the curve is flat at both ends.
    """
    moved = sweep.patched - sweep.base[:, None]
    curve = moved.mean(axis=0) / (sweep.donor - sweep.base).mean()
    rho = float(spearman_rows(sweep.layers, curve[None])[0])
    return Estimate(rho, float("nan"), float("nan"), len(sweep.base))


def spearman_rows(layers: NDArray[np.int64], curves: Floats) -> Floats:
    """Return tie-corrected Spearman's rho of every row of ``curves`` [n, layers] with the layer
    index: [n].
    """
    x = rankdata(layers)
    y = rankdata(curves, axis=1)
    x, y = x - x.mean(), y - y.mean(axis=1, keepdims=True)
    with np.errstate(invalid="ignore"):
        return (y @ x) / np.sqrt((x**2).sum() * (y**2).sum(axis=1))


def permutation_p(
    layers: NDArray[np.int64], curve: Floats, *, permutations: int, seed: int
) -> float:
    """Return the share of random orders of the layers whose rho reaches the observed one, counting
    the observed order itself.

    NaN for a curve without a rho (fewer than two different values).
    """
    observed = float(spearman_rows(layers, curve[None])[0])
    if np.isnan(observed):
        return float("nan")
    rng = np.random.default_rng(seed)
    orders = rng.permuted(np.tile(curve, (permutations, 1)), axis=1)
    reached = int((spearman_rows(layers, orders) >= observed - 1e-12).sum())
    return (reached + 1) / (permutations + 1)


def ramp_distance(layers: NDArray[np.int64], curve: Floats) -> float:
    """Return the largest distance between the curve and the straight line from 0 at the first to 1
    at the last layer.
    """
    ramp = (layers - layers[0]) / (layers[-1] - layers[0])
    return float(np.abs(curve - ramp).max())


def max_readout_change(base: Floats, patched: Floats) -> float:
    """Return the largest move of any readout from ``base`` [items] to ``patched`` [items, cells].
    For runs patched with their own states it is the noise floor.
    """
    return float(np.abs(patched - base[:, None]).max())


def slope_noise_floor(sweep: Sweep, noise: float) -> float:
    """Return the largest following slope that readouts moved by no more than ``noise`` can give;
    NaN where a slope is undefined.
    """
    shares = []
    for one, other in ((sweep.donor, sweep.base), (sweep.base, sweep.donor)):
        design = np.stack([np.ones_like(other), other], axis=1)
        left = one - design @ np.linalg.lstsq(design, one, rcond=None)[0]
        spread = float(np.sqrt(np.mean(left**2)))
        shares.append(noise / spread if spread > ALIKE else np.nan)
    return float(np.max(shares))
