"""Find the tokens that open the confidence reply: what every conversation of a format ends in.

An adapter on the reply acts on these tokens alone, and what comes before them is computed once.
They end at the confidence position. Where the answer's reply states the confidence, or a thought
comes before it, they are the end that all such replies share.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from workbench.elicit.answer_position import ANSWER_PROBE
from workbench.elicit.conversation import (
    Conversation,
    ScaleTokens,
    common_beginning,
    confidence_conversation,
)
from workbench.elicit.format import Format
from workbench.elicit.thought_positions import shared_tokens
from workbench.errors import WorkbenchError
from workbench.models import encode, encode_history

_ENDINGS = ("", "7", *".,:;!?)\"'")


def reply_tokens(tokenizer: Any, fmt: Format, numbers: ScaleTokens) -> tuple[int, ...]:
    """Return the tokens between the question for confidence and the number: the template's opening
    of a reply and the prefix.

    Every conversation ends in these tokens, the last of which is at the confidence position. Where
    the answer's reply states the confidence, they are the end that all such replies share, without
    the first token after the answer; where a thought comes first, without the first one after it.

    Raises:
        WorkbenchError: if the confidence prefix is a single token, so that no token is left.
    """
    if fmt.layout == "one-turn" or fmt.thinks_again:
        ends = [
            confidence_conversation(tokenizer, fmt, numbers, "?", *_varied(fmt, ending)).tokens
            for ending in _ENDINGS
        ]
        reply = common_beginning([tokens[::-1] for tokens in ends])[::-1][1:]
        if not reply:
            what = "the thought" if fmt.thinks_again else "the answer"
            raise WorkbenchError(
                f"The confidence prefix {fmt.confidence_prefix!r} is one token with this "
                f"tokenizer, so no token lies between {what} and the confidence for an adapter to "
                "act on; set teach.adapter_scope=conversation."
            )
        return reply
    turns, opening = fmt.confidence_request("?", ANSWER_PROBE, "")
    whole = (*encode(tokenizer, turns, opening), *numbers.shared)
    history = tuple(encode_history(tokenizer, turns, opening))
    shared = shared_tokens(whole, history)
    return whole[min(shared, len(whole) - 1) :]


def before_reply(conversation: Conversation, reply: Sequence[int]) -> tuple[int, ...]:
    """Return the conversation's tokens in front of ``reply``.

    Raises:
        WorkbenchError: if it does not end in ``reply``.
    """
    start = len(conversation.tokens) - len(reply)
    if (
        conversation.tokens[start:] != tuple(reply)
        or conversation.position("after_answer") >= start
    ):
        raise WorkbenchError(
            "A conversation does not end in the tokens that open the confidence reply, because the "
            "tokenizer merges them "
            "with what comes before; set teach.adapter_scope=conversation."
        )
    return conversation.tokens[:start]


def _varied(fmt: Format, ending: str) -> tuple[str, str, str]:
    """Return an answer, the reasoning before it and the thought after it, of which the last one
    before the confidence has this ending.
    """
    varied = ANSWER_PROBE + ending
    return (ANSWER_PROBE, "", varied) if fmt.thinks_again else (varied, "", "")
