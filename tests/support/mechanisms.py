"""A record of a work with estimates that a test chooses."""

from __future__ import annotations

from collections.abc import Mapping

from workbench.measure.interval import Estimate
from workbench.mechanisms.record import MechanismRecord, make_record
from workbench.mechanisms.work import Work


def written_record(
    work: Work,
    values: Mapping[str, float],
    *,
    half: float = 0.02,
    seed: int = 0,
    condition: str = "before",
    model: str = "tiny",
) -> MechanismRecord:
    """A record of ``values`` by name, each with an interval of ``half`` on either side; the other
    quantities are given a reason.
    """
    estimates = {
        name: Estimate(value, value - half, value + half, 100) for name, value in values.items()
    }
    missing = {each.name: "left out" for each in work.quantities if each.name not in estimates}
    return make_record(
        work,
        estimates,
        model=model,
        questions="set",
        condition=condition,
        seed=seed,
        reasons=missing,
    )
