"""Hold a question with its accepted answers, checked when it is made.

``text`` is what the model is asked, ``answers`` are the aliases any of which is right, ``domain``
is the group inside which discrimination is measured, ``source`` and ``licence`` say where the fact
comes from. ``kind`` chooses the grading rule: ``open`` (alias inside the reply), ``numeric`` (the
reply's number), ``choice`` (one letter) or ``math`` (an expression, compared exactly; needs the
package math-verify). ``answerable`` false marks a question that has no answer; its ``answers`` may
be empty.

``options`` of a choice question are its possible answers in the order of their letters; ``answers``
then holds the right letters and ``text`` the question without options
(:mod:`workbench.questions.choice` writes both out). A choice question without ``options`` has them
in its text. Options are different if their texts are: a symbol or the case of a letter is enough.

What this does not show: whether an answer is true. The checks are of form only.
"""

from __future__ import annotations

from dataclasses import dataclass
from string import ascii_uppercase
from typing import Literal, get_args

from workbench.errors import WorkbenchError
from workbench.questions.exact import require_math_verify
from workbench.questions.normalise import choice_letter, number_of

Kind = Literal["open", "numeric", "choice", "math"]
KINDS: tuple[str, ...] = get_args(Kind)


@dataclass(frozen=True)
class Question:
    """A question with its accepted answers.

    Raises:
        WorkbenchError: naming the field that is wrong.
    """

    id: str
    text: str
    answers: tuple[str, ...]
    domain: str
    source: str
    licence: str
    kind: Kind = "open"
    answerable: bool = True
    options: tuple[str, ...] = ()

    @property
    def letters(self) -> tuple[str, ...]:
        """The letters of ``options``."""
        return tuple(ascii_uppercase[: len(self.options)])

    def __post_init__(self) -> None:
        for field in ("id", "text", "domain"):
            if not getattr(self, field).strip():
                raise WorkbenchError(
                    f"Question {self.id!r}: field '{field}' is empty; give it a value."
                )
        if not isinstance(self.answers, tuple):
            raise WorkbenchError(
                f"Question {self.id!r}: field 'answers' must be a tuple of strings, not "
                f"{self.answers!r}."
            )
        if self.kind not in KINDS:
            raise WorkbenchError(
                f"Question {self.id!r}: field 'kind' is {self.kind!r}; use one of "
                f"{', '.join(KINDS)}."
            )
        if self.kind == "math":
            require_math_verify()
        self._check_answers()
        if self.options:
            self._check_options()

    def _check_answers(self) -> None:
        if self.answerable and not self.answers:
            raise WorkbenchError(
                f"Question {self.id!r}: field 'answers' is empty; list an accepted answer or set "
                "answerable to false."
            )
        if any(not answer.strip() for answer in self.answers):
            raise WorkbenchError(
                f"Question {self.id!r}: field 'answers' holds a blank answer; remove it."
            )
        if len(set(self.answers)) < len(self.answers):
            raise WorkbenchError(
                f"Question {self.id!r}: field 'answers' lists the same answer twice; remove one."
            )
        for answer in self.answers:
            if self.kind == "numeric" and number_of(answer) is None:
                raise WorkbenchError(
                    f"Question {self.id!r}: field 'answers' holds {answer!r}, which is not a "
                    "number; use kind 'open'."
                )
            if self.kind == "choice" and choice_letter(answer) is None:
                raise WorkbenchError(
                    f"Question {self.id!r}: field 'answers' holds {answer!r}, which is not one "
                    "letter; use kind 'open'."
                )

    def _check_options(self) -> None:
        if self.kind != "choice" or not isinstance(self.options, tuple):
            raise WorkbenchError(
                f"Question {self.id!r}: field 'options' belongs to kind 'choice' and is a tuple of "
                "strings; leave it out."
            )
        if not 2 <= len(self.options) <= len(ascii_uppercase):
            raise WorkbenchError(
                f"Question {self.id!r}: field 'options' needs 2 to {len(ascii_uppercase)} options."
            )
        plain = [" ".join(option.split()) for option in self.options]
        if not all(plain) or len(set(plain)) < len(plain):
            raise WorkbenchError(
                f"Question {self.id!r}: field 'options' holds a blank option or the same one "
                "twice; remove it."
            )
        for answer in self.answers:
            if choice_letter(answer) not in self.letters:
                raise WorkbenchError(
                    f"Question {self.id!r}: field 'answers' holds {answer!r}; with "
                    f"{len(self.options)} options the letters "
                    f"are {self.letters[0]} to {self.letters[-1]}."
                )
