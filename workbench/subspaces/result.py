"""Hold what swapping a subspace did on held-out questions; a result without placebos cannot be
built.

``accuracy`` is interchange accuracy: the share of questions whose readout, with another question's
coordinates, lies on the side of the training median on which the other question's variable lies. It
is near one half for a subspace that does nothing, if sides are balanced. ``donor_slope`` and
``base_slope`` regress the patched readout on the donor's variable and on the question's own
readout, in standard deviations: 1 and 0 where the variable is carried whole.

Any search finds something. The placebos are what the same search finds where there is nothing to be
found: with the variable of shuffled questions, in a randomly initialised model of the same shape,
with another variable of the questions that has the same base rate; and what random subspaces of
equal size do without any search. A variable is localised by as much as the subspace found exceeds
all of them. Even then it shows what the states suffice for, not that the model reads them there:
where another direction holds a copy of the variable that nothing reads, their diagonal swaps as
well as the direction that is read (Makelov et al. 2023, arXiv 2311.17030).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields

import numpy as np
import pandas as pd

from workbench.errors import WorkbenchError
from workbench.measure.interval import Estimate
from workbench.trace.subspace import Subspace


def range_of(drawn: Sequence[Estimate]) -> Estimate:
    """Return the mean over several random draws, with their range in place of an interval."""
    numbers = [each.value for each in drawn]
    return Estimate(float(np.mean(numbers)), min(numbers), max(numbers), drawn[0].n)


@dataclass(frozen=True)
class SwapMeasures:
    """What swapping did: measures over the held-out questions with their intervals."""

    accuracy: Estimate
    donor_slope: Estimate
    base_slope: Estimate


@dataclass(frozen=True, kw_only=True)
class Placebos:
    """The same measures where nothing is to be found, all four of them. The interval of the random
    subspaces is the range of several.
    """

    shuffled_variable: SwapMeasures
    random_model: SwapMeasures
    other_variable: SwapMeasures
    random_subspaces: SwapMeasures

    def __iter__(self) -> Iterator[tuple[str, SwapMeasures]]:
        return iter((each.name, getattr(self, each.name)) for each in fields(self))


PLACEBOS = tuple(each.name for each in fields(Placebos))


def require_placebos(placebos: Sequence[str]) -> None:
    """Refuse a search without all placebos.

    Raises:
        WorkbenchError: for any that is left out or unknown.
    """
    missing = [name for name in PLACEBOS if name not in placebos]
    if missing or len(placebos) != len(PLACEBOS):
        raise WorkbenchError(
            "A subspace is not searched without its placebos, because any search finds something; "
            f"{f'{missing[0]} is missing' if missing else 'some are unknown'}: leave placebos out, "
            "which measures all of them."
        )


@dataclass(frozen=True, eq=False)
class FoundSubspace:
    """A subspace that was learned, with what swapping it does on held-out questions, beside its
    placebos.

    Attributes:
        variable: what was looked for, after ``layer``.
        boundless: whether its rank was found.
        measures: of the subspace.
        placebos: of the same size.
        nothing: without a swap; ``whole``: with the whole state swapped.

    Raises:
        WorkbenchError: without placebos.
    """

    variable: str
    layer: int
    subspace: Subspace
    boundless: bool
    measures: SwapMeasures
    placebos: Placebos
    nothing: SwapMeasures
    whole: SwapMeasures

    def __post_init__(self) -> None:
        if not isinstance(self.placebos, Placebos):
            raise WorkbenchError(
                "Interchange accuracy is not held without its placebos; measure all of "
                f"{', '.join(PLACEBOS)}."
            )

    @property
    def rank(self) -> int:
        return self.subspace.rank

    @property
    def name(self) -> str:
        """Its rank in words, and whether that was found."""
        return f"rank {self.rank}{' (found)' if self.boundless else ''}"

    def rows(self) -> dict[str, SwapMeasures]:
        """Return all measures by what was swapped, the subspace first."""
        return {
            "found": self.measures,
            **dict(self.placebos),
            "nothing": self.nothing,
            "whole_state": self.whole,
        }

    def table(self) -> pd.DataFrame:
        """Return a line for the subspace, each placebo and both ends, with intervals."""
        return pd.DataFrame(
            [
                {"variable": self.variable, "layer": self.layer, "rank": self.rank, "swapped": name}
                | measures.accuracy.to_dict("accuracy")
                | measures.donor_slope.to_dict("donor_slope")
                | measures.base_slope.to_dict("base_slope")
                for name, measures in self.rows().items()
            ]
        )
