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
answers, in the same reply; with thinking on, a model whose template has thoughts thinks there. A
second thought comes before the confidence, in the reply that states it.

Every row works with chat templates that have no system role: :func:`workbench.models.encode` then
writes the system text at the head of the first user turn.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal, get_args

from workbench.elicit.examples import Example
from workbench.elicit.scales import Scale
from workbench.errors import WorkbenchError
from workbench.models.turn import History, Reply, ThinkingReply, Turn
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
        second_thought: whether the model thinks before it states its confidence too.
        thinking: whether the model thinks before it answers.
        history: what earlier turns show of a thought, see :class:`ThinkingReply`.
        examples: worked examples that come first, for models asked in plain text.
        offer: what may be chosen in place of the answer ("pass", "delegate"); "" where a confidence
            is asked for and no choice is offered.
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
    second_thought: bool = False
    thinking: bool = False
    history: History = "template"
    examples: tuple[Example, ...] = ()
    offer: str = ""

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
        if self.offer and len(self.scale.texts) != 2:
            raise WorkbenchError(
                f"Format {self.name!r}: a choice has two texts, and this scale has "
                f"{len(self.scale.texts)}; give the one that declines and the one that commits."
            )
        if self.second_thought and self.layout in (*_IN_THE_ANSWERS_REPLY, "pair"):
            raise WorkbenchError(
                f"Format {self.name!r}: a thought before the confidence needs a reply of its own; "
                "use the layout two-turn, question-alone or review."
            )
        if self.thinking and (self.reasoning_prefix or self.layout in ("confidence-first", "pair")):
            raise WorkbenchError(
                f"With elicit.thinking=on the model thinks before its answer, and the format "
                f"{self.name!r} has {self._instead} there; set elicit.thinking=off, or "
                "elicit.format to another, such as percent."
            )

    @property
    def _instead(self) -> str:
        """What comes before the answer in formats in which a thought cannot."""
        if self.reasoning_prefix:
            return "reasoning in words"
        return "no answer" if self.layout == "pair" else "the confidence"

    @property
    def shows_answer(self) -> bool:
        """Whether the answer precedes the confidence in one conversation."""
        return self.layout in ("two-turn", "one-turn", "review")

    @property
    def reasons(self) -> bool:
        """Whether something is reasoned before the answer: in words, or in a thought."""
        return self.thinking or bool(self.reasoning_prefix)

    @property
    def thinks_again(self) -> bool:
        """Whether a thought comes before the confidence, in a reply of its own."""
        return self.thinking and self.second_thought

    def answer_turns(self, question: str) -> tuple[Turn, ...]:
        """Return the turns up to the answer, worked examples included; the assistant turn opens
        with :meth:`answer_opening`.
        """
        system = (Turn("system", self.system),) if self.system else ()
        shown = tuple(turn for one in self.examples for turn in self._example_turns(one))
        return (*system, *shown, Turn("user", question))

    def answer_opening(self, reasoning: str | None = "", stated: str = "") -> Reply:
        """Return what the assistant has written when its answer begins: its reasoning or thought,
        or the confidence stated first.

        Args:
            reasoning: None for a thought that is still to come.
        """
        if self.thinking:
            words = "" if reasoning is None else self.answer_prefix
            return ThinkingReply(reasoning, words, history=self.history)
        return self._answer_words(reasoning or "", stated)

    def answer_text(self, answer: str, reasoning: str = "") -> str:
        """Return the assistant turn that gives the answer, as it is written in the conversation,
        without a thought.
        """
        return f"{self._answer_words(reasoning, '')} {answer}".strip()

    def answer_reply(self, answer: str, reasoning: str = "") -> Reply:
        """Return the assistant's reply up to the end of the answer, its thought included."""
        text = self.answer_text(answer, reasoning)
        return ThinkingReply(reasoning, text, history=self.history) if self.thinking else text

    def confidence_turns(self, question: str, answer: str, reasoning: str = "") -> tuple[Turn, ...]:
        """Return the turns up to the reply that states the confidence, which opens with
        :meth:`confidence_opening`.
        """
        if self.layout == "two-turn":
            thought = reasoning if self.thinking else None
            said = Turn("assistant", self.answer_text(answer, reasoning), thought)
            return (*self.answer_turns(question), said, Turn("user", self.confidence_question))
        if self.layout in _IN_THE_ANSWERS_REPLY:
            return self.answer_turns(question)
        shown = tuple(
            turn
            for one in self.examples
            for turn in (
                self._quoting_turn(one.question, one.answer),
                Turn("assistant", self._stated(one.certainty)),
            )
        )
        return (*shown, self._quoting_turn(question, answer))

    def confidence_opening(
        self, answer: str, reasoning: str = "", thought: str | None = ""
    ) -> Reply:
        """Return what the assistant has written in its reply when the separator and the confidence
        follow.

        Args:
            thought: what is thought in the reply that states the confidence, where there is any;
                None for a thought that is still to come.
        """
        if self.layout == "one-turn":
            return self.answer_reply(answer, reasoning) + f"\n{self.confidence_prefix}"
        if self.thinking:
            words = "" if thought is None else self.confidence_prefix
            return ThinkingReply(thought, words, history=self.history)
        return self.confidence_prefix

    def confidence_request(
        self, question: str, answer: str, reasoning: str = "", thought: str | None = ""
    ) -> tuple[tuple[Turn, ...], Reply]:
        """Return the turns up to the confidence reply, and the opening of that reply.

        Args:
            question, answer: for a format of pairs, its two questions.
            thought: as in :meth:`confidence_opening`.
        """
        if self.layout == "pair":
            return self.pair_turns(question, answer), self.confidence_prefix
        opening = self.confidence_opening(answer, reasoning, thought)
        return self.confidence_turns(question, answer, reasoning), opening

    def pair_turns(self, first: str, second: str) -> tuple[Turn, ...]:
        """Return the turn that asks which of two questions would be answered correctly more
        likely, after such pairs of the worked examples.
        """
        shown: list[Turn] = []
        for one, other in pairwise(self.examples):
            likelier = float(one.certainty > other.certainty)
            asked = self._pair_turn(one.question, other.question)
            shown += [asked, Turn("assistant", self._stated(likelier))]
        return (*shown, self._pair_turn(first, second))

    def _answer_words(self, reasoning: str, stated: str) -> str:
        if self.layout == "confidence-first":
            confidence = f"{self.confidence_prefix}{self.separator}{stated}{self.ending}"
            return f"{confidence}\n{self.answer_prefix}"
        if self.reasoning_prefix:
            return f"{self.reasoning_prefix} {reasoning}".strip() + f"\n{self.answer_prefix}"
        return self.answer_prefix

    def _quoting_turn(self, question: str, answer: str) -> Turn:
        given = answer if self.options else spelled_out(question, answer)
        asked = quoted(question, self.options)
        return Turn("user", _filled(self.confidence_question, question=asked, answer=given))

    def _pair_turn(self, first: str, second: str) -> Turn:
        one, other = quoted(first, self.options), quoted(second, self.options)
        return Turn("user", _filled(self.confidence_question, first=one, second=other))

    def _example_turns(self, one: Example) -> tuple[Turn, ...]:
        """Return a worked example as the conversation that the format would have had on it."""
        stated = self._stated(one.certainty)
        words = self._answer_words(one.reasoning, self._nearest(one.certainty))
        answer = f"{words} {one.answer}".strip()
        asked = Turn("user", one.question)
        if self.layout == "one-turn":
            return asked, Turn("assistant", f"{answer}\n{stated}")
        if self.layout == "two-turn":
            then = (Turn("user", self.confidence_question), Turn("assistant", stated))
            return asked, Turn("assistant", answer), *then
        return asked, Turn("assistant", answer)

    def _stated(self, certainty: float) -> str:
        return f"{self.confidence_prefix}{self.written(self._nearest(certainty))}{self.ending}"

    def _nearest(self, certainty: float) -> str:
        """Return the text of the scale that is worth a share of certainty most nearly."""
        apart = [abs(share - certainty) for share in self.scale.shares]
        return self.scale.texts[apart.index(min(apart))]

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
