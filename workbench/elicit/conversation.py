"""A conversation as tokens, with the positions the analyses read.

Positions are resolved per row by tokenising the conversation up to each place, and checked: the confidence position is
the last token before the first token of the number; the last answer token holds the last character of the assistant's
answer; the token behind it is the first one after the answer. :func:`show_position` prints a row with one token marked.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from workbench.elicit.formats import Format
from workbench.elicit.trie import NumberTrie, build_trie
from workbench.errors import WorkbenchError
from workbench.models import Turn, encode, encode_history, render

POSITIONS = ("confidence", "answer_end", "after_answer")
ANSWER_PROBE = "answer-probe"


@dataclass(frozen=True)
class Conversation:
    """Tokens up to and including the confidence position.

    Attributes:
        tokens: token ids; the last one stands at the confidence position.
        answer_end: index of the answer's last token.
        after_answer: index of the first token behind the answer.
    """

    tokens: tuple[int, ...]
    answer_end: int
    after_answer: int

    def __post_init__(self) -> None:
        if not 0 <= self.answer_end < self.after_answer <= self.confidence:
            raise WorkbenchError("Positions out of order: the answer must end before the confidence position.")

    @property
    def confidence(self) -> int:
        return len(self.tokens) - 1

    def position(self, name: str) -> int:
        """Index of a named position (one of POSITIONS)."""
        return {"confidence": self.confidence, "answer_end": self.answer_end, "after_answer": self.after_answer}[name]


@dataclass(frozen=True)
class NumberPrefix:
    """How numbers continue the confidence prefix: tokens they all begin with, and the trie of the rest."""

    shared: tuple[int, ...]
    trie: NumberTrie


def answer_tokens(tokenizer: Any, fmt: Format, question: str) -> tuple[int, ...]:
    """Tokens of the prompt the answer is generated from."""
    return tuple(encode(tokenizer, fmt.answer_turns(question), fmt.answer_prefix))


def number_prefix(tokenizer: Any, fmt: Format) -> NumberPrefix:
    """Tokenise the confidence reply with every value of the scale and build the trie of what differs."""
    opening = (Turn("user", fmt.confidence_question),)
    before = tuple(encode(tokenizer, opening, fmt.confidence_prefix))
    numbers = [tuple(encode(tokenizer, opening, _with_number(fmt, value))) for value in fmt.scale.values]
    shared = _common_prefix(numbers)
    if shared[: len(before)] != before:
        raise WorkbenchError(
            f"The tokenizer merges the end of the confidence prefix {fmt.confidence_prefix!r} with the number; "
            "end the prefix in a character that stands alone, for example a colon."
        )
    trie = build_trie([ids[len(shared) :] for ids in numbers], fmt.scale.values)
    return NumberPrefix(shared[len(before) :], trie)


def confidence_conversation(
    tokenizer: Any, fmt: Format, numbers: NumberPrefix, question: str, answer: str
) -> Conversation:
    """The conversation up to the confidence position, with its answer located."""
    tokens = tuple(encode(tokenizer, fmt.confidence_turns(question, answer), fmt.confidence_prefix))
    answer_end = _answer_end(tokenizer, fmt, tokens, question, answer)
    return Conversation((*tokens, *numbers.shared), answer_end, answer_end + 1)


def reply_tokens(tokenizer: Any, fmt: Format, numbers: NumberPrefix) -> tuple[int, ...]:
    """What stands between the question for confidence and the number: the template's opening of a reply and the prefix.

    Every conversation ends in these tokens, the last of which stands at the confidence position.
    """
    turns = fmt.confidence_turns("?", ANSWER_PROBE)
    whole = (*encode(tokenizer, turns, fmt.confidence_prefix), *numbers.shared)
    history = tuple(encode_history(tokenizer, turns))
    shared = next((i for i, pair in enumerate(zip(whole, history, strict=False)) if pair[0] != pair[1]), len(history))
    return whole[min(shared, len(whole) - 1) :]


def before_reply(conversation: Conversation, reply: Sequence[int]) -> tuple[int, ...]:
    """The conversation's tokens in front of ``reply``; an error where it ends otherwise."""
    if conversation.tokens[-len(reply) :] != tuple(reply) or conversation.after_answer >= len(
        conversation.tokens
    ) - len(reply):
        raise WorkbenchError(
            "A conversation does not end in the tokens that open the confidence reply, because the tokenizer merges them "
            "with what stands before; set teach.scope=conversation."
        )
    return conversation.tokens[: -len(reply)]


def number_tokens(numbers: NumberPrefix, value: int) -> tuple[int, ...]:
    """Tokens of a scale value behind the confidence position."""
    steps, _ = numbers.trie.ends[numbers.trie.values.index(value)]
    return tuple(token for _, token in steps)


def check_conversation(tokenizer: Any, fmt: Format, numbers: NumberPrefix, question: str, answer: str) -> None:
    """Assert that tokenising the whole string with a number gives the conversation followed by the trie's path."""
    conversation = confidence_conversation(tokenizer, fmt, numbers, question, answer)
    turns = fmt.confidence_turns(question, answer)
    for value in (fmt.scale.values[0], fmt.scale.values[-1]):
        whole = tuple(encode(tokenizer, turns, _with_number(fmt, value)))
        if whole != (*conversation.tokens, *number_tokens(numbers, value)):
            raise WorkbenchError(
                f"Tokenising the reply with the number {value} gives other tokens than prefix and number apart; "
                "the confidence position cannot be resolved for this tokenizer and format."
            )


def show_position(tokenizer: Any, tokens: Sequence[int], position: int) -> str:
    """The row as text with the token at ``position`` between guillemets."""
    before, after = tokenizer.decode(list(tokens[:position])), tokenizer.decode(list(tokens[position + 1 :]))
    return f"{before}«{tokenizer.decode([tokens[position]])}»{after}"


def _answer_end(tokenizer: Any, fmt: Format, tokens: tuple[int, ...], question: str, answer: str) -> int:
    """Index of the answer's last token, counted from the back where history is written unlike a fresh reply.

    Some templates open a reply with an empty thought that they leave out of earlier turns.
    """
    until_answer = tuple(encode(tokenizer, fmt.answer_turns(question), fmt.answer_text(answer)))
    end = len(until_answer) - 1
    if tokens[:end] == until_answer[:end]:
        return end
    marked = render(tokenizer, fmt.confidence_turns(question, ANSWER_PROBE), fmt.confidence_prefix)
    _, found, behind = marked.rpartition(ANSWER_PROBE)
    ids = tuple(tokenizer(behind, add_special_tokens=False)["input_ids"])
    if not found or tokens[-len(ids) :] != ids:
        raise WorkbenchError(
            "The chat template rewrites earlier turns, so the answer cannot be located in the conversation; "
            "use a template that keeps assistant turns as they were written."
        )
    return len(tokens) - len(ids) - 1


def _with_number(fmt: Format, value: int) -> str:
    return f"{fmt.confidence_prefix}{fmt.separator}{fmt.scale.texts[fmt.scale.values.index(value)]}"


def _common_prefix(sequences: Sequence[tuple[int, ...]]) -> tuple[int, ...]:
    shortest = min(sequences, key=len)
    for length in range(len(shortest) - 1, -1, -1):
        if all(s[:length] == shortest[:length] for s in sequences):
            return shortest[:length]
    return ()
