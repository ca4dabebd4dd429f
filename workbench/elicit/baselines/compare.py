"""Compare how well each baseline tells right answers from wrong ones, and at what cost.

The measures are AUROC2 pooled and as the mean within domain, each with its bootstrap interval.
Questions a baseline could not read are left out of its AUROC2 and counted in ``read``. Costs are
means over questions.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from workbench.elicit.baselines.table import BASELINES, Baseline
from workbench.measure import Estimate, auroc2_estimate, auroc2_within_estimate
from workbench.pipeline.store import ROW


@dataclass(frozen=True)
class Compared:
    """The results of one baseline on one set of answers; ``read`` is the share of questions with a
    score, ``tokens`` the mean cost.
    """

    baseline: Baseline
    pooled: Estimate
    within: Estimate
    read: float
    tokens: float

    def line(self) -> dict[str, Any]:
        """Return the results as a line of a table."""
        return {
            "baseline": self.baseline.name,
            "title": self.baseline.title,
            **self.pooled.to_dict("auroc2"),
            **self.within.to_dict("auroc2.within"),
            "read": self.read,
            "tokens": self.tokens,
        }


def compare(
    table: pd.DataFrame, correct: ArrayLike, domain: ArrayLike, *, resamples: int, seed: int
) -> list[Compared]:
    """Compare the baselines of a table of :func:`workbench.elicit.baselines.run.run_baselines`.

    Args:
        correct: [rows] grade of each question's greedy answer.
        domain: [rows] domain of each question.
    """
    right, domains = np.asarray(correct, dtype=bool), np.asarray(domain)
    out = []
    for name, lines in table.groupby("baseline", sort=False):
        ordered = lines.sort_values(ROW)
        score = ordered["score"].to_numpy(dtype=np.float64)
        out.append(
            Compared(
                baseline=BASELINES[str(name)],
                pooled=auroc2_estimate(score, right, seed=seed, resamples=resamples),
                within=auroc2_within_estimate(
                    score, right, domains, seed=seed, resamples=resamples
                ),
                read=float(np.isfinite(score).mean()),
                tokens=float(ordered["tokens"].mean()),
            )
        )
    return out


def compared_table(found: Sequence[Compared]) -> pd.DataFrame:
    """Return one line per baseline."""
    return pd.DataFrame([one.line() for one in found])
