"""Say in one line what each stage of the loop found, and what a missing stage will add to the page.

The numbers are those of the summary, rounded: of held-out questions, except the counts of answers
and training steps, which are of all. A line says nothing about how sure a difference between two of
its numbers is; the gains in the summary do.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from workbench.loop.conditions import (
    AFTER,
    BEFORE,
    CONTROL,
    EXPECTED,
    PROBE,
    STATED,
    Condition,
    Key,
)
from workbench.loop.results import LoopResults
from workbench.loop.run import Run
from workbench.loop.token_attribution import MODELS
from workbench.measure import Estimate
from workbench.report import Step

CUT_THOUGHTS = {
    "thought": "a truncated thought, not graded",
    "second_thought": "a truncated thought before the confidence",
}
"""Column of thoughts -> what comes after one that was cut, in words."""


@dataclass(frozen=True)
class StageText:
    """The words for a stage: what it adds to the page, and its result in one line."""

    adds: str
    line: Callable[[Run, LoopResults], str]


def stage_steps(context: Run, found: LoopResults) -> list[Step]:
    """Return every stage before the report: those that have finished with their result and seconds,
    the others with what they will add. A stage that the run's version does not have is left out.
    """
    return [
        Step(name, text.line(context, found), float(context.stage(name).facts()["seconds"]))
        if name in found.finished
        else Step(name, text.adds)
        for name, text in STAGE_TEXTS.items()
        if name in context.keys
    ]


def _questions(context: Run, found: LoopResults) -> str:
    table = context.stage("questions").table("questions")
    held_out = int((table["split"] == "test").sum())
    domains = table["domain"].nunique()
    return f"{len(table)} questions of {domains} domains, {held_out} of them held out"


def _answer(context: Run, found: LoopResults) -> str:
    facts = context.stage("answer").facts()
    answers, ungraded = len(context.stage("answer").table("answers")), facts.get("ungraded", 0)
    rest = f", {ungraded} could not be graded" if ungraded else ""
    rest += "".join(
        f", {cut} after {CUT_THOUGHTS[name]}" for name, cut in facts.get("truncated", {}).items()
    )
    return f"{answers} answers, {100 * facts['accuracy']:.3g} % right{rest}"


def _text(condition: Condition, context: Run, found: LoopResults) -> str:
    if condition in found.readouts.silent:
        said = "the text states nothing that can be read, AUROC2 unknown"
    else:
        share = said_share(found.measures.get(Key("share_ge_90", STATED, condition)))
        level = said_number(found.measures.get(Key("auroc2", STATED, condition)))
        said = f"the text states 90 or more for {share}, AUROC2 {level}"
    expected = said_number(found.measures.get(Key("auroc2", EXPECTED, condition)))
    return f"{said}; of the expected confidence {expected}"


def _probe(condition: Condition, context: Run, found: LoopResults) -> str:
    level = said_number(found.measures.get(Key("auroc2", PROBE, condition)))
    layer, position = (
        found.measures.get(Key(name, part="probe", condition=condition))
        for name in ("layer", "position")
    )
    return f"AUROC2 {level} at layer {layer}, {position}"


def _teach(stage: str, context: Run, found: LoopResults) -> str:
    facts = context.stage(stage).facts()
    return (
        f"{facts['examples']} examples, {facts['steps']} steps, {facts['tokens']:,} tokens, "
        f"last loss {facts['loss.last']:.3g}"
    )


def _patch(context: Run, found: LoopResults) -> str:
    rho, items, half = (
        found.measures.get(Key(name, part="patching"))
        for name in ("layer_gradient", "items", "donor_slope.half_layer")
    )
    followed = (
        "the donor slope stays below 1/2"
        if half is None
        else f"the donor slope passes 1/2 at layer {half}"
    )
    return f"{items} questions, {followed}, layer gradient rho {said_number(rho)}"


def _attribute(context: Run, found: LoopResults) -> str:
    facts = context.stage("attribute").facts()
    if not facts["items"]:
        return f"none: {facts['why_not']}"
    agreed = ", ".join(f"{said_number(facts[f'{name}.rho'])} ({name})" for name in MODELS)
    return f"{facts['items']} questions; rank agreement with tokens truly replaced {agreed}"


def said_number(value: object) -> str:
    """Return a value to two decimals, with its interval where it has one."""
    number = value.value if isinstance(value, Estimate) else value
    if not isinstance(number, int | float) or number != number:
        return "unknown"
    return f"{value:.2f}" if isinstance(value, int | float) else format(value, ".2f")


def said_share(value: object) -> str:
    """Return a share in percent."""
    number = value.value if isinstance(value, Estimate) else value
    if not isinstance(number, int | float) or number != number:
        return "an unknown share"
    return f"{100 * number:.3g} %"


STAGE_TEXTS: dict[str, StageText] = {
    "questions": StageText("the questions that are asked", _questions),
    "answer": StageText("the model's answers, and which are right", _answer),
    "elicit": StageText(
        "what is said: the confidence the base model states and expects",
        lambda run, found: _text(BEFORE, run, found),
    ),
    "probe": StageText(
        "what is known: a probe on the hidden states of every layer",
        lambda run, found: _probe(BEFORE, run, found),
    ),
    "teach": StageText(
        "an adapter that is taught to say what the probe knows",
        lambda run, found: _teach("teach", run, found),
    ),
    "teach_control": StageText(
        "the control: an adapter taught on shuffled targets",
        lambda run, found: _teach("teach_control", run, found),
    ),
    "elicit_tuned": StageText(
        "what the taught model says, beside what it said before",
        lambda run, found: _text(AFTER, run, found),
    ),
    "elicit_control": StageText(
        "what the control says", lambda run, found: _text(CONTROL, run, found)
    ),
    "probe_tuned": StageText(
        "what a probe finds in the taught model's states",
        lambda run, found: _probe(AFTER, run, found),
    ),
    "patch": StageText(
        "where it acts: the taught model's states put into the base model, layer by layer", _patch
    ),
    "attribute": StageText(
        "which tokens of a conversation the confidence leans on, as estimates", _attribute
    ),
}
"""Every stage but the last, in their order."""
