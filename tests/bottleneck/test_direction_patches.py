from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch

from tests.support.scale_prompts import PROMPTS, trie_of
from workbench.bottleneck.direction_patches import (
    difference_of_means,
    displacement_of,
    pushed_branch,
    random_displacement,
    removed_branch,
    subspaces_of,
    swapped_branch,
    without_direction,
)
from workbench.errors import WorkbenchError
from workbench.models import LanguageModel
from workbench.patch.sweep import record_number
from workbench.patch.written_confidence import WrittenConfidence, number_positions, read_written
from workbench.trace.interventions import Branch

BUDGET = 10**6
RNG = np.random.default_rng(2)


def read(lm: LanguageModel, branches: list[Branch]) -> WrittenConfidence:
    return read_written(lm, PROMPTS, trie_of(lm), branches, tokens_per_forward=BUDGET)


def test_a_swap_of_the_last_layer_writes_the_other_question_and_its_own_changes_nothing(
    make_tiny: Callable[..., LanguageModel],
) -> None:
    lm = make_tiny("llama", "digits")
    trie, last = trie_of(lm), lm.n_layers - 1
    places = number_positions(PROMPTS, trie)
    states = record_number(lm, PROMPTS, trie, [[len(p) - 1] for p in PROMPTS])[:, last]
    other = states[[1, 2, 0]]
    (span,) = subspaces_of([RNG.standard_normal(lm.width)])
    found = read(
        lm,
        [
            swapped_branch(last, places, None, other),
            swapped_branch(last, places, span, states),
            removed_branch(last, places, span, states[0]),
            removed_branch(last, places, span, torch.zeros_like(states[0])),
        ],
    ).distribution
    np.testing.assert_allclose(found[:, 1], found[[1, 2, 0], 0], atol=1e-6)
    np.testing.assert_allclose(found[:, 2], found[:, 0], atol=1e-6)
    # The first question's own projection is its mean, so nothing is taken from it.
    np.testing.assert_allclose(found[0, 3], found[0, 0], atol=1e-6)
    assert np.abs(found[1, 3] - found[1, 0]).max() > 1e-4
    assert np.abs(found[0, 4] - found[0, 0]).max() > 1e-4


def test_a_push_adds_the_displacement_at_every_token_of_the_number(
    make_tiny: Callable[..., LanguageModel],
) -> None:
    lm = make_tiny("llama", "digits")
    trie = trie_of(lm)
    places = number_positions(PROMPTS, trie)
    step = torch.as_tensor(RNG.standard_normal(lm.width)).float()
    branch = pushed_branch(2, places, step, -3.0)
    assert len(branch) == 1 + trie.tree.size
    for patch, place in zip(branch, places.T, strict=True):
        assert torch.equal(patch.positions, place)
        torch.testing.assert_close(patch.value, (-3 * step).expand(len(PROMPTS), -1))
        assert patch.mode == "add"


def test_the_displacement_raises_the_reading_by_one_standard_deviation() -> None:
    states = RNG.standard_normal((200, 12)) @ RNG.standard_normal((12, 12)) + 4
    direction = RNG.standard_normal(12)
    found = displacement_of(states, direction)
    spread = (states @ direction).std()
    assert found @ direction == pytest.approx(spread)
    # It is what least squares says states do when the reading moves.
    reading = states @ direction
    slope = np.polyfit(reading, states, 1)[0]
    np.testing.assert_allclose(found, slope * spread, rtol=1e-6)
    drawn = random_displacement(states, 2.5, np.random.default_rng(0))
    assert np.linalg.norm(drawn) == pytest.approx(2.5)
    with pytest.raises(WorkbenchError, match="do not vary along the direction"):
        displacement_of(np.ones((5, 3)), np.ones(3))


def test_nothing_is_left_along_the_direction_and_all_across_it() -> None:
    states, direction = RNG.standard_normal((30, 2, 6)), np.array([0, 2.0, 0, 0, 0, 0])
    found = without_direction(states, direction)
    np.testing.assert_allclose(found[..., 1], 0, atol=1e-6)
    np.testing.assert_allclose(np.delete(found, 1, axis=2), np.delete(states, 1, axis=2), rtol=1e-5)


def test_without_the_difference_of_means_no_linear_reading_varies_with_the_grade() -> None:
    rng = np.random.default_rng(4)
    domain = np.repeat(["a", "b"], 40)
    correct = rng.random(80) < np.where(domain == "a", 0.8, 0.3)
    states = rng.standard_normal((80, 6)) @ rng.standard_normal((6, 6))
    states += correct[:, None] * rng.standard_normal(6) + (domain == "b")[:, None] * 5
    found = difference_of_means(states, correct, domain)
    # By hand: the domains' own differences, weighted by how much a grade varies in them.
    by_hand, weights = [], []
    for name in ("a", "b"):
        mine, right = states[domain == name], correct[domain == name]
        by_hand.append(mine[right].mean(axis=0) - mine[~right].mean(axis=0))
        weights.append(right.sum() * (~right).sum() / len(right))
    np.testing.assert_allclose(found, np.average(by_hand, axis=0, weights=weights), atol=1e-9)
    left = without_direction(states, found)
    assert np.abs(difference_of_means(left, correct, domain)).max() < 1e-5
    assert np.abs(difference_of_means(states, correct, domain)).max() > 0.1


def test_a_difference_of_means_needs_both_kinds_in_a_domain() -> None:
    with pytest.raises(WorkbenchError, match="ask more questions of each"):
        difference_of_means(
            np.ones((4, 2)), np.array([True, True, False, False]), np.array([*"aabb"])
        )
