"""Patching by plain hooks of Hugging Face's own forward, one layer and token at a time."""

from __future__ import annotations

from typing import Any

import torch

from workbench.models import LanguageModel

READ = ("x", "y")


def plain_states(lm: LanguageModel, text: str) -> list[torch.Tensor]:
    """Output of every layer, [tokens, width]."""
    ids = torch.tensor([lm.tokenizer(text)["input_ids"]])
    out = lm.model(ids, output_hidden_states=True)
    kept: list[torch.Tensor] = [state[0] for state in out.hidden_states[1:-1]]
    last: list[torch.Tensor] = []
    handle = lm.layers()[-1].register_forward_hook(
        lambda module, args, output: last.append(output if torch.is_tensor(output) else output[0])
    )
    lm.model(ids)
    handle.remove()
    return [*kept, last[0][0]]


def plain_patch(
    lm: LanguageModel, text: str, layer: int, token: int, value: torch.Tensor, read: Any = READ
) -> float:
    """Logit difference with the output of ``layer`` replaced at one token."""
    ids = torch.tensor([lm.tokenizer(text)["input_ids"]])

    def replace(module: Any, args: Any, output: Any) -> Any:
        hidden = (output if torch.is_tensor(output) else output[0]).clone()
        hidden[0, token] = value
        return hidden if torch.is_tensor(output) else (hidden, *output[1:])

    handle = lm.layers()[layer].register_forward_hook(replace)
    logits = lm.model(ids).logits[0, -1]
    handle.remove()
    first, second = (lm.tokenizer(text)["input_ids"][0] for text in read)
    return float(logits[first] - logits[second])
