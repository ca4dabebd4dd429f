from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch

from workbench.elicit.conversation import confidence_conversation, scale_tokens
from workbench.elicit.formats import format_named
from workbench.errors import WorkbenchError
from workbench.models import LanguageModel
from workbench.patch.steering import Push, pushes_along, spread_of, steer

PERCENT = format_named("percent")


def hooked(lm: LanguageModel, tokens: list[int], push: Push | None, start: int) -> torch.Tensor:
    """Next-token log-probabilities with a hook that adds the push from token ``start`` on."""

    def add(module: object, args: object, output: torch.Tensor) -> torch.Tensor:
        changed = output.clone()
        changed[:, start:] += push.vector
        return changed

    handle = None if push is None else lm.layers()[push.layer].register_forward_hook(add)
    try:
        with torch.no_grad():
            return (
                lm.base()(input_ids=torch.tensor([tokens]))
                .logits[0, -1]
                .double()
                .log_softmax(dim=-1)
            )
    finally:
        if handle is not None:
            handle.remove()


@pytest.mark.parametrize(
    ("family", "tokenizer"),
    [("llama", "digits"), ("mistral", "whole_numbers"), ("qwen2", "digits")],
)
def test_distribution_and_written_value_are_those_of_hooked_forwards(
    make_tiny: Callable[..., LanguageModel], family: str, tokenizer: str
) -> None:
    lm = make_tiny(family, tokenizer)
    numbers = scale_tokens(lm.tokenizer, PERCENT)
    pairs = [("Who?", "I"), ("What is 2 plus 2, and why is it so?", "4")]
    prompts = [
        confidence_conversation(lm.tokenizer, PERCENT, numbers, q, a).tokens for q, a in pairs
    ]
    vectors = torch.randn(3, lm.width, generator=torch.Generator().manual_seed(2))
    with torch.no_grad():
        lm.head().weight[list(numbers.trie.tokens)] *= 3
    pushes = [Push(0, vectors[0]), Push(2, 3 * vectors[1]), Push(3, -3 * vectors[2])]
    found = steer(lm, prompts, numbers.trie, pushes, tokens_per_forward=512)
    tokens = numbers.trie.tokens
    for row, prompt in enumerate(prompts):
        for place, push in enumerate([None, *pushes]):
            nodes = [
                hooked(lm, [*prompt, *path], push, len(prompt) - 1) for path in numbers.trie.inner
            ]
            table = torch.stack([node[list(tokens)] for node in nodes])
            np.testing.assert_allclose(
                found.distribution[row, place],
                numbers.trie.distribution(table),
                rtol=2e-3,
                atol=1e-7,
            )
            path: tuple[int, ...] = ()
            while path in numbers.trie.inner:
                token = int(nodes[numbers.trie.inner.index(path)].argmax())
                if token not in numbers.trie.children[numbers.trie.inner.index(path)]:
                    break
                path = (*path, token)
            values = {tuple(t for _, t in steps): value for (steps, _), value in
                      zip(numbers.trie.ends, numbers.trie.values, strict=True)}  # fmt: skip
            np.testing.assert_equal(found.written[row, place], float(values.get(path, np.nan)))
    assert np.isfinite(found.written).any()


def test_lengths_are_those_asked_for() -> None:
    directions = np.asarray([[3.0, 4.0], [0.0, 2.0]])
    pushes = pushes_along(directions, [1, 5], np.asarray([[-2.0, 1.0], [0.5, 4.0]]))
    assert [push.layer for push in pushes] == [1, 1, 5, 5]
    np.testing.assert_allclose(pushes[0].vector, [-1.2, -1.6], rtol=1e-6)
    assert [float(push.vector.norm()) for push in pushes] == pytest.approx([2, 1, 0.5, 4])
    with pytest.raises(WorkbenchError, match="length zero"):
        pushes_along(np.zeros((1, 2)), [0], np.ones((1, 1)))


def test_the_unit_of_length_is_the_spread_of_the_states() -> None:
    states = np.random.default_rng(0).normal(scale=[1.0, 2.0, 2.0], size=(20000, 3)) + 7
    assert spread_of(states) == pytest.approx(3, rel=0.02)
