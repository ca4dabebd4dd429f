"""Find rows too long for the model or for memory, before anything is asked.

A row's length counts its prompt and the tokens still to come: reasoning, answer, and what states
the confidence. It may not exceed what the model reads (:mod:`workbench.models.room`), and not the
memory bound of a pass either: batches are cut by that bound, a single row is not, and its memory
grows with its length. Rows of up to :data:`ORDINARY` tokens are taken under any bound.

An answer's text may have more tokens than were generated for it, so conversations are measured
again before their confidence is read.
"""

from __future__ import annotations

from collections.abc import Sequence

from workbench.elicit.answer import Limits
from workbench.elicit.conversation import ScaleTokens, scale_tokens
from workbench.elicit.format import Format
from workbench.elicit.readout import stated_tokens
from workbench.errors import WorkbenchError
from workbench.models import LanguageModel, Turn, encode
from workbench.models.room import require_room, room_of

ORDINARY = 2048
_MOST_TOKENS_A_BYTE = (
    12  # a character's compatibility form can be that much longer than the character
)


def check_lengths(
    lm: LanguageModel, lengths: Sequence[int], names: Sequence[str], tokens_per_pass: int
) -> None:
    """Refuse rows that are too long; the longest is named.

    Args:
        lengths: tokens of each row, those to come included.
        names: what errors call each row.
        tokens_per_pass: the memory bound.

    Raises:
        WorkbenchError: if a row is too long.
    """
    longest = max(range(len(lengths)), key=lengths.__getitem__, default=None)
    if longest is None:
        return
    length, most = lengths[longest], max(tokens_per_pass, ORDINARY)
    room = room_of(lm)
    limit = most if room.most is None else min(most, room.most)
    several = sum(length > limit for length in lengths)
    what = names[longest] + (f" (and {several - 1} more)" if several > 1 else "")
    require_room(lm, length, what)
    if length > most:
        raise WorkbenchError(
            f"{what} takes {length} tokens and a pass holds at most {most}, the memory bound: set "
            "model.tokens_per_forward "
            f"(--tokens-per-forward) to {length} if memory suffices, shorten the question or leave "
            "it out"
        )


def check_questions(
    lm: LanguageModel,
    fmt: Format,
    questions: Sequence[str],
    names: Sequence[str],
    limits: Limits,
    tokens_per_pass: int,
) -> None:
    """Refuse questions whose conversations in ``fmt`` would be too long, before any is asked."""
    most = max(tokens_per_pass, ORDINARY)
    limit = min(most, room_of(lm).most or most)
    numbers = None if fmt.layout == "pair" else scale_tokens(lm.tokenizer, fmt)
    fixed = _longest(lm, fmt, numbers, "?", limits)
    short = [
        fixed + _MOST_TOKENS_A_BYTE * len(text.encode("utf-8", "surrogatepass"))
        for text in questions
    ]
    lengths = [
        bound if bound <= limit else _longest(lm, fmt, numbers, text, limits)
        for text, bound in zip(questions, short, strict=True)
    ]
    check_lengths(lm, lengths, names, tokens_per_pass)


def question_names(questions: Sequence[str]) -> list[str]:
    """Return the names by which errors call questions without ids: their number and how
    they begin.
    """
    return [f"question {number} ({text[:40]!r})" for number, text in enumerate(questions, start=1)]


def _longest(
    lm: LanguageModel, fmt: Format, numbers: ScaleTokens | None, question: str, limits: Limits
) -> int:
    """Return the most tokens of the conversations that contain ``question``, those still to come
    included.
    """
    said, tokenizer = limits.of(fmt), lm.tokenizer
    opening = fmt.answer_opening(stated=max(fmt.scale.texts, key=len))
    longest = len(encode(tokenizer, fmt.answer_turns(question), opening)) + said
    if numbers is None:
        return longest
    turns: tuple[Turn, ...] = fmt.confidence_turns(question, "")
    asked = len(encode(tokenizer, turns, fmt.confidence_opening(""))) + len(numbers.shared)
    return max(longest, asked + said + stated_tokens(numbers))
