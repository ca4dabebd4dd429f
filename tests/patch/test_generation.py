"""Text under a patch is that of plain hooks, token by token."""

from __future__ import annotations

from typing import Any

import torch

from tests.support.plain_hooks import plain_states
from workbench.models import LanguageModel
from workbench.patch.generation import generate_patched
from workbench.trace import Patch, Site

CAT = "What is the cat"
LAYER, STEPS = 3, 6


def hooked(lm: LanguageModel, ids: list[int], value: torch.Tensor | None) -> list[int]:
    """Greedy tokens of whole forwards, with a layer's output replaced at one token."""

    def replace(module: Any, args: Any, output: Any) -> Any:
        hidden = (output if torch.is_tensor(output) else output[0]).clone()
        if value is not None:
            hidden[0, len(ids) - 1] = value
        return hidden if torch.is_tensor(output) else (hidden, *output[1:])

    handle = lm.layers()[LAYER].register_forward_hook(replace)
    text = list(ids)
    for _ in range(STEPS):
        text.append(int(lm.model(torch.tensor([text])).logits[0, -1].argmax()))
    handle.remove()
    return text[len(ids) :]


def test_both_texts_are_those_of_plain_hooks(tiny_lm: LanguageModel) -> None:
    ids = list(tiny_lm.tokenizer(CAT)["input_ids"])
    # Turned round, the last state makes the least likely token the most likely.
    value = -plain_states(tiny_lm, CAT)[LAYER][-1].detach()
    branch = [Patch(Site(LAYER), torch.tensor([len(ids) - 1]), value[None])]
    steps = list(generate_patched(tiny_lm, ids, lambda size: branch, STEPS, tokens_per_forward=512))
    plain, patched = hooked(tiny_lm, ids, None), hooked(tiny_lm, ids, value)
    assert plain != patched
    for index, wanted in enumerate((plain, patched)):
        written = [step[index] for step in steps if step[index] is not None]
        assert written == wanted[: len(written)]
        assert len(written) >= min(2, STEPS)


def test_a_branch_may_grow_with_the_text(tiny_lm: LanguageModel) -> None:
    ids, sizes = list(tiny_lm.tokenizer(CAT)["input_ids"]), []

    def branch_of(size: int) -> list[Patch]:
        sizes.append(size)
        push = torch.ones(1, tiny_lm.width)
        return [
            Patch(Site(2), torch.tensor([place]), push, "add")
            for place in range(len(ids) - 1, size)
        ]

    steps = list(generate_patched(tiny_lm, ids, branch_of, 3, tokens_per_forward=512))
    assert sizes == [len(ids) + step for step in range(len(steps))]
