"""Readouts are the derivatives of what plain forwards read."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import pytest
import torch
from peft import LoraConfig, get_peft_model

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
from workbench.trace.forward import run_joint
from workbench.trace.hooks import hooked
from workbench.trace.layout import empty_tail, pad_prompts
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
    np.testing.assert_allclose(
        found[LAYER] @ move.double().numpy(), np.mean(slopes, axis=0), atol=5e-4
    )


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
    np.testing.assert_allclose(
        found, tiny_lm.head().weight[list(tokens)].detach().numpy(), atol=1e-6
    )


def with_adapter(lm: LanguageModel, length: int | None) -> LanguageModel:
    """A random adapter on a prompt's last tokens, or on all."""
    named = {} if length is None else {"alora_invocation_tokens": list(range(length))}
    config = LoraConfig(r=4, target_modules=["v_proj", "down_proj"], task_type="CAUSAL_LM", **named)
    model = get_peft_model(lm.base(), config).eval()
    generator = torch.Generator().manual_seed(4)
    for name, parameter in model.named_parameters():
        if "lora_" in name:
            parameter.data = torch.randn(parameter.shape, generator=generator) * 0.2
    return lm.with_model(model, length)


@pytest.mark.parametrize("length", [None, 1, 2])
def test_an_adapter_is_differentiated_through_where_it_acts(
    make_tiny: MakeTiny, length: int | None
) -> None:
    """The reference differentiates a whole pass, whose adapter starts at its column."""
    lm = with_adapter(make_tiny(), length)
    tokens = first_tokens(trie_of(lm))
    found = jacobian_rows(lm, PROMPTS, tokens, tokens_per_forward=512)
    wanted = np.zeros_like(found[LAYER])
    for prompt in PROMPTS:
        leaves: list[torch.Tensor] = []

        def leaf(hidden: torch.Tensor, leaves: list[torch.Tensor] = leaves) -> torch.Tensor:
            leaves.append(hidden.detach().requires_grad_())
            return leaves[0].view_as(leaves[0])

        one = pad_prompts([prompt], 0, lm.device)
        with hooked(lm, {(LAYER, "resid_post"): leaf}):
            final = run_joint(lm, one, empty_tail(one), None, (), None, gradients=True)
        with torch.enable_grad():
            logits = lm.head()(final[0, -1])[list(tokens)]
            for row, logit in enumerate(logits):
                (gradient,) = torch.autograd.grad(logit, leaves, retain_graph=True)
                wanted[row] += gradient[0, -1].double().numpy() / len(PROMPTS)
    np.testing.assert_allclose(found[LAYER], wanted, atol=1e-5)
    base = jacobian_rows(make_tiny(), PROMPTS, tokens, tokens_per_forward=512)
    assert not np.allclose(found[LAYER], base[LAYER], atol=1e-3)


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
