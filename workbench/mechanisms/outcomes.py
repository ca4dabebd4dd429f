"""Decide a claim from intervals: the three outcomes, and the comparisons that rules are made of.

A rule names what would confirm its claim and what would contradict it; where neither is sure, it
cannot tell. *Surely* means that the whole 95 % interval lies there. An estimate without an interval
is sure of nothing, so a number that was not defined never decides. Each comparison errs in 2.5 % of
cases at the bound itself; a rule that needs several errs less often, one that needs any of several
more often. ``workbench bench mechanisms`` measures how often.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from workbench.errors import WorkbenchError
from workbench.measure.interval import Estimate

Outcome = Literal["confirmed", "contradicted", "cannot tell"]
CONFIRMED: Outcome = "confirmed"
CONTRADICTED: Outcome = "contradicted"
CANNOT_TELL: Outcome = "cannot tell"
OUTCOMES: tuple[Outcome, ...] = (CONFIRMED, CONTRADICTED, CANNOT_TELL)

Estimates = Mapping[str, Estimate]
"""What was measured, by the names of a work's quantities."""


def surely_above(estimate: Estimate, bound: float) -> bool:
    """Return whether the whole interval lies above ``bound``; False without an interval."""
    return bool(estimate.low > bound)


def surely_below(estimate: Estimate, bound: float) -> bool:
    """Return whether the whole interval lies below ``bound``; False without an interval."""
    return bool(estimate.high < bound)


def surely_within(estimate: Estimate, low: float, high: float) -> bool:
    """Return whether the whole interval lies between ``low`` and ``high``: a claim that something
    is small is confirmed by this, never by an interval that holds zero.
    """
    return surely_above(estimate, low) and surely_below(estimate, high)


def conclude(*, confirmed: bool, contradicted: bool) -> Outcome:
    """Return the outcome of a rule's two conditions.

    Raises:
        WorkbenchError: where both are met, for then the rule is no rule.
    """
    if confirmed and contradicted:
        raise WorkbenchError(
            "A rule both confirms and contradicts its claim on the same estimates; mend its "
            "conditions so that they exclude each other."
        )
    return CONFIRMED if confirmed else CONTRADICTED if contradicted else CANNOT_TELL
