"""List the formats: each way to elicit an answer and its confidence is one row.

Rows without a layout in their name ask in a second turn. A new combination is one more line here; a
new scale one more line in :mod:`workbench.elicit.prompts`. :func:`configured` makes of a row what
the settings ask for: worked examples where turns are plain text, a thought before the answer where
the model is to think.
"""

from __future__ import annotations

from dataclasses import replace
from itertools import product
from typing import Any, Literal, get_args

from workbench.config import ElicitSettings
from workbench.elicit.examples import EXAMPLES
from workbench.elicit.format import Format
from workbench.elicit.offers import OFFERS, When, offer_format
from workbench.elicit.prompts import RATINGS, Voice, compose
from workbench.elicit.scales import WHICH
from workbench.errors import WorkbenchError
from workbench.models.plain_turns import is_plain

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
            compose(f"{name}-second-thought", "two-turn", RATINGS[name], second_thought=True)
            for name in ("percent", "digit")
        ),
        *(
            _review(rating, voice, options)
            for rating, voice, options in product(
                ("hundred", "words"), get_args(Voice), (True, False)
            )
        ),
        _review("letters", "third", True),
        PAIRWISE,
        *(
            offer_format(offer, when, swapped=swapped)
            for offer, when, swapped in product(OFFERS, get_args(When), (False, True))
        ),
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


def other_order(fmt: Format) -> Format:
    """Return the format that offers the same choice with its options in the other order, asked as
    ``fmt`` is.

    Raises:
        WorkbenchError: for a format that offers none.
    """
    rows = [row for row in FORMATS.values() if row.offer and row.offer == fmt.offer]
    found = [row for row in rows if row.layout == fmt.layout and row.name != fmt.name]
    if len(found) != 1:
        raise WorkbenchError(f"The format {fmt.name!r} has no twin with its options swapped.")
    return replace(fmt, name=found[0].name, confidence_question=found[0].confidence_question)


def configured(fmt: Format, elicit: ElicitSettings) -> Format:
    """Return ``fmt`` as the settings of elicitation ask for it.

    Raises:
        WorkbenchError: where it cannot be asked so.
    """
    if elicit.thinking == "on" and elicit.template == "plain":
        raise WorkbenchError(
            "Plain text has no thoughts; set elicit.template=chat, or elicit.thinking=off."
        )
    made = replace(
        fmt,
        thinking=elicit.thinking == "on",
        history=elicit.thinking_history,
        examples=EXAMPLES if elicit.template == "plain" else (),
    )
    require_its_thought(made)
    return made


def format_for(name: str, tokenizer: Any) -> Format:
    """Return the format of this name as it is asked without a thought, by the tokenizer's chat
    template or in plain text.
    """
    template: Literal["chat", "plain"] = "plain" if is_plain(tokenizer) else "chat"
    return configured(format_named(name), ElicitSettings(template=template))


def require_its_thought(fmt: Format) -> None:
    """Refuse a format that thinks before the confidence while thinking is off.

    Raises:
        WorkbenchError: for such a format.
    """
    if fmt.second_thought and not fmt.thinking:
        raise WorkbenchError(
            f"In the format {fmt.name!r} the model thinks before it states its confidence; set "
            "elicit.thinking=on, or elicit.format to another, such as percent."
        )


def require_no_thought(fmt: Format, what: str) -> None:
    """Refuse a format with thinking on in ``what``, which asks in ways that no thought precedes.

    Raises:
        WorkbenchError: for such a format.
    """
    if fmt.thinking:
        raise WorkbenchError(
            f"{what} cannot be measured on a model that thinks; set elicit.thinking=off."
        )


def described(fmt: Format) -> str:
    """Describe a format in a few words: its layout, its scale and any other feature."""
    texts = fmt.scale.texts
    scale = ", ".join(texts) if len(texts) < 4 else f"{texts[0]} ... {texts[-1]}"
    more = ["reasoning first"] * bool(fmt.reasoning_prefix)
    more += [f"offers to {fmt.offer}"] * bool(fmt.offer)
    more += ["options not shown"] * (not fmt.options)
    more += ["a thought before the confidence"] * fmt.second_thought
    third = ["of another model's answer"] * ("language model" in fmt.confidence_question)
    return "; ".join([fmt.layout, scale, *third, *more])
