"""Describe one way to elicit an answer and its confidence, and write its turns.

A layout says where the confidence is stated:

- ``two-turn``: the model answers, then is asked for its confidence in another turn.
- ``one-turn``: one reply holds the answer and, on its next line, the confidence.
- ``confidence-first``: one reply holds the confidence and, on its next line, the answer.
- ``question-alone``: the confidence is asked for with the question alone; the answer is given in
  another conversation.
- ``review``: question and answer are quoted in a new conversation, as the model's own or somebody
  else's.
- ``pair``: which of two questions would be answered correctly more likely; answers are given in
  other conversations.

Wherever the confidence follows the answer, or in another conversation, the answer cannot be changed
by anything learned about the confidence. With a reasoning prefix the model reasons before it
answers, in the same reply.

Every row works with chat templates that have no system role: :func:`workbench.models.encode` then
writes the system text at the head of the first user turn.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal, get_args

from workbench.elicit.scales import Scale
from workbench.errors import WorkbenchError
from workbench.models import Turn
from workbench.questions.option_lines import quoted, spelled_out

Layout = Literal["two-turn", "one-turn", "confidence-first", "question-alone", "review", "pair"]
_SLOTS: dict[str, tuple[str, ...]] = {
    "question-alone": ("question",),
    "review": ("question", "answer"),
    "pair": ("first", "second"),
}
_IN_THE_ANSWERS_REPLY = ("one-turn", "confidence-first")


@dataclass(frozen=True)
class Format:
    """The prompt texts and the scale of one way to elicit an answer and its confidence.

    Attributes:
        system: system turn that shapes the answer ("" for none).
        answer_prefix: opens the assistant's answer.
        confidence_question: the user's turn that asks for the confidence; with the slots
            {question}, {answer}, {first} and {second} where the layout quotes them; "" where the
            answer's reply states it.
        confidence_prefix: opens the assistant's confidence reply, or the line that states it.
        separator: between the prefix and the number.
        ending: written after the number in training targets.
        scale: the numbers, words or letters that may be stated.
        layout: where the confidence is stated.
        reasoning_prefix: opens the reasoning before the answer ("" for none).
        options: whether a quoted multiple-choice question is shown with its options.
    """

    name: str
    system: str
    answer_prefix: str
    confidence_question: str
    confidence_prefix: str
    separator: str
    ending: str
    scale: Scale
    layout: Layout = "two-turn"
    reasoning_prefix: str = ""
    options: bool = True

    def __post_init__(self) -> None:
        if self.layout not in get_args(Layout):
            raise WorkbenchError(
                f"Format {self.name!r}: unknown layout {self.layout!r}; use one of "
                f"{', '.join(get_args(Layout))}."
            )
        missing = [
            f"{{{slot}}}"
            for slot in _SLOTS.get(self.layout, ())
            if f"{{{slot}}}" not in self.confidence_question
        ]
        if missing:
            raise WorkbenchError(
                f"Format {self.name!r}: confidence_question must quote {' and '.join(missing)}."
            )
        if bool(self.confidence_question) == (self.layout in _IN_THE_ANSWERS_REPLY):
            raise WorkbenchError(
                f"Format {self.name!r}: the layout {self.layout!r} needs "
                + (
                    "no confidence_question."
                    if self.confidence_question
                    else "a confidence_question."
                )
            )
        if self.layout == "confidence-first" and self.reasoning_prefix:
            raise WorkbenchError(
                f"Format {self.name!r}: reasoning before the answer would come after the "
                "confidence."
            )

    @property
    def shows_answer(self) -> bool:
        """Whether the answer precedes the confidence in one conversation."""
        return self.layout in ("two-turn", "one-turn", "review")

    def answer_turns(self, question: str) -> tuple[Turn, ...]:
        """Return the turns up to the answer; the assistant turn opens with
        :meth:`answer_opening`.
        """
        system = (Turn("system", self.system),) if self.system else ()
        return (*system, Turn("user", question))

    def answer_opening(self, reasoning: str = "", stated: str = "") -> str:
        """Return what the assistant has written when its answer begins: its reasoning, or the
        confidence stated first.
        """
        if self.layout == "confidence-first":
            confidence = f"{self.confidence_prefix}{self.separator}{stated}{self.ending}"
            return f"{confidence}\n{self.answer_prefix}"
        if self.reasoning_prefix:
            return f"{self.reasoning_prefix} {reasoning}".strip() + f"\n{self.answer_prefix}"
        return self.answer_prefix

    def answer_text(self, answer: str, reasoning: str = "") -> str:
        """Return the assistant turn that gives the answer, as it is written in the conversation."""
        return f"{self.answer_opening(reasoning)} {answer}".strip()

    def confidence_turns(self, question: str, answer: str, reasoning: str = "") -> tuple[Turn, ...]:
        """Return the turns up to the reply that states the confidence, which opens with
        :meth:`confidence_opening`.
        """
        if self.layout == "two-turn":
            said = Turn("assistant", self.answer_text(answer, reasoning))
            return (*self.answer_turns(question), said, Turn("user", self.confidence_question))
        if self.layout in _IN_THE_ANSWERS_REPLY:
            return self.answer_turns(question)
        asked, given = (
            quoted(question, self.options),
            answer if self.options else spelled_out(question, answer),
        )
        return (Turn("user", _filled(self.confidence_question, question=asked, answer=given)),)

    def confidence_opening(self, answer: str, reasoning: str = "") -> str:
        """Return what the assistant has written in its reply when the separator and the confidence
        follow.
        """
        if self.layout == "one-turn":
            return f"{self.answer_text(answer, reasoning)}\n{self.confidence_prefix}"
        return self.confidence_prefix

    def confidence_request(
        self, question: str, answer: str, reasoning: str = ""
    ) -> tuple[tuple[Turn, ...], str]:
        """Return the turns up to the confidence reply, and the opening of that reply.

        Args:
            question, answer: for a format of pairs, its two questions.
        """
        if self.layout == "pair":
            return self.pair_turns(question, answer), self.confidence_prefix
        opening = self.confidence_opening(answer, reasoning)
        return self.confidence_turns(question, answer, reasoning), opening

    def pair_turns(self, first: str, second: str) -> tuple[Turn, ...]:
        """Return the turn that asks which of two questions would be answered correctly more
        likely.
        """
        asked = (quoted(question, self.options) for question in (first, second))
        return (
            Turn(
                "user",
                _filled(
                    self.confidence_question, **dict(zip(("first", "second"), asked, strict=True))
                ),
            ),
        )

    def written(self, text: str) -> str:
        """Return the separator and one of the scale's texts, as they continue the confidence
        opening.
        """
        return f"{self.separator}{text}"


def _filled(template: str, **texts: str) -> str:
    """Fill all slots of ``template`` at once, so that a slot spelled in a question stays as
    it is.
    """
    slots = "|".join(re.escape(f"{{{name}}}") for name in texts)
    return re.sub(slots, lambda match: texts[match.group()[1:-1]], template)
