from __future__ import annotations

import numpy as np
import pytest

from workbench.measure.interval import Estimate
from workbench.mechanisms.outcomes import CANNOT_TELL, CONFIRMED, CONTRADICTED
from workbench.mechanisms.work import Claim, PlantedWorld
from workbench.mechanisms.works.accuracy_directions import (
    CLAIMS,
    decide_contamination,
    decide_orthogonal,
    decide_steering,
)
from workbench.mechanisms.works.direction_worlds import lost_correlation, mean_of

WORLDS = [(claim, world) for claim in CLAIMS for world in claim.worlds]


def about(value: float, half: float = 0.02) -> Estimate:
    return Estimate(value, value - half, value + half, 100)


@pytest.mark.parametrize(
    ("claim", "world"), WORLDS, ids=[f"{claim.name}: {world.name}" for claim, world in WORLDS]
)
def test_with_many_questions_the_rule_finds_what_is_planted(
    claim: Claim, world: PlantedWorld
) -> None:
    found = world.simulate(np.random.default_rng(1), 5000)
    assert claim.judge(found) == (CONFIRMED if world.true else CONTRADICTED)


def test_directions_that_are_not_known_decide_nothing() -> None:
    known = {"reliability_accuracy": about(0.3), "reliability_confidence": about(0.3)}
    angle = {"corrected": about(0.1), "readings": about(0.0)}
    assert decide_orthogonal({**known, **angle}) == CONFIRMED
    assert decide_orthogonal({**known, **angle, "readings": about(0.8)}) == CONTRADICTED
    assert decide_orthogonal({**known, **angle, "corrected": about(-0.6)}) == CONTRADICTED
    assert decide_orthogonal({**known, **angle, "corrected": about(0.29)}) == CANNOT_TELL
    unknown = {**known, "reliability_accuracy": about(0.01)}
    assert decide_orthogonal({**unknown, **angle}) == CANNOT_TELL


def test_the_other_rules_by_hand() -> None:
    lost, worse = {"reading_lost": about(0.3)}, {"reasoned_minus_direct": about(0.05)}
    assert decide_contamination({**lost, **worse}) == CONFIRMED
    assert decide_contamination({**worse, "reading_lost": about(0.05)}) == CONTRADICTED
    assert decide_contamination({**lost, "reasoned_minus_direct": about(-0.05)}) == CONTRADICTED
    assert decide_contamination({**lost, "reasoned_minus_direct": about(0.01)}) == CANNOT_TELL
    gain, others = {"steered_minus_base": about(-0.1)}, {"steered_minus_permuted": about(-0.1)}
    assert decide_steering({**gain, **others}) == CONFIRMED
    assert decide_steering({**gain, "steered_minus_permuted": about(0.02)}) == CONTRADICTED
    assert decide_steering({**gain, "steered_minus_permuted": about(-0.01)}) == CANNOT_TELL
    assert decide_steering({**others, "steered_minus_base": about(0.05)}) == CONTRADICTED


def test_means_and_lost_correlations_by_hand() -> None:
    values = np.array([0.0, 1.0, 2.0, 5.0])
    found = mean_of(values)
    assert found.value == 2.0
    assert found.high - found.value == pytest.approx(1.96 * values.std(ddof=1) / 2)
    rng = np.random.default_rng(0)
    read, said = rng.standard_normal((2, 50))
    lost = lost_correlation(said, said, read, said, 0, 100)
    assert lost.value == pytest.approx(1 - np.corrcoef(read, said)[0, 1])
    assert lost.low < lost.value < lost.high
