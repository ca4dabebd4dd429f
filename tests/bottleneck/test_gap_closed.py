from __future__ import annotations

import numpy as np
import pytest

from workbench.bottleneck.gap_closed import gap_closed
from workbench.measure import Bootstrap, auroc2, auroc2_within

N = 400
DRAW = Bootstrap(400, 0)


@pytest.fixture(scope="module")
def world() -> dict[str, np.ndarray]:
    """Grades, two domains of different difficulty, and scores that know them better and worse."""
    rng = np.random.default_rng(0)
    domain = np.arange(N) % 2
    correct = rng.random(N) < np.where(domain == 0, 0.3, 0.7)
    noise = rng.normal(size=(3, N))
    return {
        "domain": domain.astype(str),
        "correct": correct,
        "probe": 2.0 * correct + noise[0],
        "before": 0.3 * correct + noise[1],
        "after": 1.0 * correct + noise[2],
    }


@pytest.mark.parametrize("within", [True, False])
def test_the_share_is_what_was_gained_over_what_the_probe_is_ahead(
    world: dict[str, np.ndarray], within: bool
) -> None:
    correct, domain = world["correct"], world["domain"]
    found = gap_closed(
        world["probe"], world["before"], world["after"], correct, domain if within else None, DRAW
    )
    probe, before, after = (
        auroc2_within(world[name], correct, domain) if within else auroc2(world[name], correct)
        for name in ("probe", "before", "after")
    )
    assert found.gap.value == pytest.approx(probe - before)
    assert found.share.value == pytest.approx((after - before) / (probe - before))
    assert found.there
    rng, drawn = np.random.default_rng(7), []
    for _ in range(400):
        rows = np.concatenate(
            [rng.choice(np.flatnonzero(domain == each), (domain == each).sum()) for each in "01"]
            if within
            else [rng.integers(0, N, N)]
        )
        p, b, a = (
            auroc2_within(world[name][rows], correct[rows], domain[rows])
            if within
            else auroc2(world[name][rows], correct[rows])
            for name in ("probe", "before", "after")
        )
        drawn.append((a - b) / (p - b))
    low, high = np.quantile(drawn, [0.025, 0.975])
    assert found.share.low == pytest.approx(low, abs=0.05)
    assert found.share.high == pytest.approx(high, abs=0.05)


def test_nothing_closed_is_zero_and_all_closed_is_one(world: dict[str, np.ndarray]) -> None:
    correct, domain, probe, before = (
        world[name] for name in ("correct", "domain", "probe", "before")
    )
    for after, share in ((before, 0.0), (probe, 1.0)):
        found = gap_closed(probe, before, after, correct, domain, DRAW).share
        assert (found.value, found.low, found.high) == pytest.approx((share, share, share))


def test_without_a_gap_there_is_no_share(world: dict[str, np.ndarray]) -> None:
    found = gap_closed(
        world["before"], world["after"], world["probe"], world["correct"], world["domain"], DRAW
    )
    assert not found.there
    assert np.isnan([found.share.value, found.share.low, found.share.high]).all()


def test_answers_that_state_nothing_are_left_out_of_all_three(
    world: dict[str, np.ndarray],
) -> None:
    before, after = world["before"].copy(), world["after"].copy()
    before[:40], after[40:80] = np.nan, np.nan
    found = gap_closed(world["probe"], before, after, world["correct"], world["domain"], DRAW)
    kept = {name: each[80:] for name, each in world.items()}
    wanted = gap_closed(
        kept["probe"], kept["before"], kept["after"], kept["correct"], kept["domain"], DRAW
    )
    assert found.share.value == pytest.approx(wanted.share.value)
    assert found.share.n == N - 80
