"""Estimate the effects of a map with named axes, with intervals and p-values, as a tidy table.

Each cell gets the shift as a ratio of means with a bootstrap interval over items, and the per-item
mean clipped to [0, 1]. It also gets the p-value of a sign-flipping test that the patch moves the
readout at all, corrected for the number of cells in two ways: ``q`` controls the false discovery
rate (Benjamini-Hochberg), ``p_any`` the chance of any false cell (max-T: the largest statistic of
the whole map under the same flips, so correlation between cells costs nothing).

Positive: towards the donor. A small p-value says that a cell matters, not how much, and a large
shift of the last layers is a matter of course. The test takes each item's move as symmetric around
zero when the patch does nothing.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy.stats import false_discovery_control

from workbench.arrays import Floats
from workbench.errors import WorkbenchError
from workbench.patch.effects import Sweep, clipped_mean_shift, max_readout_change, mean_shift

CHUNK = 256


@dataclass(frozen=True)
class Axis:
    """A name ("layer", "component", "head", "position") and one label per cell along it."""

    name: str
    labels: tuple[int | str, ...]


@dataclass(frozen=True)
class EffectMap:
    """The readouts of a map.

    Attributes:
        axes: in the order of the axes of ``patched`` after the items.
        base: [items] unpatched readout of the run patched into.
        donor: [items] readout of the run the states come from.
        patched: [items, *axes].
    """

    axes: tuple[Axis, ...]
    base: Floats
    donor: Floats
    patched: Floats

    def __post_init__(self) -> None:
        shape = (len(self.base), *(len(axis.labels) for axis in self.axes))
        if self.patched.shape != shape or len(self.donor) != len(self.base):
            raise WorkbenchError(
                f"A map needs readouts [items, *axes] = {shape}, got {self.patched.shape}."
            )
        if len({axis.name for axis in self.axes}) != len(self.axes):
            raise WorkbenchError("Every axis of a map needs a name of its own.")

    def flat(self) -> Sweep:
        """Return the cells as one axis, in row-major order."""
        cells = self.patched.reshape(len(self.base), -1)
        return Sweep(np.arange(cells.shape[1]), self.base, self.donor, cells)


def noise_floor(effects: EffectMap) -> float:
    """Return the largest move of a map whose donors are the run's own states. That is what the
    arithmetic alone does to the readout.
    """
    return max_readout_change(effects.base, effects.flat().patched)


def effect_table(
    effects: EffectMap, *, resamples: int, permutations: int, seed: int, noise: float = 0.0
) -> pd.DataFrame:
    """Return one line per cell: the axes' labels, ``shift``, ``low``, ``high``, ``clipped``,
    ``moved``, ``p``, ``q``, ``p_any``, ``items``.

    Args:
        resamples: bootstrap samples of the items, for ``low`` and ``high`` (95 %).
        permutations: sign flips for the p-values; all 2 ** items of them where that is fewer.
        noise: moves up to this size count as none in the test (see :func:`noise_floor`).
    """
    flat = effects.flat()
    curve = mean_shift(flat, resamples=resamples, seed=seed)
    moved = flat.patched - flat.base[:, None]
    p, p_any = sign_flip_p(
        np.where(np.abs(moved) > noise, moved, 0.0), permutations=permutations, seed=seed
    )
    labels = pd.MultiIndex.from_product(
        [a.labels for a in effects.axes], names=[a.name for a in effects.axes]
    )
    return pd.DataFrame(
        {
            "shift": curve.value,
            "low": curve.low,
            "high": curve.high,
            "clipped": clipped_mean_shift(flat),
            "moved": moved.mean(axis=0),
            "p": p,
            "q": false_discovery_control(p),
            "p_any": p_any,
            "items": len(flat.base),
        },
        index=labels,
    ).reset_index()


def sign_flip_p(moved: Floats, *, permutations: int, seed: int) -> tuple[Floats, Floats]:
    """Return the two-sided p of each column's mean being zero, alone and corrected by the largest
    statistic of all columns.

    Args:
        moved: [items, cells].

    Returns:
        [cells] uncorrected, [cells] max-T; cells in which nothing moved have 1.

    Raises:
        WorkbenchError: for fewer than two items.
    """
    items = len(moved)
    if items < 2:
        raise WorkbenchError("A test over items needs at least two items.")
    observed = _t(moved.sum(axis=0)[None], moved)[0] - 1e-9
    exact = 2**items <= permutations
    signs = _all_signs(items) if exact else _drawn_signs(items, permutations, seed)
    reached, reached_any = np.zeros(moved.shape[1]), np.zeros(moved.shape[1])
    for start in range(0, len(signs), CHUNK):
        drawn = _t(signs[start : start + CHUNK] @ moved, moved)
        reached += (drawn >= observed).sum(axis=0)
        reached_any += (drawn.max(axis=1)[:, None] >= observed).sum(axis=0)
    # The observed signs are one of all; of drawn ones they are one more.
    own, total = (0, len(signs)) if exact else (1, len(signs) + 1)
    still = ~np.any(moved != 0, axis=0)
    p, p_any = ((count + own) / total for count in (reached, reached_any))
    return np.where(still, 1.0, p), np.where(still, 1.0, p_any)


def _t(sums: Floats, moved: Floats) -> Floats:
    """Return |t| of flipped columns from their sums [flips, cells]. A flip leaves the sum of
    squares as it is.
    """
    items = len(moved)
    squares = (moved**2).sum(axis=0)
    spread = np.maximum(squares - sums**2 / items, np.finfo(np.float64).eps * squares)
    with np.errstate(invalid="ignore", divide="ignore"):
        t: Floats = np.abs(sums) / np.sqrt(spread * items / (items - 1))
    return np.where(np.isnan(t), 0.0, t)


def _all_signs(items: int) -> Floats:
    bits = np.arange(2**items)[:, None] >> np.arange(items) & 1
    return np.asarray(1.0 - 2.0 * bits, dtype=np.float64)


def _drawn_signs(items: int, permutations: int, seed: int) -> Floats:
    return np.random.default_rng(seed).choice([-1.0, 1.0], size=(permutations, items))
