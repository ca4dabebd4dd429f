"""Find a thought in a tokenised conversation, and name the positions in it that analyses read.

A conversation shows the thought before its answer where the confidence is stated in the same reply,
where thoughts are kept in history, and where the chat template writes earlier thoughts by itself;
most templates leave them out. :func:`shows_thought` says so for a format once, by a probe.

The positions are tokens of the thought's own text, its marks excluded: the ends of its first three
quarters by tokens, the first token of its last sentence, and its last token, which holds the last
character. An empty thought has all of them at the last token before it ends. Quarters are of tokens
and do not show where in its argument a thought stands.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from workbench.elicit.format import Format
from workbench.errors import WorkbenchError
from workbench.models import encode
from workbench.models.turn import ThinkingReply

THOUGHT_POSITIONS = (
    "thought_quarter",
    "thought_half",
    "thought_three_quarters",
    "thought_last_sentence",
    "thought_end",
)
_PROBE = "thought-probe"
_SENTENCE_ENDS = re.compile(r"(?<=[.!?…])\s+|\s*\n\s*")


@dataclass(frozen=True)
class ThoughtSpan:
    """The tokens of a thought in a conversation.

    Attributes:
        start, end: indices of its first and last token.
        sentence: index of the first token of its last sentence.
    """

    start: int
    end: int
    sentence: int

    def __post_init__(self) -> None:
        if not 0 <= self.start <= self.sentence <= self.end:
            raise WorkbenchError(
                f"A thought's positions are out of order: {self.start}, {self.sentence}, {self.end}"
            )

    def position(self, name: str) -> int:
        """Return the index of one of the THOUGHT_POSITIONS."""
        size = self.end - self.start
        return {
            "thought_quarter": self.start + size // 4,
            "thought_half": self.start + size // 2,
            "thought_three_quarters": self.start + 3 * size // 4,
            "thought_last_sentence": self.sentence,
            "thought_end": self.end,
        }[name]


def find_thought(
    tokenizer: Any, fmt: Format, tokens: Sequence[int], question: str, thought: str
) -> ThoughtSpan | None:
    """Return where the ``thought`` before the answer stands in a conversation's ``tokens``; None
    where conversations of this format show none.

    Raises:
        WorkbenchError: where the conversation should show it and does not.
    """
    if not shows_thought(tokenizer, fmt):
        return None
    found = _locate(tokenizer, fmt, tokens, question, thought)
    if found is None:
        raise WorkbenchError(
            "The chat template writes a thought differently in earlier turns, so it cannot be "
            "located in the conversation; set elicit.thinking_history=kept."
        )
    return found


@lru_cache(maxsize=64)
def shows_thought(tokenizer: Any, fmt: Format) -> bool:
    """Return whether conversations of this format show the thought before the answer."""
    if not fmt.thinking or fmt.layout not in ("one-turn", "two-turn"):
        return False
    turns, opening = fmt.confidence_request("?", "answer-probe", _PROBE)
    tokens = encode(tokenizer, turns, opening)
    return _locate(tokenizer, fmt, tokens, "?", _PROBE) is not None


def shared_tokens(first: Sequence[int], second: Sequence[int]) -> int:
    """Return how many tokens two sequences begin with alike."""
    pairs = zip(first, second, strict=False)
    return next(
        (i for i, pair in enumerate(pairs) if pair[0] != pair[1]), min(len(first), len(second))
    )


def last_sentence(thought: str) -> int:
    """Return the index of the character at which the last sentence begins."""
    starts = [match.end() for match in _SENTENCE_ENDS.finditer(thought.rstrip())]
    return max(starts, default=0)


def _locate(
    tokenizer: Any, fmt: Format, tokens: Sequence[int], question: str, thought: str
) -> ThoughtSpan | None:
    turns = fmt.answer_turns(question)

    def begun(text: str | None) -> list[int]:
        reply = ThinkingReply(text, closed=text is None, history=fmt.history)
        return encode(tokenizer, turns, reply)

    first = shared_tokens(begun(None), tokens)
    if not thought:
        return ThoughtSpan(first - 1, first - 1, first - 1)
    whole = begun(thought)
    end = len(whole) - 1
    if list(tokens[:end]) != whole[:end]:
        return None
    start = min(first, end)
    before = begun(thought[: last_sentence(thought)].rstrip())
    sentence = shared_tokens(before, tokens) if last_sentence(thought) else start
    return ThoughtSpan(start, end, min(max(sentence, start), end))
