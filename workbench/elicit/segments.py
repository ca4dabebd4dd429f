"""Cut a conversation into named parts, so that rows with different numbers of tokens can be
compared part by part.

Question and answer differ in length from row to row; everything after the answer is the same text
in every row, which is checked. Parts follow one another without overlap from the question's first
token to the confidence position; what precedes the question (the system turn) belongs to none. Only
layouts in which the answer has a turn of the model to itself, and is not preceded by reasoning in
words, are cut. A thought that the conversation shows is cut into quarters by tokens, or is one part
where a row's has fewer than four. Borders are found by encoding the conversation with a placeholder
in place of the question or of the confidence question, as the whole conversation is encoded.

The parts do not show where within the question or the answer something happens.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from workbench.elicit.conversation import Conversation, ScaleTokens, answer_tokens
from workbench.elicit.format import Format
from workbench.elicit.reply_tokens import reply_tokens
from workbench.errors import WorkbenchError
from workbench.models import Turn, encode

QUESTION = "question"
OPENING = "answer's opening"
ANSWER = "answer"
AFTER_ANSWER = "first token after the answer"
TO_USER = "turn to the user"
TO_REPLY = "turn to the reply"
REPLY = "reply's opening"
CONFIDENCE = "confidence position"
THOUGHT = "thought"
QUARTERS = tuple(f"thought, quarter {number}" for number in (1, 2, 3, 4))
THOUGHT_ENDS = "turn from the thought"
_PLACEHOLDER = "§"


@dataclass(frozen=True)
class Segment:
    """A named part of every row: row r has the tokens ``starts[r]`` to ``ends[r]``, both
    included.
    """

    name: str
    starts: tuple[int, ...]
    ends: tuple[int, ...]

    def __post_init__(self) -> None:
        if len(self.starts) != len(self.ends) or any(
            s < 0 or e < s for s, e in zip(self.starts, self.ends, strict=True)
        ):
            raise WorkbenchError(
                f"The segment {self.name!r} needs a start and an end at or after it in every row."
            )


def segments_of(
    tokenizer: Any,
    fmt: Format,
    numbers: ScaleTokens,
    conversations: Sequence[Conversation],
    questions: Sequence[str],
    answers: Sequence[str],
    *,
    pieces: int,
) -> tuple[Segment, ...]:
    """Return the parts of ``conversations``, whose ``questions`` and ``answers`` they are, in the
    order of their tokens.

    ``pieces``: how many parts of about equal length the confidence question is cut into. Parts
    without tokens in this template are left out.

    Raises:
        WorkbenchError: where the rows do not share what follows the answer, the template rewrites
            the question, or the format's layout cannot be cut.
    """
    if fmt.layout not in ("two-turn", "one-turn") or fmt.reasoning_prefix:
        raise WorkbenchError(
            f"Conversations of the format {fmt.name!r} cannot be cut into parts; choose a two-turn "
            "or one-turn format without "
            "reasoning, such as percent."
        )
    rows = [
        _own(tokenizer, fmt, conversation, question, answer)
        for conversation, question, answer in zip(conversations, questions, answers, strict=True)
    ]
    suffixes = {
        conversation.tokens[conversation.position("after_answer") :]
        for conversation in conversations
    }
    if len(suffixes) != 1:
        raise WorkbenchError(
            "The text after the answer is tokenised differently from row to row, so rows cannot "
            "be aligned."
        )
    (shared,) = suffixes
    cuts = _shared(tokenizer, fmt, numbers, shared, questions[0], answers[0], pieces)
    named = [QUESTION, OPENING, *_thought_parts(conversations), THOUGHT_ENDS, ANSWER]
    own = [_segment(name, [row[name] for row in rows]) for name in named if name in rows[0]]
    ends = [conversation.position("after_answer") for conversation in conversations]
    return (
        *own,
        *(_segment(name, [(a + first, a + last) for a in ends]) for name, first, last in cuts),
    )


def _segment(name: str, spans: Sequence[tuple[int, int]]) -> Segment:
    return Segment(name, tuple(first for first, _ in spans), tuple(last for _, last in spans))


def _own(
    tokenizer: Any, fmt: Format, conversation: Conversation, question: str, answer: str
) -> dict[str, tuple[int, int]]:
    """Return the first and last token of the parts up to the answer.

    Raises:
        WorkbenchError: if the chat template writes the question differently in earlier turns.
    """
    asked = answer_tokens(tokenizer, fmt, question)
    first, after = _around(asked, answer_tokens(tokenizer, fmt, _PLACEHOLDER))
    whole = encode(tokenizer, fmt.answer_turns(question), fmt.answer_reply(answer))
    start = conversation.position("answer_end") + 1 - max(1, len(whole) - len(asked))
    last = len(asked) - after - 1
    if conversation.tokens[: last + 1] != asked[: last + 1] or not first <= last < start:
        raise WorkbenchError(
            "The chat template writes the question differently in earlier turns, so it cannot be "
            "located in the conversation."
        )
    parts = {QUESTION: (first, last), OPENING: (last + 1, start - 1)}
    if (thought := conversation.thought) is not None:
        parts[OPENING] = (last + 1, thought.start - 1)
        parts[THOUGHT] = (thought.start, thought.end)
        size = thought.end + 1 - thought.start
        borders = [thought.start + size * k // 4 for k in range(5)]
        inner = [(a, b - 1) for a, b in pairwise(borders)]
        parts |= dict(zip(QUARTERS, inner, strict=True))
        parts[THOUGHT_ENDS] = (thought.end + 1, start - 1)
    parts[ANSWER] = (start, conversation.position("answer_end"))
    return {name: (first, last) for name, (first, last) in parts.items() if first <= last}


def _thought_parts(conversations: Sequence[Conversation]) -> tuple[str, ...]:
    """Return the names of the parts that a thought is cut into, which every row must have."""
    spans = [each.thought for each in conversations if each.thought is not None]
    shortest = min((span.end + 1 - span.start for span in spans), default=0)
    return QUARTERS if shortest >= len(QUARTERS) else (THOUGHT,)


def _shared(
    tokenizer: Any,
    fmt: Format,
    numbers: ScaleTokens,
    shared: tuple[int, ...],
    question: str,
    answer: str,
    pieces: int,
) -> list[tuple[str, int, int]]:
    """Return name, first and last token of the parts after the answer, counted from the first token
    after it.
    """
    end = len(shared) - 1
    if fmt.layout == "one-turn":
        named = [(AFTER_ANSWER, 0, 0), (REPLY, 1, end - 1), (CONFIDENCE, end, end)]
        return [(name, a, b) for name, a, b in named if a <= b]
    turns, opening = fmt.confidence_request(question, answer)
    blank = (
        *encode(tokenizer, (*turns[:-1], Turn("user", _PLACEHOLDER)), opening),
        *numbers.shared,
    )
    whole = (*encode(tokenizer, turns, opening), *numbers.shared)
    first, after = _around(whole, blank)
    first, last = first - (len(whole) - len(shared)), len(shared) - after - 1
    reply = len(shared) - len(reply_tokens(tokenizer, fmt, numbers))
    size = last - first + 1
    borders = [first + round(k * size / pieces) for k in range(pieces + 1)]
    inner = [(a, b - 1) for a, b in pairwise(borders)]
    named = [(AFTER_ANSWER, 0, 0), (TO_USER, 1, first - 1)]
    named += [(f"“{tokenizer.decode(list(shared[a : b + 1])).strip()}”", a, b) for a, b in inner]
    named += [(TO_REPLY, last + 1, reply - 1), (REPLY, reply, end - 1), (CONFIDENCE, end, end)]
    return [(name, a, b) for name, a, b in named if a <= b]


def _around(one: Sequence[int], other: Sequence[int]) -> tuple[int, int]:
    """Return how many tokens two sequences share at their beginning and, of the rest, at
    their end.
    """
    shortest = min(len(one), len(other))
    first = next((k for k in range(shortest) if one[k] != other[k]), shortest)
    rest = shortest - first
    after = next((k for k in range(rest) if one[-1 - k] != other[-1 - k]), rest)
    return first, after
