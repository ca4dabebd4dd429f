"""Measure how far two graders agree: Cohen's kappa with a bootstrap interval, and the table of
counts it comes from.

kappa = (p_o - p_e) / (1 - p_e), where p_o is the share of answers graded alike and p_e the share
two graders with the same rates of "right" would grade alike by chance: 1 for full agreement, 0 for
chance, below 0 for less than chance. Where both give one and the same grade throughout, kappa is
undefined (NaN).

What this does not show: which grader is right. Both may share a mistake, and kappa falls as one
grade becomes rare.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from workbench.arrays import Floats
from workbench.errors import WorkbenchError
from workbench.measure.bootstrap import bootstrap_counts
from workbench.measure.distinct_rows import cells_of
from workbench.measure.interval import Estimate
from workbench.settings.defaults import RESAMPLES


@dataclass(frozen=True)
class Agreement:
    """The agreement of two graders on the same answers.

    Attributes:
        kappa: Cohen's kappa with its interval over answers.
        agreement: share graded alike, with its interval.
        both: answers that both call right.
        only_first: answers that the first alone calls right.
        only_second: answers that the second alone calls right.
        neither: answers that both call wrong.
    """

    kappa: Estimate
    agreement: Estimate
    both: int
    only_first: int
    only_second: int
    neither: int

    def to_dict(self, prefix: str) -> dict[str, Any]:
        """Return flat summary entries below ``prefix``."""
        counts = {
            name: getattr(self, name) for name in ("both", "only_first", "only_second", "neither")
        }
        return {
            **self.kappa.to_dict(f"{prefix}.kappa"),
            **self.agreement.to_dict(f"{prefix}.agreement"),
            **{f"{prefix}.{name}": count for name, count in counts.items()},
        }


def agreement(
    first: ArrayLike, second: ArrayLike, *, seed: int, resamples: int = RESAMPLES
) -> Agreement:
    """Return the agreement of two graders' grades [n] each, true for right, of the same answers in
    the same order.

    Raises:
        WorkbenchError: for grades of different number and for none.
    """
    one, two = np.asarray(first, dtype=bool), np.asarray(second, dtype=bool)
    if one.shape != two.shape or one.ndim != 1 or not len(one):
        raise WorkbenchError(
            f"Agreement needs one grade of each grader per answer; got shapes {one.shape} and "
            f"{two.shape}."
        )
    cells = cells_of(one, two)
    table = np.stack([one[cells.first], two[cells.first]])
    estimates = bootstrap_counts(
        {
            "kappa": lambda counts: _kappa(counts, table),
            "agreement": lambda counts: _alike(counts, table),
        },
        cells,
        seed=seed,
        resamples=resamples,
    )
    return Agreement(
        **estimates,
        both=int((one & two).sum()),
        only_first=int((one & ~two).sum()),
        only_second=int((two & ~one).sum()),
        neither=int((~one & ~two).sum()),
    )


def _alike(counts: Floats, table: NDArray[np.bool_]) -> Floats:
    return counts @ (table[0] == table[1]) / counts.sum(axis=1)


def _kappa(counts: Floats, table: NDArray[np.bool_]) -> Floats:
    """Return kappa of each resample: counts [r, c] of the cells whose two grades are ``table`` [2,
    c] -> [r].
    """
    right = counts @ table.T / counts.sum(axis=1, keepdims=True)
    chance = right.prod(axis=1) + (1 - right).prod(axis=1)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(chance < 1, (_alike(counts, table) - chance) / (1 - chance), np.nan)
