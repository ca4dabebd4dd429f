"""Ablating sets of writers: a planted one goes, random ones do not, nothing stays as it is."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from tests.support.planted_writer import NUMBER, PROMPTS, planted
from tests.support.scale_prompts import trie_of
from workbench.bottleneck.ceiling import Ceiling, margin_of
from workbench.bottleneck.ceiling_ablation import (
    ablate_sets,
    measure_discrimination,
    measure_dose,
    rank_p,
)
from workbench.bottleneck.ceiling_writers import mean_of_tokens, writers_of
from workbench.bottleneck.writer_sets import random_sets
from workbench.measure import Bootstrap, auroc2_within
from workbench.patch.inputs import ModelInputs
from workbench.patch.written_confidence import number_positions

DRAW = Bootstrap(200, 0)


@pytest.mark.parametrize("kind", ["mlp_out", "head_out"])
def test_the_planted_writer_takes_the_margin_with_it_and_random_sets_do_not(kind: str) -> None:
    lm, writer = planted(kind, others=0.01)
    trie, rows = trie_of(lm), [list(prompt) for prompt in PROMPTS]
    writers = writers_of(lm)
    chosen = (writers.index(writer),)
    drawn = random_sets(writers, chosen, 5, np.random.default_rng(0))
    reference = mean_of_tokens(ModelInputs(lm, rows[3:], torch.tensor([[0, 1, 2]] * 3)), 100)
    found = ablate_sets(
        ModelInputs(lm, rows[:3], number_positions(rows[:3], trie)),
        writers,
        [chosen, *drawn],
        reference,
        trie,
        tokens_per_forward=200,
    )
    assert found.shape == (3, 7, 101)
    ceiling = Ceiling(trie.values, (trie.values.index(NUMBER),), 1.0)
    shares = np.array(trie.values) / 100
    dose = measure_dose(1, found[:, 0], found[:, 1], found[:, 2:], ceiling, shares, DRAW)
    assert dose.removed.value > 1
    assert np.abs(dose.random_removed).max() < 0.1 * dose.removed.value
    assert dose.p == pytest.approx(1 / 6)
    assert dose.margin.value + dose.removed.value == pytest.approx(
        margin_of(found[:, 0], ceiling).mean()
    )
    assert dose.random_changed.max() == 0
    same = measure_dose(0, found[:, 0], found[:, 0], found[:, 2:], ceiling, shares, DRAW)
    assert (same.removed.value, same.changed.value) == (0, 0)


def test_doses_by_hand() -> None:
    ceiling, shares = Ceiling((0.0, 50.0, 100.0), (2,), 1.0), np.array([0, 0.5, 1])
    before = np.array([[0.1, 0.1, 0.8], [0.1, 0.3, 0.6]])
    ablated = np.array([[0.4, 0.0, 0.4], [0.1, 0.6, 0.3]])
    at_random = np.stack([before, ablated, before], axis=1)
    dose = measure_dose(2, before, ablated, at_random, ceiling, shares, DRAW)
    assert dose.removed.value == pytest.approx((np.log(8) + np.log(2) - np.log(0.5)) / 2)
    assert dose.margin.value == pytest.approx(np.log(0.5) / 2)
    assert dose.expected.value == pytest.approx((0.5 + 0.6) / 2)
    assert dose.changed.value == 1.0  # the tie of 0.4 and 0.4 is read as the first of them
    assert dose.mass.value == pytest.approx(0.9)
    np.testing.assert_allclose(dose.random_mass, [1, 0.9, 1])
    np.testing.assert_allclose(dose.random_removed, [0, dose.removed.value, 0], atol=1e-12)
    np.testing.assert_allclose(dose.random_changed, [0, 1, 0])
    assert dose.p == pytest.approx(2 / 4)
    assert rank_p(1.0, np.array([0.0, 0.5])) == pytest.approx(1 / 3)


def test_discrimination_is_measured_within_domain_and_ranked_at_its_size() -> None:
    rng = np.random.default_rng(0)
    shares, n = np.linspace(0, 1, 5), 60
    correct, domain = rng.random(n) < 0.5, np.repeat(["a", "b"], n // 2)
    before = np.full((n, 5), 0.1) + 0.5 * np.eye(5)[4]
    telling = np.where(correct[:, None], 0.1 + 0.5 * np.eye(5)[4], 0.1 + 0.5 * np.eye(5)[1])
    at_random = rng.dirichlet(np.ones(5), size=(n, 4))
    small, large = measure_discrimination(
        {2: before, 3: telling}, before, at_random, 3, shares, correct, domain, DRAW
    )
    assert (small.text.value, small.text_gain.value) == (0.5, 0)
    assert np.isnan(small.text_p)
    assert (large.text.value, large.text_gain.value) == (1.0, 0.5)
    assert large.text_p == large.expected_p == pytest.approx(1 / 5)
    wanted = auroc2_within(shares[at_random[:, 2].argmax(axis=1)], correct, domain)
    assert large.random_text[2] == pytest.approx(wanted)
