"""Compute the curves of the patching stage from its table: shifts of every condition, and slopes of
following.

Signs and intervals are those of :mod:`workbench.patch.effects`. A donor without a distance to the
base is measured in units of the own donor's distance.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from workbench.measure import Bootstrap, Estimate
from workbench.measure.interval import IntervalCurve
from workbench.patch.effects import (
    Sweep,
    following,
    half_layer,
    layer_gradient,
    max_readout_change,
    mean_shift,
)


def sweeps(table: pd.DataFrame) -> dict[str, Sweep]:
    """Return the sweep table as one :class:`Sweep` per condition of patching."""
    out = {}
    for name, part in table.groupby("condition", sort=False):
        wide = part.pivot(index="item", columns="layer", values="patched")
        first = part.drop_duplicates("item").set_index("item").loc[wide.index]
        out[str(name)] = Sweep(
            layers=wide.columns.to_numpy(dtype=np.int64),
            base=first["base"].to_numpy(),
            donor=first["donor"].to_numpy(),
            patched=wide.to_numpy(),
        )
    return out


@dataclass(frozen=True)
class PatchingResult:
    """The curves of the patching stage: mean shift per condition, following slopes, layer gradient.

    ``noise_floor`` is the largest move of a readout under the model's own states.
    """

    sweeps: dict[str, Sweep]
    shift: dict[str, IntervalCurve]
    donor_slope: IntervalCurve
    base_slope: IntervalCurve
    layer_gradient: Estimate
    half_layer: int | None
    noise_floor: float

    def table(self) -> pd.DataFrame:
        """Return every curve, tidy: one row per curve and layer."""
        layers = self.sweeps["other_tuned"].layers
        curves = {
            **{f"shift of {k}": (self.sweeps[k].layers, curve) for k, curve in self.shift.items()},
            "donor slope": (layers, self.donor_slope),
            "base slope": (layers, self.base_slope),
        }
        tables = [
            pd.DataFrame(
                {"curve": name, "layer": at, "value": c.value, "low": c.low, "high": c.high}
            )
            for name, (at, c) in curves.items()
        ]
        return pd.concat(tables, ignore_index=True)

    def of_questions(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return the shift of each question [items, layers] and its noise floor [items]; NaN where
        donor and base state the same confidence to within one point.
        """
        own = self.sweeps["own_tuned"]
        distance = own.donor - own.base
        distance = np.where(np.abs(distance) >= 0.01, distance, np.nan)
        shift = (own.patched - own.base[:, None]) / distance[:, None]
        return shift, self.noise_floor / np.abs(distance)


def patching_result(table: pd.DataFrame, draw: Bootstrap) -> PatchingResult:
    """Compute the effects of all conditions. A donor without a distance to the base is measured in
    units of the own donor's distance.
    """
    by_name = sweeps(table)
    own = by_name["own_tuned"]
    span = own.donor - own.base
    shift = {
        name: mean_shift(
            sweep, **draw.draws, span=span if name in ("other_base", "own_base") else None
        )
        for name, sweep in by_name.items()
    }
    donor_slope, base_slope = following(by_name["other_tuned"], **draw.draws)
    return PatchingResult(
        sweeps=by_name,
        shift=shift,
        donor_slope=donor_slope,
        base_slope=base_slope,
        layer_gradient=layer_gradient(own),
        half_layer=half_layer(own.layers, donor_slope.value),
        noise_floor=max_readout_change(by_name["own_base"].base, by_name["own_base"].patched),
    )
