"""Find the answer's last token in a tokenised conversation.

The position is counted from whichever end is certain: from the front where the conversation begins
with the very tokens of the answer's prompt, else from the back, by what the chat template writes
after an answer. It is never searched for by the answer's text, which may occur in the question too.
"""

from __future__ import annotations

from typing import Any

from workbench.elicit.format import Format
from workbench.errors import WorkbenchError
from workbench.models import encode, render

ANSWER_PROBE = "answer-probe"
"""A placeholder for any answer where the tokens around one are asked for."""


def find_answer_end(
    tokenizer: Any,
    fmt: Format,
    tokens: tuple[int, ...],
    question: str,
    answer: str,
    reasoning: str,
    thought: str = "",
) -> int:
    """Return the index of the answer's last token, counted from the front where an earlier turn is
    written like a fresh reply.

    Some templates open a reply with a thought that they leave out of earlier turns.

    Args:
        reasoning: the reasoning, or the thought, before the answer.
        thought: the thought before the confidence, in formats that have one.

    Raises:
        WorkbenchError: if the chat template rewrites earlier turns.
    """
    if fmt.layout == "two-turn":
        until_answer = tuple(
            encode(tokenizer, fmt.answer_turns(question), fmt.answer_reply(answer, reasoning))
        )
        end = len(until_answer) - 1
        if tokens[:end] == until_answer[:end]:
            return end
    turns, opening = fmt.confidence_request(question, ANSWER_PROBE, reasoning, thought)
    _, found, after = render(tokenizer, turns, opening).rpartition(ANSWER_PROBE)
    count = _count_tokens(tokenizer, tokens, after)
    if not found or count is None:
        raise WorkbenchError(
            "The chat template rewrites earlier turns, so the answer cannot be located in the "
            "conversation; "
            "use a template that keeps assistant turns as they were written."
        )
    return len(tokens) - count - 1


def _count_tokens(tokenizer: Any, tokens: tuple[int, ...], text: str) -> int | None:
    """Return how many of the last tokens write ``text``; None where they write something else.

    A token that holds the text's first white space together with what precedes it, such as a full
    stop and a line break, is not counted.
    """
    alone = tuple(tokenizer(text, add_special_tokens=False)["input_ids"])
    if tokens[-len(alone) :] == alone:
        return len(alone)
    wanted = "".join(text.split())
    counts = range(1, min(len(tokens), 2 * len(alone)) + 1)
    written = ["".join(tokenizer.decode(list(tokens[-count:])).split()) for count in counts]
    return max(
        (count for count, said in zip(counts, written, strict=True) if said == wanted), default=None
    )
