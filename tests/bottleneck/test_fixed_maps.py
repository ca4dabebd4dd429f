from __future__ import annotations

import numpy as np
import pytest

from workbench.bottleneck.fixed_maps import (
    BIAS,
    MAPS,
    MEAN,
    MODE,
    PART,
    PRIOR,
    Training,
    ValueDiscrimination,
    fit_maps,
)
from workbench.measure import auroc2, auroc2_within

VALUES = np.linspace(0, 1, 11)


def worlds(
    seed: int, n: int = 600, ceiling: float = 4.0, knows: float = 1.5
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Distributions whose log-odds move with the grade, under a ceiling that all questions share."""
    rng = np.random.default_rng(seed)
    correct, domain = rng.random(n) < 0.5, rng.integers(0, 3, n)
    moved = np.where(correct, knows, -knows) + rng.normal(0, 1, n)
    logits = moved[:, None] * (VALUES - 0.5) + rng.normal(0, 0.3, (n, 11))
    logits[:, -1] += ceiling
    p = np.exp(logits)
    return p / p.sum(axis=1, keepdims=True), correct, domain


def test_a_shared_ceiling_is_a_fixed_map_away() -> None:
    """The text says certain throughout; divided by the average distribution it tells nearly what
    the mean tells.
    """
    p, correct, domain = worlds(0)
    held_out, grades, kinds = worlds(1)
    maps = fit_maps(Training(p, correct, domain, VALUES))
    assert tuple(maps) == MAPS
    reached = {name: auroc2_within(write(held_out), grades, kinds) for name, write in maps.items()}
    mean = auroc2_within(held_out @ VALUES, grades, kinds)
    assert (maps[MODE](held_out) == 1).mean() > 0.95
    assert reached[MODE] < 0.55
    assert min(reached[name] for name in (PRIOR, PART, BIAS)) > 0.8 * (mean - 0.5) + 0.5
    assert reached[MEAN] == pytest.approx(mean, abs=0.02)


def test_what_knows_nothing_gains_nothing_on_other_questions() -> None:
    found = []
    for seed in range(8):
        p, correct, domain = worlds(2 * seed, 200, knows=0.0)
        held_out, grades, kinds = worlds(2 * seed + 1, 200, knows=0.0)
        maps = fit_maps(Training(p, correct, domain, VALUES))
        found.append(
            [auroc2_within(maps[name](held_out), grades, kinds) for name in (PART, BIAS, MEAN)]
        )
    assert np.abs(np.mean(found, axis=0) - 0.5).max() < 0.05


def test_a_bias_is_one_number_for_every_question() -> None:
    """A map is a function of one question's distribution, and a temperature changes no mode."""
    p, correct, domain = worlds(0)
    held_out, _, _ = worlds(1, 40)
    for write in fit_maps(Training(p, correct, domain, VALUES)).values():
        assert [float(write(row[None])[0]) for row in held_out] == write(held_out).tolist()
    mode = fit_maps(Training(p, correct, domain, VALUES))[MODE]
    cool = held_out**4 / (held_out**4).sum(axis=1, keepdims=True)
    assert (mode(cool) == mode(held_out)).all()


def test_written_values_are_the_scales_and_the_mean_keeps_its_order() -> None:
    p, correct, domain = worlds(0)
    held_out, grades, _ = worlds(1)
    written = fit_maps(Training(p, correct, domain, VALUES))[MEAN](held_out)
    assert set(written) <= set(VALUES)
    assert len(set(written)) == len(VALUES)
    order = np.argsort(held_out @ VALUES)
    assert (np.diff(written[order]) >= 0).all()
    assert auroc2(written, grades) == pytest.approx(auroc2(held_out @ VALUES, grades), abs=0.02)


def test_a_distribution_that_never_says_a_value_is_fine() -> None:
    p, correct, domain = worlds(0, 100)
    p[:, 3] = 0.0
    maps = fit_maps(Training(p, correct, domain, VALUES))
    assert all(np.isfinite(write(p)).all() for write in maps.values())


def test_what_is_written_is_measured_as_everywhere_else() -> None:
    rng = np.random.default_rng(7)
    values = np.array([0.9, 0.1, 0.5, 1.0, 0.0])
    for _ in range(20):
        n = int(rng.integers(3, 60))
        training = Training(
            rng.dirichlet(np.ones(5), n),
            rng.random(n) < 0.4,
            rng.choice(np.array(["a", "b", "c"]), n),
            values,
        )
        scores = rng.standard_normal((n, 5))
        written = values[scores.argmax(axis=1)]
        wanted = auroc2_within(written, training.correct, training.domain)
        found = ValueDiscrimination(training)(scores.argmax(axis=1))
        assert found == pytest.approx(0.5 if np.isnan(wanted) else wanted)
