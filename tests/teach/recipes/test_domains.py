from __future__ import annotations

import numpy as np
import pytest

from workbench.errors import WorkbenchError
from workbench.teach.consistency import balanced_bins, bin_levels, bin_targets
from workbench.teach.recipes import METACOGNITION, PROBE
from workbench.teach.recipes.domains import domain_arm, split_arm_by_domain
from workbench.teach.target_inputs import TargetInputs

RNG = np.random.default_rng(0)
N = 120
DOMAIN = np.resize(["Kings & queens", "rivers", "seas"], N)
SHARE = RNG.choice([0.2, 0.5, 0.9], N)
TARGET_INPUTS = TargetInputs(
    np.arange(N) * 2, RNG.random(N) < SHARE, DOMAIN, {"consistency": SHARE, "probe": SHARE}, 4
)
RECIPE = split_arm_by_domain(METACOGNITION, "single", ["Kings & queens", "rivers", "seas"])


def test_the_arms_are_the_whole_one_a_mixed_one_and_one_a_domain() -> None:
    assert [arm.name for arm in RECIPE.arms] == [
        "single", "single-mixed", "single-kings-queens", "single-rivers", "single-seas",
    ]  # fmt: skip
    assert RECIPE.default == tuple(arm.name for arm in RECIPE.arms)
    assert not RECIPE.pairs
    assert RECIPE.arm("single") is METACOGNITION.arm("single")


@pytest.mark.parametrize("domain", ["Kings & queens", "rivers"])
def test_one_domains_arm_is_the_arm_on_that_domains_questions(domain: str) -> None:
    """Targets, bins and draws as if there were no others; nothing of the others is taught."""
    mine = np.flatnonzero(domain == DOMAIN)
    alone = TargetInputs(
        TARGET_INPUTS.row[mine],
        TARGET_INPUTS.correct[mine],
        DOMAIN[mine],
        {"consistency": SHARE[mine]},
        TARGET_INPUTS.seed,
    )
    arm = RECIPE.arm(domain_arm("single", domain))
    assert arm.subset is not None
    assert arm.bin_accuracy is not None
    chosen = arm.subset(TARGET_INPUTS)
    assert (DOMAIN[chosen] == domain).all()
    assert (TARGET_INPUTS.row[chosen] == alone.row[balanced_bins(alone)]).all()
    assert (arm.targets(TARGET_INPUTS)[mine] == bin_targets(alone)).all()
    assert (arm.bin_accuracy(TARGET_INPUTS)[mine] == bin_levels(alone)).all()
    assert np.isnan(arm.targets(TARGET_INPUTS)[domain != DOMAIN]).all()


def test_an_arm_that_draws_nothing_is_taught_all_of_the_domain() -> None:
    arm = split_arm_by_domain(PROBE, "soft", ["rivers", "seas"]).arm("soft-seas")
    assert arm.subset is not None
    assert arm.subset(TARGET_INPUTS).tolist() == np.flatnonzero(DOMAIN == "seas").tolist()


def test_the_mixed_arm_has_as_many_as_one_domain_of_all_of_them() -> None:
    arm = split_arm_by_domain(PROBE, "soft", ["Kings & queens", "rivers", "seas"]).arm("soft-mixed")
    assert arm.subset is not None
    chosen = arm.subset(TARGET_INPUTS)
    assert [int((DOMAIN[chosen] == name).sum()) for name in np.unique(DOMAIN)] == [13, 13, 13]
    assert (np.diff(chosen) > 0).all()


def test_one_domain_and_names_that_are_alike_are_refused() -> None:
    with pytest.raises(WorkbenchError, match="at least two domains of questions, there is 1"):
        split_arm_by_domain(PROBE, "soft", ["rivers"])
    with pytest.raises(WorkbenchError, match="distinct names"):
        split_arm_by_domain(PROBE, "soft", ["rivers!", "rivers"])
