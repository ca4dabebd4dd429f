from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from workbench.measure import Estimate
from workbench.mechanisms.outcomes import CANNOT_TELL, CONFIRMED, CONTRADICTED
from workbench.mechanisms.work import Claim, PlantedWorld
from workbench.mechanisms.works.commitment import CLAIMS, WORK

WORLDS = [(claim, world) for claim in CLAIMS for world in claim.worlds]


@pytest.mark.parametrize(
    ("claim", "world"), WORLDS, ids=[f"{claim.name}: {world.name}" for claim, world in WORLDS]
)
def test_with_many_questions_the_rule_finds_what_is_planted(
    claim: Claim, world: PlantedWorld
) -> None:
    found = world.simulate(np.random.default_rng(0), 6000)
    assert claim.judge(found) == (CONFIRMED if world.true else CONTRADICTED)


@pytest.mark.parametrize("claim", [WORK.claim(n) for n in ("commitment", "likelihood", "residual")])
def test_nothing_is_decided_where_the_orders_rank_questions_apart(claim: Claim) -> None:
    found = dict(claim.worlds[0].simulate(np.random.default_rng(0), 6000))
    apart = replace(found["order_agreement"], low=-0.1)
    assert claim.judge(found | {"order_agreement": apart}) == CANNOT_TELL


def test_a_cosine_without_signal_decides_nothing() -> None:
    near = Estimate(0.0, -0.1, 0.1, 50)
    told, untold = Estimate(0.5, 0.3, 0.7, 50), Estimate(0.1, -0.1, 0.3, 50)
    found = {"cosine_corrected": near, "commit_signal": told, "correct_signal": untold}
    claim = WORK.claim("orthogonal")
    assert claim.judge(found) == CANNOT_TELL
    assert claim.judge(found | {"correct_signal": told}) == CONFIRMED


def test_all_that_is_simulated_is_a_quantity() -> None:
    known = {each.name for each in WORK.quantities}
    for _, world in WORLDS:
        assert set(world.simulate(np.random.default_rng(0), 200)) <= known
