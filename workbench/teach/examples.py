"""Training examples: a conversation up to the confidence position, then what should be written there.

The loss covers only the tokens the model has to write: the number, the scale's ending and the end of the turn. Examples
are padded on the left, so these tokens stand in the last columns of a batch and logits are needed there alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from workbench.elicit.conversation import Conversation, NumberPrefix, number_tokens
from workbench.elicit.formats import Format
from workbench.errors import WorkbenchError
from workbench.models import Turn, encode, render

IGNORED = -100


@dataclass(frozen=True)
class Example:
    """Token ids of prompt and target; the model is trained to continue ``prompt`` by ``target``."""

    prompt: tuple[int, ...]
    target: tuple[int, ...]

    def __post_init__(self) -> None:
        if not self.prompt or not self.target:
            raise WorkbenchError("A training example needs prompt and target tokens.")


def build_examples(
    tokenizer: Any, fmt: Format, numbers: NumberPrefix, conversations: Sequence[Conversation], targets: Sequence[int]
) -> list[Example]:
    """One example per conversation, stating its target."""
    ending = _ending_tokens(tokenizer, fmt)
    return [
        Example(conversation.tokens, (*number_tokens(numbers, int(target)), *ending))
        for conversation, target in zip(conversations, targets, strict=True)
    ]


def collate(examples: Sequence[Example], pad_token: int) -> dict[str, Tensor]:
    """Left-padded batch: input_ids, attention_mask, position_ids [rows, columns]; labels [rows, kept].

    Column j of ``labels`` is what the last ``kept`` columns of the input should predict, IGNORED in front of a shorter
    target.
    """
    rows = [example.prompt + example.target[:-1] for example in examples]
    columns, kept = max(map(len, rows)), max(len(e.target) for e in examples)
    input_ids = torch.full((len(rows), columns), pad_token, dtype=torch.long)
    mask = torch.zeros((len(rows), columns), dtype=torch.long)
    labels = torch.full((len(rows), kept), IGNORED, dtype=torch.long)
    for i, (row, example) in enumerate(zip(rows, examples, strict=True)):
        input_ids[i, columns - len(row) :] = torch.as_tensor(row)
        mask[i, columns - len(row) :] = 1
        labels[i, kept - len(example.target) :] = torch.as_tensor(example.target)
    positions = (mask.cumsum(dim=1) - 1).clamp(min=0)
    return {"input_ids": input_ids, "attention_mask": mask, "position_ids": positions, "labels": labels}


def _ending_tokens(tokenizer: Any, fmt: Format) -> tuple[int, ...]:
    """The scale's ending and the token that ends an assistant turn, as they stand behind a number."""
    number = f"{fmt.confidence_prefix}{fmt.separator}{fmt.scale.values[-1]}"
    opening = (Turn("user", fmt.confidence_question),)
    plain = encode(tokenizer, opening, number)
    ended = encode(tokenizer, opening, f"{number}{fmt.ending}")
    if ended[: len(plain)] != plain:
        raise WorkbenchError(f"The tokenizer merges the number with the ending {fmt.ending!r}; use another ending.")
    return (*ended[len(plain) :], _turn_end(tokenizer, fmt))


def _turn_end(tokenizer: Any, fmt: Format) -> int:
    """The token the chat template puts behind an assistant turn; the tokenizer's end token where it puts none."""
    marker = f"{fmt.confidence_prefix} 0"
    turns = (Turn("user", "?"), Turn("assistant", marker), Turn("user", "?"))
    _, _, rest = render(tokenizer, turns).rpartition(marker)
    following = tokenizer(rest, add_special_tokens=False)["input_ids"]
    special = set(tokenizer.all_special_ids)
    return next((t for t in following[:2] if t in special), tokenizer.eos_token_id)
