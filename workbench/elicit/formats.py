"""How answers and confidence are asked for: each format is one row of data.

The two-turn format asks the question, lets the model answer, then asks in a second turn how confident it is. The
confidence turn opens with ``confidence_prefix``; what the model writes next is its stated confidence. The answer cannot
be changed by anything learned about the second turn.
"""

from __future__ import annotations

from dataclasses import dataclass

from workbench.errors import WorkbenchError
from workbench.models import Turn


@dataclass(frozen=True)
class Scale:
    """A confidence scale: the values a model may state, how they are written, and the value that means certainty."""

    values: tuple[int, ...]
    certain: int
    texts: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not self.texts:
            object.__setattr__(self, "texts", tuple(str(value) for value in self.values))
        if len(self.texts) != len(self.values):
            raise WorkbenchError("A scale needs one text a value.")
        if list(self.values) != sorted(set(self.values)) or self.certain < self.values[-1]:
            raise WorkbenchError("A scale's values must ascend, and none may exceed the value that means certainty.")


@dataclass(frozen=True)
class Format:
    """Prompt texts and scale of one way to elicit an answer and its confidence.

    Attributes:
        system: system turn that shapes the answer ("" for none).
        answer_prefix: opens the assistant's answer.
        confidence_question: the user's second turn.
        confidence_prefix: opens the assistant's confidence reply.
        separator: between the prefix and the number.
        ending: written behind the number in training targets.
    """

    name: str
    system: str
    answer_prefix: str
    confidence_question: str
    confidence_prefix: str
    separator: str
    ending: str
    scale: Scale

    def answer_turns(self, question: str) -> tuple[Turn, ...]:
        """Turns up to the answer; the assistant turn opens with ``answer_prefix``."""
        system = (Turn("system", self.system),) if self.system else ()
        return (*system, Turn("user", question))

    def answer_text(self, answer: str) -> str:
        """The assistant turn as it stands in the conversation."""
        return f"{self.answer_prefix} {answer}".strip()

    def confidence_turns(self, question: str, answer: str) -> tuple[Turn, ...]:
        """Turns up to the confidence reply, which opens with ``confidence_prefix``."""
        return (
            *self.answer_turns(question),
            Turn("assistant", self.answer_text(answer)),
            Turn("user", self.confidence_question),
        )


PERCENT = Scale(values=tuple(range(101)), certain=100)
ROMAN = Scale(values=(0, 1), certain=1, texts=("i", "ii"))

FORMATS: dict[str, Format] = {
    row.name: row
    for row in (
        Format(
            name="percent",
            system="Answer with only the answer.",
            answer_prefix="Answer:",
            confidence_question="How confident are you that this answer is correct, from 0% to 100%?",
            confidence_prefix="Confidence:",
            separator=" ",
            ending="%",
            scale=PERCENT,
        ),
        Format(
            name="i-ii",
            system="Answer with only the answer.",
            answer_prefix="Answer:",
            confidence_question="Is the proposed answer correct?\n(i) no\n(ii) yes",
            confidence_prefix="Answer:",
            separator=" ",
            ending="",
            scale=ROMAN,
        ),
    )
}


def format_named(name: str) -> Format:
    """The format of this name, or an error listing the names there are."""
    if name not in FORMATS:
        raise WorkbenchError(f"Unknown elicitation format {name!r}; choose one of {', '.join(sorted(FORMATS))}.")
    return FORMATS[name]
