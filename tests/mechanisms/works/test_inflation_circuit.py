from __future__ import annotations

import numpy as np
import pytest

from workbench.mechanisms.outcomes import CONFIRMED, CONTRADICTED
from workbench.mechanisms.work import Claim, PlantedWorld
from workbench.mechanisms.works.inflation_circuit import CLAIMS

WORLDS = [(claim, world) for claim in CLAIMS for world in claim.worlds]


@pytest.mark.parametrize(
    ("claim", "world"), WORLDS, ids=[f"{claim.name}: {world.name}" for claim, world in WORLDS]
)
def test_with_many_questions_the_rule_finds_what_is_planted(
    claim: Claim, world: PlantedWorld
) -> None:
    found = world.simulate(np.random.default_rng(0), 4000)
    assert claim.judge(found) == (CONFIRMED if world.true else CONTRADICTED)
