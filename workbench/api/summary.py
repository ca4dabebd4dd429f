"""Compute the estimates that result objects give, and write their table for a notebook.

AUROC2 and ECE are of the answers that could be graded. The parse rate has a Wilson interval, the
others the bootstrap's over questions.
"""

from __future__ import annotations

from collections.abc import Mapping
from html import escape

import numpy as np
import pandas as pd

from workbench.measure import Estimate, confidence_metrics, wilson_interval
from workbench.measure.measures import measures_html

READOUTS = ("stated", "expected")
METRICS = ("auroc2", "ece")
ACCURACY = "accuracy"


def summarise_confidence(
    replies: pd.DataFrame, *, resamples: int, seed: int
) -> dict[str, Estimate]:
    """Estimate accuracy, AUROC2 and ECE of both readouts, and the parse rate.

    Args:
        replies: one row per question with the columns correct (missing where ungraded), stated and
            expected.
    """
    graded = replies[replies["correct"].notna()]
    found: dict[str, Estimate] = {}
    for readout in READOUTS if len(graded) else ():
        metrics = confidence_metrics(
            graded[readout],
            graded["correct"].to_numpy(dtype=bool),
            None,
            seed=seed,
            resamples=resamples,
            names=(ACCURACY, *METRICS),
        )
        for name in (ACCURACY, *METRICS):
            metric = metrics[name]
            assert isinstance(metric, Estimate)
            found[name if name == ACCURACY else f"{name}.{readout}"] = metric
    parsed, n = int(replies["stated"].notna().sum()), len(replies)
    low, high = (float(bound) for bound in wilson_interval(np.float64(parsed), np.int64(n)))
    return found | {"parse_rate": Estimate(parsed / n, low, high, n)}


def estimates_table(estimates: Mapping[str, Estimate]) -> pd.DataFrame:
    """Write estimates as a table: one row a measure, with value, low, high and n."""
    rows = [{"measure": name, **vars(each)} for name, each in estimates.items()]
    return pd.DataFrame(rows, columns=["measure", "value", "low", "high", "n"])


def estimates_html(heading: str, estimates: Mapping[str, Estimate]) -> str:
    """Write estimates as a small HTML table, for notebooks."""
    return f"<p>{escape(heading)}</p>{measures_html({**estimates})}"
