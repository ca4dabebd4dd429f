"""Hold a question with the model's greedy answer, as tokens: what every baseline reads.

The answer's tokens are those of the whole string, prompt and answer tokenised together, so that it
is scored as it is written in a conversation. They can differ from the tokens the model generated
where a text has several tokenisations.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from string import ascii_uppercase
from typing import Any

from workbench.elicit.conversation import answer_tokens
from workbench.elicit.formats import Format, require_no_thought
from workbench.errors import WorkbenchError
from workbench.models import Turn, encode
from workbench.questions import Question, prompt_text
from workbench.questions.option_lines import choice_of


@dataclass(frozen=True)
class Asked:
    """A question and its greedy answer.

    Attributes:
        prompt: token ids of the prompt the answer was generated from.
        answered: token ids of prompt and answer; equal to ``prompt`` for an empty answer.
        turns: the conversation up to the answer, the answer included.
        options: letters a choice question offers; () for other questions.
    """

    question: Question
    answer: str
    prompt: tuple[int, ...]
    answered: tuple[int, ...]
    turns: tuple[Turn, ...]
    options: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.answered[: len(self.prompt)] != self.prompt:
            raise WorkbenchError(
                f"Question {self.question.id!r}: the tokenizer merges the end of the prompt with "
                "the answer, so the answer "
                "cannot be scored; let the format's answer prefix end in a character that stands "
                "alone, such as a colon."
            )
        if (self.question.kind == "choice") != bool(self.options):
            raise WorkbenchError(
                f"Question {self.question.id!r}: a choice question needs the letters it offers, "
                "and only a choice question."
            )

    @property
    def text(self) -> str:
        """The text the model was asked: the question with its options."""
        return prompt_text(self.question)

    @property
    def answer_size(self) -> int:
        """Number of the answer's tokens."""
        return len(self.answered) - len(self.prompt)


def ask(
    tokenizer: Any, fmt: Format, questions: Sequence[Question], answers: Sequence[str]
) -> list[Asked]:
    """Tokenise ``questions`` with their greedy ``answers`` in ``fmt``, the format they were asked
    in.

    Raises:
        WorkbenchError: for a format with thinking on, whose answers no thought precedes here.
    """
    require_no_thought(fmt, "Baselines without training")
    out = []
    for question, answer in zip(questions, answers, strict=True):
        turns, text = fmt.answer_turns(prompt_text(question)), fmt.answer_text(answer)
        out.append(
            Asked(
                question=question,
                answer=answer,
                prompt=answer_tokens(tokenizer, fmt, prompt_text(question)),
                answered=tuple(encode(tokenizer, turns, text)),
                turns=(*turns, Turn("assistant", text)),
                options=letters_of(question),
            )
        )
    return out


def letters_of(question: Question) -> tuple[str, ...]:
    """Return the letters of a choice question's options, its declared ones or those written in its
    text; () for other questions.
    """
    if question.kind != "choice":
        return ()
    return question.letters or tuple(ascii_uppercase[: len(choice_of(question.text).lines)])
