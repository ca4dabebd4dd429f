"""List the hub sets in one table: one row each, and nothing about a set anywhere else.

``hub`` is the repository, ``configuration`` and ``split`` what is loaded of it unless another split
is asked for. Repositories that came with a loading script are read from the hub's conversion to
parquet (``revision``), where ``folder`` is the configuration. ``licence`` is the one the data card
or the authors' repository states ("not stated" where neither does). A set with ``options`` is one
of choice questions, whose right option is at the place ``right``.
"""

from __future__ import annotations

import difflib
from dataclasses import dataclass

from workbench.errors import WorkbenchError
from workbench.questions.hub.readers import (
    Reader,
    json_list,
    literal,
    names,
    path,
    place,
    text_after,
    texts,
    values,
)
from workbench.questions.schema import Kind

CONVERTED = "refs/convert/parquet"


@dataclass(frozen=True)
class HubSet:
    """A hub set: where it is and how a row of it becomes a question; see the module."""

    name: str
    hub: str
    split: str
    kind: Kind
    licence: str
    question: Reader
    domain: Reader
    configuration: str | None = None
    answers: Reader | None = None
    options: Reader | None = None
    right: Reader | None = None
    answerable: Reader | None = None
    id: Reader | None = None
    revision: str | None = None
    folder: str | None = None

    def __post_init__(self) -> None:
        if (self.options is None) != (self.right is None) or (self.options is None) == (
            self.answers is None
        ):
            raise WorkbenchError(
                f"Hub set {self.name!r}: give either answers, or options with right."
            )

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns that are read."""
        readers = (
            self.question,
            self.domain,
            self.answers,
            self.options,
            self.right,
            self.answerable,
            self.id,
        )
        return tuple(
            dict.fromkeys(column for reader in readers if reader for column in reader.columns)
        )


_KEYED = place(path("answerKey"), path("choices.label"))
_LETTERED = place(path("answer_idx"), names(path("options")))
_YES_NO = literal(("Yes", "No"))

HUB_SETS: dict[str, HubSet] = {
    row.name: row
    for row in (
        HubSet(
            name="triviaqa",
            hub="mandarjoshi/trivia_qa",
            configuration="rc.nocontext",
            split="validation",
            kind="open",
            licence="not stated",
            question=path("question"),
            answers=texts(path("answer.value"), path("answer.aliases")),
            domain=literal("trivia"),
            id=path("question_id"),
        ),
        HubSet(
            name="nq_open",
            hub="google-research-datasets/nq_open",
            configuration="nq_open",
            split="validation",
            kind="open",
            licence="CC BY-SA 3.0",
            question=path("question"),
            answers=texts(path("answer")),
            domain=literal("trivia"),
        ),
        HubSet(
            name="popqa",
            hub="akariasai/PopQA",
            split="test",
            kind="open",
            licence="not stated",
            question=path("question"),
            answers=texts(json_list(path("possible_answers"))),
            domain=path("prop"),
            id=path("id"),
        ),
        HubSet(
            name="gsm8k",
            hub="openai/gsm8k",
            configuration="main",
            split="test",
            kind="numeric",
            licence="MIT",
            question=path("question"),
            answers=texts(text_after(path("answer"), "####")),
            domain=literal("mathematics"),
        ),
        HubSet(
            name="arc_challenge",
            hub="allenai/ai2_arc",
            configuration="ARC-Challenge",
            split="test",
            kind="choice",
            licence="CC BY-SA 4.0",
            question=path("question"),
            domain=literal("science"),
            id=path("id"),
            options=path("choices.text"),
            right=_KEYED,
        ),
        HubSet(
            name="mmlu",
            hub="cais/mmlu",
            configuration="all",
            split="test",
            kind="choice",
            licence="MIT",
            question=path("question"),
            options=path("choices"),
            right=path("answer"),
            domain=path("subject"),
        ),
        HubSet(
            name="mmlu_pro",
            hub="TIGER-Lab/MMLU-Pro",
            split="test",
            kind="choice",
            licence="MIT",
            question=path("question"),
            options=path("options"),
            right=path("answer_index"),
            domain=path("category"),
            id=path("question_id"),
        ),
        HubSet(
            name="commonsense_qa",
            hub="tau/commonsense_qa",
            split="validation",
            kind="choice",
            licence="MIT",
            question=path("question"),
            domain=literal("common sense"),
            id=path("id"),
            options=path("choices.text"),
            right=_KEYED,
        ),
        HubSet(
            name="openbookqa",
            hub="allenai/openbookqa",
            configuration="main",
            split="test",
            kind="choice",
            licence="not stated",
            question=path("question_stem"),
            domain=literal("science"),
            id=path("id"),
            options=path("choices.text"),
            right=_KEYED,
        ),
        HubSet(
            name="qasc",
            hub="allenai/qasc",
            split="validation",
            kind="choice",
            licence="CC BY 4.0",
            question=path("question"),
            domain=literal("science"),
            id=path("id"),
            options=path("choices.text"),
            right=_KEYED,
        ),
        HubSet(
            name="riddle_sense",
            hub="INK-USC/riddle_sense",
            revision=CONVERTED,
            folder="default",
            split="validation",
            kind="choice",
            licence="other",
            question=path("question"),
            domain=literal("riddles"),
            options=path("choices.text"),
            right=_KEYED,
        ),
        HubSet(
            name="truthfulqa",
            hub="truthfulqa/truthful_qa",
            configuration="multiple_choice",
            split="validation",
            kind="choice",
            licence="Apache-2.0",
            question=path("question"),
            options=path("mc1_targets.choices"),
            right=place(literal(1), path("mc1_targets.labels")),
            domain=literal("misconceptions"),
        ),
        HubSet(
            name="selfaware",
            hub="OkayestProgrammer/selfAware",
            split="train",
            kind="open",
            licence="CC BY-SA 4.0",
            question=path("question"),
            answers=texts(path("answer")),
            answerable=path("answerable"),
            domain=literal("self-knowledge"),
            id=path("question_id"),
        ),
        HubSet(
            name="medqa",
            hub="GBaker/MedQA-USMLE-4-options",
            split="test",
            kind="choice",
            licence="CC BY 4.0",
            question=path("question"),
            domain=literal("medicine"),
            options=values(path("options")),
            right=_LETTERED,
        ),
        HubSet(
            name="metamedqa",
            hub="maximegmd/MetaMedQA",
            split="test",
            kind="choice",
            licence="CC BY 4.0",
            question=path("question"),
            domain=literal("medicine"),
            options=values(path("options")),
            right=_LETTERED,
        ),
        HubSet(
            name="legalbench",
            hub="nguha/legalbench",
            revision=CONVERTED,
            folder="international_citizenship_questions",
            split="test",
            kind="choice",
            licence="CC BY 4.0",
            question=path("question"),
            options=_YES_NO,
            right=place(path("answer"), _YES_NO),
            domain=literal("citizenship law"),
        ),
    )
}


def hub_set(name: str) -> HubSet:
    """Return the row of this name.

    Raises:
        WorkbenchError: for an unknown name; it lists the known ones.
    """
    if name not in HUB_SETS:
        close = difflib.get_close_matches(name, HUB_SETS, n=1)
        hint = f" (did you mean {close[0]!r}?)" if close else ""
        raise WorkbenchError(
            f"Unknown question set {name!r}{hint}; give a file, 'builtin' or one of "
            f"{', '.join(sorted(HUB_SETS))}."
        )
    return HUB_SETS[name]
