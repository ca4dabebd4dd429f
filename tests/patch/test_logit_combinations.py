from __future__ import annotations

from collections.abc import Callable

import pytest
import torch

from workbench.elicit.conversation import confidence_conversation, scale_tokens
from workbench.elicit.formats import Format
from workbench.elicit.readout import expected_confidence, read_confidence
from workbench.elicit.scales import PERCENT
from workbench.elicit.trie import build_trie
from workbench.errors import WorkbenchError
from workbench.models import LanguageModel
from workbench.patch.logit_combinations import expected_combination, logit_contrast, number_contrast

MakeTiny = Callable[..., LanguageModel]
FORMAT = Format("short", "", "A:", "Sure?", "C:", " ", "%", PERCENT)
QUESTIONS = (("Who?", "Ada"), ("What is 48 + 37?", "85"), ("Where is Lyon?", "in France"))


def test_a_number_against_the_scales_other_first_tokens() -> None:
    """Both 1 and 10 begin with token 7."""
    trie = build_trie([[7], [7, 8], [9], [5]], [1, 10, 2, 3])
    found = number_contrast(trie, [10, 2, 1])
    assert found.tokens == (5, 7, 9)
    assert found.weights.tolist() == [[-0.5, 1.0, -0.5], [-0.5, -0.5, 1.0], [-0.5, 1.0, -0.5]]
    with pytest.raises(WorkbenchError, match="4 is no value"):
        number_contrast(trie, [4])
    with pytest.raises(WorkbenchError, match="begin with one token"):
        number_contrast(build_trie([[7, 1], [7, 2]], [1, 2]), [1])


def test_logit_contrast_by_hand() -> None:
    found = logit_contrast([3, 1], [0], rows=2)
    assert found.tokens == (3, 1, 0)
    assert found.weights.tolist() == [[0.5, 0.5, -1.0]] * 2
    for chosen, others in (([], [1]), ([1], [1, 2])):
        with pytest.raises(WorkbenchError, match="either side, and none on both"):
            logit_contrast(chosen, others, rows=1)


@pytest.mark.parametrize(
    ("family", "kind"), [("llama", "digits"), ("gemma2", "digits"), ("granite", "whole_numbers")]
)
def test_the_expected_direction_is_the_slope_of_the_expectation(
    make_tiny: MakeTiny, family: str, kind: str
) -> None:
    """A bias on the head raises one uncapped logit at the prompt's end and at no node, by a hook
    on the head's first rows.
    """
    lm = make_tiny(family, kind)
    numbers = scale_tokens(lm.tokenizer, FORMAT)
    rows = [confidence_conversation(lm.tokenizer, FORMAT, numbers, q, a) for q, a in QUESTIONS]
    prompts = [row.tokens for row in rows]
    found = expected_combination(lm, prompts, numbers.trie, 100, tokens_per_forward=10**6)
    split = expected_combination(lm, prompts, numbers.trie, 100, tokens_per_forward=20)
    torch.testing.assert_close(split.weights, found.weights, rtol=1e-3, atol=1e-7)
    nodes = 1 + numbers.trie.tree.size
    step = 0.05

    def expectation(token: int, by: float) -> torch.Tensor:
        def nudge(
            module: torch.nn.Module, args: tuple[torch.Tensor, ...], output: torch.Tensor
        ) -> torch.Tensor | None:
            if len(output) != len(prompts) * nodes:
                return None
            moved = output.clone()
            moved[::nodes, token] += by / lm.architecture.logit_scale
            return moved

        handle = lm.head().register_forward_hook(nudge)
        table = read_confidence(lm, rows, numbers).distribution
        handle.remove()
        return torch.as_tensor(expected_confidence(table, numbers.trie.values, 100))

    for place in (0, len(found.tokens) - 1):
        token = found.tokens[place]
        slope = (expectation(token, step) - expectation(token, -step)) / (2 * step)
        torch.testing.assert_close(found.weights[:, place], slope, rtol=2e-2, atol=2e-6)
        assert slope.abs().max() > 1e-4
