"""Say which variable of a question is looked for, and put it on the scale on which a model speaks.

A variable is a number for every question: the model's own readout, another confidence, or a label
such as right and wrong. Readouts and values are both standardised by their own mean and standard
deviation over training questions, so that one objective serves any variable and any model, and a
slope of one means one standard deviation for one. Each has two sides, above and not above its
training median; labels are their own sides.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from workbench.arrays import Floats
from workbench.errors import WorkbenchError

ALIKE = 1e-12


@dataclass(frozen=True, eq=False)
class Variable:
    """A number for each training and each held-out question; higher must mean a higher readout."""

    name: str
    train: Floats
    held_out: Floats

    def __post_init__(self) -> None:
        for name in ("train", "held_out"):
            values = np.asarray(getattr(self, name), dtype=np.float64)
            if values.ndim != 1 or not np.isfinite(values).all():
                raise WorkbenchError(
                    f"The variable {self.name!r} needs one finite number for each question."
                )
            object.__setattr__(self, name, values)
        if len(self.train) < 4 or np.ptp(self.train) <= ALIKE or np.ptp(self.held_out) <= ALIKE:
            raise WorkbenchError(
                f"The variable {self.name!r} does not vary over the questions, so no subspace "
                "carries it; give one that does, and four training questions or more."
            )

    def permuted(self, name: str, seed: int) -> Variable:
        """Return the variable with the values of shuffled questions, each side among itself."""
        rng = np.random.default_rng(seed)
        return Variable(name, rng.permutation(self.train), rng.permutation(self.held_out))

    def ordered_by(self, name: str, train: Floats, held_out: Floats) -> Variable:
        """Return the variable's values in the order of other numbers: another variable of equal
        distribution, so of equal base rate.
        """

        def placed(values: Floats, by: Floats) -> Floats:
            out = np.empty_like(values)
            out[np.argsort(by, kind="stable")] = np.sort(values)
            return out

        return Variable(name, placed(self.train, train), placed(self.held_out, held_out))


@dataclass(frozen=True)
class Scale:
    """The location, spread and middle of numbers over training questions."""

    mean: float
    spread: float
    middle: float

    @classmethod
    def of(cls, values: Floats) -> Scale:
        spread = float(values.std())
        two = np.unique(values)
        middle = float(two.mean()) if len(two) == 2 else float(np.median(values))
        return cls(float(values.mean()), spread if spread > ALIKE else 1.0, middle)

    def standard(self, values: Floats) -> Floats:
        return (values - self.mean) / self.spread

    def high(self, values: Floats) -> NDArray[np.bool_]:
        """Return which values lie above the middle."""
        return values > self.middle


def parity_of_lengths(texts: Sequence[str], seed: int) -> Floats:
    """Return the parity of each question's length, ties broken at random: nothing the model's
    confidence should depend on.
    """
    lengths = np.array([len(text) for text in texts])
    return lengths % 2 + np.random.default_rng(seed).random(len(lengths)) / 2
