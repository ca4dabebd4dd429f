"""Compute the patching of one training among several: its curves, and the headlines taken of them.

Shift and donor slope are those of :mod:`workbench.patch.effects`: 0 nothing moved, 1 all of it. The
largest shift is the highest of the mean shifts by layer; above 1 the patched layer overshoots what
the whole tuned model states. As a maximum of noisy values it is too high on few questions.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from workbench.arrays import Floats
from workbench.loop.conditions import Condition, Key, Measures
from workbench.measure import Bootstrap, Estimate
from workbench.measure.interval import IntervalCurve
from workbench.patch.effects import Sweep, following, half_layer, layer_gradient, mean_shift

PATCHING = "patching"
GRADIENT = Key("layer_gradient", part=PATCHING)
LARGEST = Key("shift.largest", part=PATCHING)
LAST = Key("shift.last_layer", part=PATCHING)
HALF = Key("donor_slope.half_layer", part=PATCHING)


@dataclass(frozen=True)
class TrainingCurves:
    """The patching of one training: its sweeps, and what is drawn and compared of them.

    Attributes:
        sweeps: by name of a condition of patching; "own_tuned", "other_tuned" and "reverse" at
            least.
        shift: mean shift of the own donor by layer.
        donor_slope: slope on another question's donor by layer.
        reverse: mean shift of the base model's states put into the tuned model.
    """

    sweeps: Mapping[str, Sweep]
    shift: IntervalCurve
    donor_slope: IntervalCurve
    reverse: IntervalCurve
    gradient: Estimate

    @property
    def own(self) -> Sweep:
        """The sweep with the question's own donor."""
        return self.sweeps["own_tuned"]

    def measures(self, condition: Condition) -> Measures:
        """Return the headlines of patching under the name of the training."""
        found: Measures = {
            GRADIENT: self.gradient,
            LARGEST: float(self.shift.value.max()),
            LAST: self.shift.at(-1, len(self.own.base)),
            HALF: half_layer(self.own.layers, self.donor_slope.value),
        }
        return {key.of(condition): value for key, value in found.items()}


def training_curves(sweeps: Mapping[str, Sweep], draw: Bootstrap) -> TrainingCurves:
    """Compute the curves of one training from its ``sweeps``."""
    own = sweeps["own_tuned"]
    return TrainingCurves(
        sweeps,
        shift=mean_shift(own, **draw.draws),
        donor_slope=following(sweeps["other_tuned"], **draw.draws)[0],
        reverse=mean_shift(sweeps["reverse"], **draw.draws),
        gradient=layer_gradient(own),
    )


def shift_under(sweep: Sweep, counts: Floats) -> Floats:
    """Return the mean shift by layer, [r, layers], with each item counted as ``counts`` [r, items]
    say.
    """
    moved = sweep.patched - sweep.base[:, None]
    return (counts @ moved) / (counts @ (sweep.donor - sweep.base))[:, None]
