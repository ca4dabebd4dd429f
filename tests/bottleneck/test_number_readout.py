"""Readouts are the derivatives of what plain forwards read."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import pytest
import torch

from tests.support.scale_prompts import PROMPTS, trie_of
from workbench.bottleneck.number_readout import (
    first_tokens,
    head_rows,
    high_minus_low,
    jacobian_rows,
    lens_rows,
)
from workbench.errors import WorkbenchError
from workbench.models import LanguageModel
from workbench.teach.adapter import add_adapter
from workbench.trace.record import record_states

MakeTiny = Callable[..., LanguageModel]
LAYER, STEP = 1, 1e-2


def moved_logits(
    lm: LanguageModel, prompt: Sequence[int], tokens: Sequence[int], move: torch.Tensor
) -> np.ndarray:
    """The logits at the prompt's end of a plain forward with ``move`` added after LAYER there."""

    def hook(module: object, args: object, output: object) -> object:
        hidden = output[0] if isinstance(output, tuple) else output
        changed = hidden.clone()
        changed[:, -1] += move
        return (changed, *output[1:]) if isinstance(output, tuple) else changed

    handle = lm.layers()[LAYER].register_forward_hook(hook)
    with torch.no_grad():
        found = lm.base()(input_ids=torch.tensor([list(prompt)])).logits[0, -1, list(tokens)]
    handle.remove()
    return found.double().numpy()


@pytest.mark.parametrize("family", ["llama", "gemma2", "gpt2", "cohere2"])
def test_the_jacobian_is_that_of_plain_forwards(make_tiny: MakeTiny, family: str) -> None:
    lm = make_tiny(family)
    tokens = first_tokens(trie_of(lm))
    found = jacobian_rows(lm, PROMPTS, tokens, tokens_per_forward=8)
    assert found.shape == (lm.n_layers, len(tokens), lm.width)
    move = torch.randn(lm.width, generator=torch.Generator().manual_seed(0))
    slopes = [
        (
            moved_logits(lm, prompt, tokens, STEP * move)
            - moved_logits(lm, prompt, tokens, -STEP * move)
        )
        / (2 * STEP)
        for prompt in PROMPTS
    ]
    np.testing.assert_allclose(found[LAYER] @ move.double().numpy(), np.mean(slopes, axis=0), atol=5e-4)


def test_at_the_last_layer_the_jacobian_is_the_logit_lens(tiny_lm: LanguageModel) -> None:
    tokens = first_tokens(trie_of(tiny_lm))
    ends = [[len(prompt) - 1] for prompt in PROMPTS]
    states = record_states(tiny_lm, PROMPTS, ends)[:, :, 0]
    lens = lens_rows(tiny_lm, states[:, -1], tokens)
    jacobian = jacobian_rows(tiny_lm, PROMPTS, tokens, tokens_per_forward=512)
    np.testing.assert_allclose(jacobian[-1], lens, atol=1e-5)
    assert not np.allclose(jacobian[0], lens_rows(tiny_lm, states[:, 0], tokens), atol=1e-2)


def test_the_heads_rows_are_its_weights(tiny_lm: LanguageModel) -> None:
    tokens = first_tokens(trie_of(tiny_lm))
    found = head_rows(tiny_lm, torch.randn(3, tiny_lm.width), tokens)
    np.testing.assert_allclose(found, tiny_lm.head().weight[list(tokens)].detach().numpy(), atol=1e-6)


def test_an_adapter_on_the_prompts_end_acts_there_alone(make_tiny: MakeTiny) -> None:
    """Its gradients are those of a pass whose beginning the base model computed."""
    lm = make_tiny()
    tokens = first_tokens(trie_of(lm))
    base = jacobian_rows(lm, PROMPTS, tokens, tokens_per_forward=512)
    taught = adapted(lm, invocation=2)
    found = jacobian_rows(taught, PROMPTS, tokens, tokens_per_forward=512)
    assert not np.allclose(found[LAYER], base[LAYER], atol=1e-3)
    ends = [[len(prompt) - 1] for prompt in PROMPTS]
    last = record_states(taught, PROMPTS, ends)[:, -1, 0]
    np.testing.assert_allclose(found[-1], lens_rows(taught, last, tokens), atol=1e-5)
    whole = adapted(make_tiny(), invocation=None)
    assert not np.allclose(found[LAYER], jacobian_rows(whole, PROMPTS, tokens, tokens_per_forward=512)[LAYER], atol=1e-3)


def test_high_numbers_weigh_against_low_ones(make_tiny: MakeTiny) -> None:
    digits = trie_of(make_tiny())
    found = high_minus_low(digits)
    # 51 to 100: nine fives, ten of each digit above, and 100; 0 to 49: 0, then 1 to 9, then tens.
    above = np.array([0, 1, 0, 0, 0, 9, 10, 10, 10, 10]) / 50
    below = np.array([1, 11, 11, 11, 11, 1, 1, 1, 1, 1]) / 50
    np.testing.assert_allclose(found, above - below)
    whole = high_minus_low(trie_of(make_tiny(tokenizer="whole_numbers")))
    assert set(whole.round(6)) == {-0.02, 0.0, 0.02}
    assert whole.sum() == pytest.approx(0)


def test_a_model_that_cannot_be_packed_is_refused(make_tiny: MakeTiny) -> None:
    lm = make_tiny("falcon_h1")
    with pytest.raises(WorkbenchError, match="geometry=False"):
        jacobian_rows(lm, PROMPTS, first_tokens(trie_of(lm)), tokens_per_forward=512)
