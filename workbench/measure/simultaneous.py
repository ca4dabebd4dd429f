"""Judge the slopes of patched readouts at many layers at once.

At every layer the patched readout of item i is regressed on the donor's own readout and on the
base's own: ``patched = a + slope donor + b base``. Looking at many layers finds a large slope by
chance at one of them, so two corrections are made for all layers together.

- :func:`slope_test` permutes the donors among the items. Donor and patched readouts are cleared of
  the base's first (Freedman and Lane 1983), so the pairing alone is broken. The largest t over the
  layers is compared with the largest t of each permutation: the p-value holds for "at some layer".
- :func:`slope_band` resamples the items and gives a band that covers the slopes of all layers at
  once: slope +- q times its standard error, q the quantile of the largest studentised deviation.

Sign: a positive slope means that the readout follows the donor. A slope of 1 after the last layer
is no finding, because the state there is the readout.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from workbench.arrays import Floats
from workbench.errors import WorkbenchError
from workbench.measure.interval import IntervalCurve

FEWEST_ITEMS = 8


@dataclass(frozen=True, eq=False)
class DonorSweep:
    """The readouts of a sweep with donors from other questions.

    Attributes:
        layers: [layers] ascending.
        base: [items] unpatched readout of the run patched into.
        donor: [items] readout of the run each state comes from.
        patched: [items, layers].

    Raises:
        WorkbenchError: for parts of different lengths, and too few items.
    """

    layers: np.ndarray
    base: Floats
    donor: Floats
    patched: Floats

    def __post_init__(self) -> None:
        items, layers = self.patched.shape
        if len(self.layers) != layers or not len(self.base) == len(self.donor) == items:
            raise WorkbenchError("A sweep needs base, donor and patched readouts of every item.")
        if items < FEWEST_ITEMS:
            raise WorkbenchError(
                f"Slopes of {items} items cannot be tested; patch at least {FEWEST_ITEMS}."
            )

    def at(self, layers: np.ndarray) -> DonorSweep:
        """Return the part of the sweep at ``layers``."""
        kept = np.isin(self.layers, layers)
        return DonorSweep(self.layers[kept], self.base, self.donor, self.patched[:, kept])


@dataclass(frozen=True)
class SlopeTest:
    """The largest t over the layers beside its permutations.

    Attributes:
        t: [layers] slope over its standard error.
        p: [layers] one-sided, corrected for all layers; the smallest is that of "at some layer".
    """

    t: Floats
    p: Floats


def clear_of(base: Floats, values: Floats) -> Floats:
    """Return the residuals of ``values`` [items] or [items, n] after regressing them on ``base``
    [items].
    """
    design = np.stack([np.ones_like(base), base], axis=1)
    return values - design @ np.linalg.lstsq(design, values, rcond=None)[0]


def slope_test(sweep: DonorSweep, *, permutations: int, seed: int) -> SlopeTest:
    """Test whether the patched readout follows the donor's at any layer."""
    donor, patched = clear_of(sweep.base, sweep.donor), clear_of(sweep.base, sweep.patched)
    rng = np.random.default_rng(seed)
    orders = rng.permuted(np.tile(np.arange(len(donor)), (permutations, 1)), axis=1)
    observed = _t(donor[None], patched)[0]
    largest = _t(donor[orders], patched).max(axis=1)
    reached = (largest[:, None] >= observed - 1e-12).sum(axis=0)
    return SlopeTest(observed, (reached + 1) / (permutations + 1))


def _t(donors: Floats, patched: Floats) -> Floats:
    """Return t [n, layers] of regressing ``patched`` [items, layers] on ``donors`` [n, items], both
    with mean 0; 0 where either does not vary.
    """
    scale = np.sqrt((donors**2).sum(axis=1))[:, None] * np.sqrt((patched**2).sum(axis=0))
    r = np.divide(donors @ patched, scale, out=np.zeros(scale.shape), where=scale > 1e-12)
    r = np.clip(r, -1 + 1e-12, 1 - 1e-12)
    return r * np.sqrt((len(patched) - 3) / (1 - r**2))


def slope_band(
    sweep: DonorSweep,
    control: DonorSweep | None = None,
    *,
    resamples: int,
    seed: int,
    level: float,
) -> IntervalCurve:
    """Return the donor slope [layers] with a band for all layers at once; minus the slope of
    ``control``, resampled with the same items, where it is given.
    """
    items = len(sweep.base)
    rows = np.random.default_rng(seed).integers(0, items, size=(resamples, items))

    def slopes(chosen: np.ndarray) -> Floats:
        found = _slopes(sweep, chosen)
        return found if control is None else found - _slopes(control, chosen)

    value = slopes(np.arange(items)[None])[0]
    drawn = slopes(rows)
    error = np.nanstd(drawn, axis=0)
    gaps = np.divide(np.abs(drawn - value), error, out=np.zeros(drawn.shape), where=error > 1e-12)
    # A resample may have one donor only, and then no slope.
    widest = float(np.nanquantile(gaps.max(axis=1), level))
    return IntervalCurve(value, value - widest * error, value + widest * error)


def _slopes(sweep: DonorSweep, rows: np.ndarray) -> Floats:
    """Return the slope on the donor [n, layers] in each of the resamples ``rows`` [n, items]."""
    out = []
    for part in np.array_split(rows, max(1, len(rows) // 200)):
        donor, base = sweep.donor[part], sweep.base[part]
        donor = donor - donor.mean(axis=1, keepdims=True)
        base = base - base.mean(axis=1, keepdims=True)
        spread = (base**2).sum(axis=1, keepdims=True)
        share = np.divide(
            (donor * base).sum(axis=1, keepdims=True),
            spread,
            out=np.zeros(spread.shape),
            where=spread > 1e-18,
        )
        own = donor - share * base
        size = (own**2).sum(axis=1)
        moved = np.einsum("ri,ril->rl", own, sweep.patched[part])
        out.append(
            np.divide(
                moved,
                size[:, None],
                out=np.full(moved.shape, np.nan),
                where=size[:, None] > 1e-18,
            )
        )
    return np.concatenate(out)
