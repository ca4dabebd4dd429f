from __future__ import annotations

import numpy as np
import pytest

from workbench.elicit.segments import AFTER_ANSWER, ANSWER, CONFIDENCE, Segment
from workbench.experiments.patching_maps.cached_confidence_claim import (
    BOTH,
    CONTROL,
    check_claim,
    conditions,
    verdict,
)
from workbench.measure import Estimate

PARTS = [
    Segment(name, (k,), (k,))
    for k, name in enumerate((ANSWER, AFTER_ANSWER, "between", CONFIDENCE))
]
CELLS = conditions(PARTS, Segment(CONTROL, (2,), (2,)), 9)


def found(
    shares: dict[tuple[str, str], float], noise: float = 0.02
) -> tuple[str, dict[str, float]]:
    rng = np.random.default_rng(0)
    distance = rng.uniform(0.2, 0.6, size=40)
    wanted = np.array([shares.get(name, 0.0) for name in CELLS])
    moved = distance[:, None] * wanted + noise * rng.normal(size=(40, len(CELLS)))
    result = check_claim(list(CELLS), distance, moved, resamples=400, seed=0)
    return result.verdict, {f"{a} {b}": e.value for (a, b), e in result.shifts.items()}


def test_conditions_patch_every_layer_of_a_band_at_the_named_tokens() -> None:
    assert len(CELLS) == 5 * 4
    middle = CELLS[BOTH, "middle"]
    assert [site.layer for site in middle.sites] == [3, 4, 5]
    assert [part.name for part in middle.places] == [AFTER_ANSWER, CONFIDENCE]
    assert [site.layer for site in CELLS[ANSWER, "all"].sites] == list(range(9))


def test_a_planted_mechanism_is_reproduced_and_its_absence_contradicted() -> None:
    there = {(AFTER_ANSWER, "all"): 0.6, (AFTER_ANSWER, "middle"): 0.5, (CONFIDENCE, "late"): 0.9}
    assert found(there)[0] == "reproduced"
    assert found(there)[1][f"{AFTER_ANSWER} all"] == pytest.approx(0.6, abs=0.03)
    in_the_answer = {(ANSWER, "all"): 0.8, (ANSWER, "middle"): 0.8, (CONFIDENCE, "late"): 0.9}
    assert found(in_the_answer)[0] == "contradicted"
    assert found({**there, (AFTER_ANSWER, "all"): 0.05})[0] == "contradicted"
    assert found({**there, (CONFIDENCE, "early"): 1.2})[0] == "contradicted"


def test_what_the_data_cannot_tell_is_undecided() -> None:
    there = {(AFTER_ANSWER, "all"): 0.6, (AFTER_ANSWER, "middle"): 0.5, (CONFIDENCE, "late"): 0.9}
    assert found(there, noise=3.0)[0] == "undecided"
    assert found({**there, (ANSWER, "middle"): 0.5})[0] == "undecided"


def test_the_rule_on_intervals() -> None:
    up, around, down = (Estimate(x, x - 0.1, x + 0.1, 9) for x in (0.3, 0.0, -0.3))
    unknown = Estimate(0.3, float("nan"), float("nan"), 9)
    assert verdict([up, up, up], up) == "reproduced"
    assert verdict([up, around, up], up) == "undecided"
    assert verdict([up, down, up], up) == "contradicted"
    assert verdict([up, up, up], Estimate(0.02, 0.0, 0.05, 9)) == "contradicted"
    assert verdict([up, up, unknown], up) == "undecided"
