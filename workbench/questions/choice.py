"""Write multiple-choice questions: options with letters, in an order drawn by seed, and the same
item without its options.

A choice question keeps its options apart from its text, so that one item can be asked with the
options shown (:func:`prompt_text`) and not shown (``question.text``), and read by letter either
way. :func:`shuffled` draws the order of the options by a hash of seed and question: the letter of
the right option says nothing, whatever the source's habits, and is the same on every machine.
Options that refer to other options ("none of the above", "both A and B") keep their order.
:func:`open_variant` is the same item as an open question with the right option's text as its
answer. Both variants keep the item's id and text, so that they pair up and fall on the same side of
a split.

What this does not show: whether an open variant has other right answers than the option's text; a
judge (:mod:`workbench.elicit.judge`) or aliases must cover them. :func:`stands_alone` is a
heuristic on wording.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from string import ascii_uppercase

from workbench.errors import WorkbenchError
from workbench.questions.hashing import hash_permutation
from workbench.questions.normalise import choice_letter, number_of, question_key
from workbench.questions.schema import Question

_SPEAKS_OF_OPTIONS = re.compile(
    r"\b(?:above|below|these options|these answers|other options)\b|\b[A-J]\)?(?:,| and| or| nor| &) ?\(?[A-J]\b"
)
_NEEDS_OPTIONS = re.compile(
    r"\b(?:(?:which|what|who|whom|whose|all|any|none|one|each|both|either|neither) of (?:the following|these|those)|the following|"
    r"(?:best|most|least|not) (?:likely|correctly|accurately)|except)\b|_{2,}\s*\S",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class ChoiceTemplate:
    """The template of a question with options: ``option`` has the fields letter and option;
    ``closing`` says how to answer.
    """

    name: str
    option: str
    closing: str


TEMPLATES: dict[str, ChoiceTemplate] = {
    row.name: row
    for row in (
        ChoiceTemplate(
            "dotted", "{letter}. {option}", "Answer with the letter of the right option."
        ),
        ChoiceTemplate(
            "bracketed", "({letter}) {option}", "Answer with the letter of the right option."
        ),
        ChoiceTemplate("bare", "{letter}) {option}", ""),
    )
}


def prompt_text(question: Question, template: str = "dotted") -> str:
    """Return the text a model is asked: the question, its options one per line if it has any, and
    how to answer.

    Raises:
        WorkbenchError: for an unknown template.
    """
    if template not in TEMPLATES:
        raise WorkbenchError(
            f"Unknown choice template {template!r}; choose one of {', '.join(sorted(TEMPLATES))}."
        )
    if not question.options:
        return question.text
    row = TEMPLATES[template]
    pairs = zip(question.letters, question.options, strict=True)
    options = [row.option.format(letter=letter, option=option) for letter, option in pairs]
    return "\n".join([question.text, *options, *filter(None, [row.closing])])


def right_options(question: Question) -> tuple[str, ...]:
    """Return the texts of the options whose letters are accepted."""
    right = {choice_letter(answer) for answer in question.answers}
    return tuple(
        option
        for letter, option in zip(question.letters, question.options, strict=True)
        if letter in right
    )


def shuffled(question: Question, seed: int) -> Question:
    """Return the question with its options in an order fixed by ``seed`` and its text, and
    ``answers`` following them.

    Questions without options, and those whose options refer to each other, are returned unchanged.
    """
    if any(_SPEAKS_OF_OPTIONS.search(option) for option in question.options):
        return question
    # Sorted first, so that the published order leaves no trace.
    ordered = sorted(question.options)
    places = hash_permutation(len(ordered), f"options:{seed}:{question_key(question.text)}")
    return with_options(question, [ordered[place] for place in places], right_options(question))


def with_options(question: Question, options: Sequence[str], right: Iterable[str]) -> Question:
    """Return the question as a choice among ``options`` in the order given, of which those in
    ``right`` are accepted.
    """
    if not options:
        return question
    accepted = set(right)
    letters = tuple(
        letter
        for letter, option in zip(ascii_uppercase, options, strict=False)
        if option in accepted
    )
    return replace(question, kind="choice", options=tuple(options), answers=letters)


def open_variant(question: Question, aliases: Sequence[str] = ()) -> Question:
    """Return the same item asked openly: no options, the right options' texts and ``aliases`` as
    answers.

    Open and numeric questions are returned unchanged.

    Raises:
        WorkbenchError: for a choice question whose options are part of its text.
    """
    if question.kind != "choice":
        return question
    if not question.options:
        raise WorkbenchError(
            f"Question {question.id!r} is a choice without options of its own; list them in the "
            "field 'options'."
        )
    answers = tuple(dict.fromkeys([*right_options(question), *aliases]))
    numeric = bool(answers) and all(number_of(answer) is not None for answer in answers)
    return replace(question, kind="numeric" if numeric else "open", options=(), answers=answers)


def stands_alone(question: Question) -> bool:
    """Return whether the question can be asked without its options, judged by its wording."""
    spoken_of = any(_SPEAKS_OF_OPTIONS.search(option) for option in question.options)
    return not question.options or not (spoken_of or _NEEDS_OPTIONS.search(question.text))
