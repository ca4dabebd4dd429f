"""A token's score is the slope of the metric towards the replacement, and true replacements are
plain forwards over other texts.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch

from tests.support.scale_prompts import PROMPTS, trie_of
from workbench.errors import WorkbenchError
from workbench.models import LanguageModel
from workbench.patch.inputs import ModelInputs, Reading
from workbench.patch.metrics import contrast, high_log_odds_of
from workbench.patch.token_attribution import INPUT, attribute_tokens, replaced_values
from workbench.trace import Patch, record

BUDGET = 10**6
STEP = 1e-2


def texts(seed: int, draws: int = 2) -> list[list[list[int]]]:
    draw = np.random.default_rng(seed)
    return [draw.integers(10, 300, (draws, len(prompt))).tolist() for prompt in PROMPTS]


@pytest.mark.parametrize("family", ["llama", "gpt2", "gemma2"])
def test_scores_are_slopes_of_true_patches(
    make_tiny: Callable[..., LanguageModel], family: str
) -> None:
    """The central difference of a small step from every embedding towards the replaced one."""
    lm = make_tiny(family, "digits")
    metric, replaced = high_log_odds_of(trie_of(lm)), texts(0)
    run = ModelInputs(lm, PROMPTS)
    value, scores = attribute_tokens(run, replaced, metric, tokens_per_forward=BUDGET)
    assert value == pytest.approx(Reading(metric, BUDGET).unpatched(run), abs=1e-5)
    for row in (0, len(PROMPTS) - 1):
        prompt = PROMPTS[row]
        where = list(range(len(prompt)))
        own = record(lm, [prompt], [where], [INPUT])[0, 0]
        other = record(lm, [replaced[row][1]], [where], [INPUT])[0, 0]
        one = ModelInputs(lm, [prompt])
        for at in (0, len(prompt) // 2, len(prompt) - 1):
            branches = [
                [Patch(INPUT, torch.tensor([at]), own[at] + sign * STEP * (other - own)[at][None])]
                for sign in (1, -1)
            ]
            moved = Reading(metric, BUDGET).values(one, branches).patched[0]
            slope = -float(moved[0] - moved[1]) / (2 * STEP)
            assert float(scores[row, 1, at]) == pytest.approx(slope, rel=0.03, abs=1e-3)
    assert scores.nan_to_num().abs().amax() > 1e-3


def test_batches_do_not_change_scores_and_ends_are_nan(tiny_lm: LanguageModel) -> None:
    run, metric = ModelInputs(tiny_lm, PROMPTS), contrast([20], [21])
    whole = attribute_tokens(run, texts(1), metric, tokens_per_forward=BUDGET)
    cut = attribute_tokens(run, texts(1), metric, tokens_per_forward=1)
    for one, other in zip(whole, cut, strict=True):
        assert torch.allclose(one, other, atol=1e-5, equal_nan=True)
    known = torch.isfinite(whole[1][:, 0]).sum(dim=1)
    assert known.tolist() == [len(prompt) for prompt in PROMPTS]


def test_a_token_in_its_own_place_scores_nothing(tiny_lm: LanguageModel) -> None:
    run = ModelInputs(tiny_lm, PROMPTS)
    own = [[list(prompt)] for prompt in PROMPTS]
    _, scores = attribute_tokens(run, own, contrast([20], [21]), tokens_per_forward=BUDGET)
    assert scores.nan_to_num().abs().amax() == 0


def test_a_true_replacement_is_a_forward_of_the_other_text(tiny_lm: LanguageModel) -> None:
    run, replaced = ModelInputs(tiny_lm, PROMPTS), [each[0] for each in texts(2)]
    positions = np.array([[0, len(prompt) - 1] for prompt in PROMPTS])
    found = replaced_values(
        run, replaced, positions, contrast([20], [21]), tokens_per_forward=BUDGET
    )

    def read(tokens: list[int]) -> float:
        with torch.no_grad():
            logits = tiny_lm.model(input_ids=torch.tensor([tokens])).logits[0, -1]
        return float(logits[20] - logits[21])

    for row, prompt in enumerate(PROMPTS):
        for column, at in enumerate(positions[row].tolist()):
            other = list(prompt)
            other[at] = replaced[row][at]
            assert found[row, column] == pytest.approx(read(list(prompt)) - read(other), abs=1e-4)


def test_replacements_that_do_not_fit_are_refused(tiny_lm: LanguageModel) -> None:
    run, metric = ModelInputs(tiny_lm, PROMPTS), contrast([20], [21])
    fitting = texts(3)
    with pytest.raises(WorkbenchError, match="as many for one"):
        attribute_tokens(run, fitting[:-1], metric, tokens_per_forward=BUDGET)
    longer = [[[*text, 5] for text in each] for each in fitting]
    with pytest.raises(WorkbenchError, match="as many tokens as the prompt"):
        attribute_tokens(run, longer, metric, tokens_per_forward=BUDGET)
