"""Write turns without a chat template, as the plain text of questions and answers that base models
continue:

    Answer with only the answer.

    Question: Which ocean lies between Africa and Australia?
    Answer: Indian Ocean

The system's text stands at the head. A user's turn is written after "Question: ", unless it begins
so by itself; an assistant's turn stands on the next line as it is, because what it says opens with
its own word ("Answer:", "Confidence:"). An empty line follows. So a reply ends with its line, and
any format can be written; worked examples are turns like all others
(:mod:`workbench.elicit.examples`). A text begins with the tokenizer's mark of beginnings, where the
tokenizer puts one before plain text.

This does not show what a model that was trained on a chat template would say under it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from workbench.models.turn import Turn

QUESTION = "Question: "


def use_plain_turns(tokenizer: Any) -> None:
    """Let the tokenizer's turns be written without a chat template, whether it has one or not."""
    tokenizer.plain_turns = True


def is_plain(tokenizer: Any) -> bool:
    """Return whether the tokenizer's turns are written without a chat template."""
    return bool(getattr(tokenizer, "plain_turns", False))


def write_plain(turns: Sequence[Turn]) -> str:
    """Return the turns as plain text; after a user's turn a reply can begin."""
    return "".join(_written(turn) for turn in turns)


def beginning_mark(tokenizer: Any) -> str:
    """Return the token that the tokenizer puts before any text; "" if none."""
    ids = tokenizer("a")["input_ids"]
    begins = tokenizer.bos_token_id is not None and ids[0] == tokenizer.bos_token_id
    return str(tokenizer.bos_token) if begins else ""


def _written(turn: Turn) -> str:
    if turn.role == "user":
        return f"{'' if turn.content.startswith(QUESTION) else QUESTION}{turn.content}\n"
    return f"{turn.content}\n\n"
