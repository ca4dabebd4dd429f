"""Hold a conversation as tokens, with the positions the analyses read.

Positions are resolved per row by tokenising the conversation up to each place, and checked: the
confidence position is the last token before the first token of the number (or of the word or
letter, where the scale has those); the last answer token holds the last character of the answer as
the conversation quotes it; the token after it is the first one after the answer. Where the
confidence is asked for without the answer the last two do not exist. Positions in a thought are
those of :mod:`workbench.elicit.thought_positions`, where the conversation shows one.
:func:`show_position` prints a row with one token marked.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from workbench.elicit.answer_position import ANSWER_PROBE, find_answer_end
from workbench.elicit.format import Format
from workbench.elicit.scales import Scale
from workbench.elicit.thought_positions import (
    THOUGHT_POSITIONS,
    ThoughtSpan,
    find_thought,
    shared_tokens,
)
from workbench.elicit.trie import ScaleTrie, build_trie
from workbench.errors import WorkbenchError
from workbench.models import encode

POSITIONS = ("confidence", "answer_end", "after_answer")
QUESTION_END = "question_end"
"""The last token before anything is answered: what stands there knows the question alone."""


@dataclass(frozen=True)
class Conversation:
    """A conversation's tokens up to and including the confidence position.

    Attributes:
        tokens: token ids; the last one is at the confidence position.
        answer_end: index of the answer's last token, None where the conversation holds no answer.
        after_answer: index of the first token after the answer.
        question_end: index of the last token before the answer or its reasoning, at which an empty
            answer ends too; None where the conversation holds no answer.
        thought: the tokens of the thought before the answer; None where it shows none.
    """

    tokens: tuple[int, ...]
    answer_end: int | None
    after_answer: int | None
    question_end: int | None = None
    thought: ThoughtSpan | None = None

    def __post_init__(self) -> None:
        if self.answer_end is None or self.after_answer is None:
            wrong = self.answer_end is not self.after_answer
        else:
            wrong = not 0 <= self.answer_end < self.after_answer <= self.confidence
        if wrong:
            raise WorkbenchError(
                "Positions out of order: the answer must end before the confidence position."
            )

    @property
    def confidence(self) -> int:
        return len(self.tokens) - 1

    def position(self, name: str) -> int:
        """Return the index of a named position (one of POSITIONS, QUESTION_END, or of the
        THOUGHT_POSITIONS).

        Raises:
            WorkbenchError: for a position of the answer in a conversation without one, and of a
                thought in one that shows none.
        """
        if name in THOUGHT_POSITIONS:
            if self.thought is None:
                raise WorkbenchError(
                    f"The conversation shows no thought, so it has no position {name!r}; set "
                    "elicit.thinking=on with a format in one turn, or with "
                    "elicit.thinking_history=kept."
                )
            return self.thought.position(name)
        at = {
            "confidence": self.confidence,
            "answer_end": self.answer_end,
            "after_answer": self.after_answer,
            QUESTION_END: self.question_end,
        }[name]
        if at is None:
            raise WorkbenchError(
                "The conversation asks for confidence without the answer, so it has no position "
                f"{name!r}; "
                "choose a format that shows the answer."
            )
        return at


@dataclass(frozen=True)
class ScaleTokens:
    """The tokens by which the scale's texts continue the confidence prefix.

    Attributes:
        shared: tokens that all texts begin with, which belong to the prompt.
        said: what those tokens write of every text, such as the "Q" of "Q1" and "Q2"; "" where they
            are white space or none.
        trie: the tokens in which the texts differ.
    """

    scale: Scale
    shared: tuple[int, ...]
    said: str
    trie: ScaleTrie


def answer_tokens(
    tokenizer: Any, fmt: Format, question: str, *, reasoning: str = "", stated: str = ""
) -> tuple[int, ...]:
    """Return the tokens of the prompt the answer is generated from, after the reasoning or the
    confidence stated before it.
    """
    return tuple(
        encode(tokenizer, fmt.answer_turns(question), fmt.answer_opening(reasoning, stated))
    )


def answer_beginning(tokenizer: Any, fmt: Format) -> tuple[int, ...]:
    """Return the tokens that the answer prompts of most questions begin with: those shared by a
    question that starts with a letter and one that starts with a digit.
    """
    return common_beginning(
        [answer_tokens(tokenizer, fmt, question) for question in ("Who?", "7?")]
    )


def second_thought_tokens(
    tokenizer: Any, fmt: Format, question: str, answer: str, reasoning: str
) -> tuple[int, ...]:
    """Return the tokens of the prompt the thought before the confidence is generated from."""
    turns, opening = fmt.confidence_request(question, answer, reasoning, None)
    return tuple(encode(tokenizer, turns, opening))


def reasoning_tokens(tokenizer: Any, fmt: Format, question: str) -> tuple[int, ...]:
    """Return the tokens of the prompt the reasoning, or the thought, is generated from."""
    opening = fmt.answer_opening(None) if fmt.thinking else fmt.reasoning_prefix
    return tuple(encode(tokenizer, fmt.answer_turns(question), opening))


def scale_tokens(tokenizer: Any, fmt: Format) -> ScaleTokens:
    """Tokenise the confidence reply with every text of the scale and build the trie of what
    differs.

    Raises:
        WorkbenchError: if the tokenizer merges the end of the confidence prefix with the number.
    """
    turns, opening = fmt.confidence_request("?", ANSWER_PROBE, "")
    before = tuple(encode(tokenizer, turns, opening))
    numbers = [
        tuple(encode(tokenizer, turns, opening + fmt.written(text))) for text in fmt.scale.texts
    ]
    shared = common_beginning(numbers)
    if shared[: len(before)] != before:
        raise WorkbenchError(
            f"The tokenizer merges the end of the confidence prefix {fmt.confidence_prefix!r} with "
            "the number; "
            "end the prefix in a character that stands alone, for example a colon."
        )
    trie = build_trie([ids[len(shared) :] for ids in numbers], fmt.scale.values)
    own = shared[len(before) :]
    return ScaleTokens(fmt.scale, own, tokenizer.decode(list(own)).strip(), trie)


def confidence_conversation(
    tokenizer: Any,
    fmt: Format,
    numbers: ScaleTokens,
    question: str,
    answer: str = "",
    reasoning: str = "",
    thought: str = "",
) -> Conversation:
    """Return the conversation up to the confidence position, with its answer located.

    Args:
        reasoning: the reasoning, or the thought, before the answer.
        thought: the thought before the confidence, in formats that have one.
    """
    turns, opening = fmt.confidence_request(question, answer, reasoning, thought)
    tokens = tuple(encode(tokenizer, turns, opening))
    whole = (*tokens, *numbers.shared)
    if not fmt.shows_answer:
        return Conversation(whole, None, None)
    answer_end = find_answer_end(tokenizer, fmt, tokens, question, answer, reasoning, thought)
    before = shared_tokens(answer_tokens(tokenizer, fmt, question), tokens)
    return Conversation(
        whole,
        answer_end,
        answer_end + 1,
        min(before - 1, answer_end),
        find_thought(tokenizer, fmt, tokens, question, reasoning),
    )


def pair_conversation(
    tokenizer: Any, fmt: Format, numbers: ScaleTokens, first: str, second: str
) -> Conversation:
    """Return the conversation that asks which of two questions would be answered correctly, up to
    the choice.
    """
    tokens = encode(tokenizer, fmt.pair_turns(first, second), fmt.confidence_prefix)
    return Conversation((*tokens, *numbers.shared), None, None)


def number_tokens(numbers: ScaleTokens, value: float) -> tuple[int, ...]:
    """Return the tokens of a scale value after the confidence position."""
    steps, _ = numbers.trie.ends[numbers.trie.values.index(value)]
    return tuple(token for _, token in steps)


def check_conversation(
    tokenizer: Any,
    fmt: Format,
    numbers: ScaleTokens,
    question: str,
    answer: str = "",
    reasoning: str = "",
    thought: str = "",
) -> None:
    """Check that tokenising the whole string with a number gives the conversation followed by the
    trie's path.

    For a pair, ``question`` and ``answer`` are its two questions.

    Raises:
        WorkbenchError: if it gives other tokens.
    """
    if fmt.layout == "pair":
        conversation = pair_conversation(tokenizer, fmt, numbers, question, answer)
    else:
        conversation = confidence_conversation(
            tokenizer, fmt, numbers, question, answer, reasoning, thought
        )
    turns, opening = fmt.confidence_request(question, answer, reasoning, thought)
    for value in (fmt.scale.values[0], fmt.scale.values[-1]):
        whole = tuple(encode(tokenizer, turns, opening + fmt.written(fmt.scale.text(value))))
        if whole != (*conversation.tokens, *number_tokens(numbers, value)):
            raise WorkbenchError(
                f"Tokenising the reply with the number {fmt.scale.text(value)} gives other tokens "
                "than prefix and number "
                "apart; the confidence position cannot be resolved for this tokenizer and format."
            )


def show_position(tokenizer: Any, tokens: Sequence[int], position: int) -> str:
    """Return the row as text with the token at ``position`` between guillemets."""
    before, after = (
        tokenizer.decode(list(tokens[:position])),
        tokenizer.decode(list(tokens[position + 1 :])),
    )
    return f"{before}«{tokenizer.decode([tokens[position]])}»{after}"


def common_beginning(sequences: Sequence[tuple[int, ...]]) -> tuple[int, ...]:
    """Return the tokens that all sequences begin with, without the last of the shortest."""
    shortest = min(sequences, key=len)
    for length in range(len(shortest) - 1, -1, -1):
        if all(s[:length] == shortest[:length] for s in sequences):
            return shortest[:length]
    return ()
