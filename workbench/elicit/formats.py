"""List the formats: each way to elicit an answer and its confidence is one row.

Rows without a layout in their name ask in a second turn. A new combination is one more line here; a
new scale one more line in :mod:`workbench.elicit.prompts`.
"""

from __future__ import annotations

from itertools import product
from typing import get_args

from workbench.elicit.format import Format
from workbench.elicit.prompts import RATINGS, Voice, compose
from workbench.elicit.scales import WHICH
from workbench.errors import WorkbenchError

PAIRWISE = Format(
    name="pairwise",
    system="Answer with only the answer.",
    answer_prefix="Answer:",
    confidence_question="Q1: {first}\n\nQ2: {second}\n\n"
    "Which of these two questions are you more likely to answer correctly? Choose Q1 or Q2.",
    confidence_prefix="Choice:",
    separator=" ",
    ending="",
    scale=WHICH,
    layout="pair",
)


def _review(rating: str, voice: Voice, options: bool) -> Format:
    """Return one of the eight combinations of scale, voice and options."""
    name = f"{rating}-review-{voice}{'' if options else '-no-options'}"
    return compose(name, "review", RATINGS[rating], voice=voice, options=options)


FORMATS: dict[str, Format] = {
    row.name: row
    for row in (
        *(compose(name, "two-turn", rating) for name, rating in RATINGS.items()),
        *(
            compose(f"{name}-one-turn", "one-turn", RATINGS[name])
            for name in ("percent", "digit", "ten", "probability", "words", "yes-no")
        ),
        *(
            compose(f"{name}-first", "confidence-first", RATINGS[name])
            for name in ("percent", "probability")
        ),
        *(
            compose(f"{name}-alone", "question-alone", RATINGS[name])
            for name in ("percent", "yes-no")
        ),
        *(
            compose(f"{name}-reasoned", "one-turn", RATINGS[name], reasoning=True)
            for name in ("percent", "digit")
        ),
        compose("percent-reasoned-two-turn", "two-turn", RATINGS["percent"], reasoning=True),
        *(
            _review(rating, voice, options)
            for rating, voice, options in product(
                ("hundred", "words"), get_args(Voice), (True, False)
            )
        ),
        _review("letters", "third", True),
        PAIRWISE,
    )
}


def format_named(name: str) -> Format:
    """Return the format of this name.

    Raises:
        WorkbenchError: for an unknown name; it lists the known ones.
    """
    if name not in FORMATS:
        raise WorkbenchError(
            f"Unknown elicitation format {name!r}; choose one of {', '.join(sorted(FORMATS))}."
        )
    return FORMATS[name]


def described(fmt: Format) -> str:
    """Describe a format in a few words: its layout, its scale and any other feature."""
    texts = fmt.scale.texts
    scale = ", ".join(texts) if len(texts) < 4 else f"{texts[0]} ... {texts[-1]}"
    more = ["reasoning first"] * bool(fmt.reasoning_prefix) + ["options not shown"] * (
        not fmt.options
    )
    third = ["of another model's answer"] * ("language model" in fmt.confidence_question)
    return "; ".join([fmt.layout, scale, *third, *more])
