"""Tell in plain words what a run found, chapter by chapter: what was asked, what the model says,
what it knows, whether that causes what it says, what teaching changed, and what does not hold.

The numbers are those of the summary, rounded, of held-out questions; the claims are the verdicts of
:mod:`workbench.loop.verdicts`. A sentence is written only of what the finished stages measured, and
a number without a verdict is told as a number, never as a claim. Words do not say how far a result
carries: other questions, prompts and models are not in it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator

from workbench.elicit.conversation import QUESTION_END
from workbench.loop.conditions import (
    AFTER,
    BEFORE,
    CONTROL,
    EXPECTED,
    PROBE,
    STATED,
    Condition,
    Key,
    Value,
)
from workbench.loop.questions import load_questions
from workbench.loop.results import LoopResults
from workbench.loop.rivals import RIVALS, rival_key
from workbench.loop.run import Run
from workbench.loop.stage_lines import said_number, said_share
from workbench.measure import Estimate
from workbench.measure.verdicts import CAUSE, NOT_CLEAR, STATES, TEACHING, TEXT, WHERE, Verdict
from workbench.models.embedded_models import title_of
from workbench.report.findings import Card, CardNumber, Finding, Judgement

Chapter = Callable[[Run, LoopResults], Finding]


def judgements(found: LoopResults, *names: str) -> list[Judgement]:
    """Return the verdicts ``names`` of a run as its page shows them; none before its last stage."""
    return [_judgement(each) for each in found.verdicts if each.name in names]


def asked(context: Run, found: LoopResults) -> Finding:
    """Tell what was asked, and how much of it is answered rightly."""
    table, _ = load_questions(context)
    held_out, domains = int((table["split"] == "test").sum()), table["domain"].nunique()
    right = context.stage("answer").facts()["accuracy"]
    return Finding(
        f"{title_of(context.config.model.name)} answered {len(table)} questions of {domains} "
        f"domains, {100 * right:.0f} % of them rightly. On {len(table) - held_out} of them probes "
        f"were fitted and the model was taught; everything below is measured on the other "
        f"{held_out}.",
        limits="How hard the questions are for other models, and what other questions would give.",
    )


def says(context: Run, found: LoopResults) -> Finding:
    """Tell what the base model states, and how well that tells right from wrong answers."""
    silent = BEFORE in found.readouts.silent
    stated = (
        "Asked for its confidence, it states nothing that can be read."
        if silent
        else f"Asked for its confidence, it states 90 or more for "
        f"{said_share(found.measures.get(Key('share_ge_90', STATED, BEFORE)))} of its answers, of "
        f"which {100 * found.readouts.correct.mean():.0f} % are right. What it states tells right "
        f"from wrong answers with an AUROC2 of {_auroc2(found, STATED, BEFORE)}, where 0.5 is "
        f"chance and 1 is perfect."
    )
    expected = (
        f" The mean of its distribution over all numbers reaches "
        f"{_auroc2(found, EXPECTED, BEFORE)}."
    )
    return Finding(
        stated + expected,
        judgements(found, TEXT),
        "Whether another wording of the question for confidence would be answered otherwise.",
    )


def knows(context: Run, found: LoopResults) -> Finding:
    """Tell what a probe reads from the hidden states, beside the best of its rivals."""
    layer, position = (
        found.measures.get(Key(name, part="probe", condition=BEFORE))
        for name in ("layer", "position")
    )
    text = (
        f"A linear probe reads from its hidden states which answers are right, with an AUROC2 of "
        f"{_auroc2(found, PROBE, BEFORE)}; within domains "
        f"{_auroc2(found, PROBE, BEFORE, within=True)}. Training questions chose where: after "
        f"layer {layer}, at the {_place(position)}."
    )
    levels = {
        name: value
        for name in RIVALS
        if isinstance(value := found.measures.get(rival_key(name, within=True)), Estimate)
        and name != QUESTION_END
    }
    if levels:
        best = max(levels, key=lambda name: levels[name].value)
        text += (
            f" The best reading without states is {best.replace('_', ' ')}, with "
            f"{levels[best]:.2f} within domains."
        )
    return Finding(
        text,
        judgements(found, STATES),
        "That the model uses what the probe reads; that is asked next. A better probe may find "
        "more.",
    )


def causes(context: Run, found: LoopResults) -> Finding:
    """Tell whether the state at the confidence position carries what is said, and from where on."""
    patching = {
        name: found.measures.get(Key(name, part="patching"))
        for name in ("items", "donor_slope.half_layer", "donor_slope.last_layer")
    }
    layers = 1 + int(found.patching.sweeps["other_tuned"].layers[-1])
    half = patching["donor_slope.half_layer"]
    where = (
        "follows the donor's by less than half at every layer"
        if half is None
        else f"follows the donor's by more than half from layer {half} of {layers} on"
    )
    slope = said_number(patching["donor_slope.last_layer"])
    return Finding(
        f"The taught model's state at the confidence position was put into the base model's reply "
        f"to another question, layer by layer, for {patching['items']} questions. What is then "
        f"said {where}, and by {slope} after the last layer; 1 is the donor's confidence in full.",
        judgements(found, CAUSE, WHERE),
        "What earlier tokens contribute, and which heads and MLPs write the state. After the last "
        "layer a state is what is said, so that layer counts for nothing.",
    )


def taught(context: Run, found: LoopResults) -> Finding:
    """Tell what teaching changed, beside the control on shuffled targets."""
    gain = found.measures.get(Key("auroc2", STATED, AFTER, contrast="gain"))
    ece = [said_number(found.measures.get(Key("ece", STATED, one))) for one in (BEFORE, AFTER)]
    text = (
        f"An adapter was taught to say what the probe reads. The text's AUROC2 went from "
        f"{_auroc2(found, STATED, BEFORE)} to {_auroc2(found, STATED, AFTER)}"
        f"{'' if gain is None else f', a gain of {said_number(gain)}'}; its calibration error from "
        f"{ece[0]} to {ece[1]}."
    )
    if CONTROL in found.readouts.stated:
        text += (
            f" Taught on shuffled targets instead, it reaches {_auroc2(found, STATED, CONTROL)}."
        )
    return Finding(
        text,
        judgements(found, TEACHING),
        "What another training would give; 'workbench run --seeds 5' measures that. Answers are "
        "not taught: they stay as they were.",
    )


def caveats(context: Run, found: LoopResults) -> list[str]:
    """Return what does not hold, and what the page as a whole does not show, a sentence each."""
    return [*_open_claims(found), *_counted(context, found), *_limits(found)]


def card(context: Run, found: LoopResults) -> Card | None:
    """Return the head of the page: the answer in one sentence, and up to four numbers; none before
    anything was read.
    """
    said, after = (found.measures.get(Key("auroc2", STATED, one)) for one in (BEFORE, AFTER))
    known = found.measures.get(Key("auroc2", PROBE, BEFORE))
    half = found.measures.get(Key("donor_slope.half_layer", part="patching"))
    if said is None and known is None:
        return None
    told = (
        ("its text tells right from wrong", said, None),
        ("a probe on its states does", known, None),
        ("its text, once taught", after, said),
    )
    numbers = [
        _card_number(label, value, before)
        for label, value, before in told
        if isinstance(value, Estimate) and not math.isnan(value.value)
    ]
    if half is not None:
        numbers.append(CardNumber("the said confidence is carried from layer", str(half)))
    return Card(
        _answer(found),
        numbers,
        f"AUROC2 with 95 % intervals on {len(found.readouts.correct)} held-out questions, seed "
        f"{context.config.seed}",
    )


def _card_number(label: str, value: Estimate, before: Value) -> CardNumber:
    return CardNumber(
        label,
        f"{value.value:.2f}",
        f"[{value.low:.2f}, {value.high:.2f}]",
        f"{before.value:.2f}" if isinstance(before, Estimate) else "",
    )


def _answer(found: LoopResults) -> str:
    """Return the answer to the page's question, as far as its verdicts go."""
    outcome = {each.name: each.outcome for each in found.verdicts}
    if not outcome:
        return "Not judged yet: the run has not gone through."
    clauses: list[str] = []
    unclear: list[str] = []
    for name in (STATES, TEXT, TEACHING, CAUSE):
        if name in outcome:
            into = unclear if outcome[name] == NOT_CLEAR else clauses
            into.append(_ANSWERS[name][outcome[name]])
    if len(unclear) > 1:
        clauses.append(f"it is not clear {', '.join(unclear[:-1])} or {unclear[-1]}")
    elif unclear:
        clauses.append(f"{unclear[0]} is not clear")
    told = "; ".join(clauses)
    return f"{told[:1].upper()}{told[1:]}."


_ANSWERS = {
    STATES: {
        "holds": "its states know more of it than anything that sees no states",
        "does not hold": "its states know nothing of it beyond what needs no states",
        NOT_CLEAR: "whether its states know more than what needs no states",
    },
    TEXT: {
        "holds": "its text says so",
        "does not hold": "its text does not say it",
        NOT_CLEAR: "whether its text says it",
    },
    TEACHING: {
        "holds": "it can be taught to say it",
        "does not hold": "teaching did not change that",
        NOT_CLEAR: "whether teaching changed that",
    },
    CAUSE: {
        "holds": "and the state at the confidence position causes what is said",
        "does not hold": "the state at the confidence position is not what causes it",
        NOT_CLEAR: "whether the state at the confidence position causes it",
    },
}
"""The clause of each verdict's outcome in the page's answer; of one that is not clear, what is
not.
"""


def _judgement(verdict: Verdict) -> Judgement:
    return Judgement(
        verdict.sentence, verdict.outcome, [str(each) for each in verdict.checks], verdict.rule
    )


def _auroc2(found: LoopResults, readout: str, one: Condition, *, within: bool = False) -> str:
    return said_number(found.measures.get(Key("auroc2", readout, one, within=within)))


def _place(position: object) -> str:
    words = {"confidence": "confidence position", "answer_end": "answer's last token"}
    return words.get(str(position), str(position).replace("_", " "))


def _open_claims(found: LoopResults) -> Iterator[str]:
    for each in found.verdicts:
        if each.outcome == NOT_CLEAR:
            failed = [str(check) for check in each.checks if not check.passed]
            yield f"{each.sentence} Not passed: {'; '.join(failed)}."


def _counted(context: Run, found: LoopResults) -> Iterator[str]:
    for one in found.readouts.stated:
        parsed = found.measures.get(Key("parse_rate", STATED, one))
        share = parsed.value if isinstance(parsed, Estimate) else parsed
        if isinstance(share, float) and share < 1:
            yield (
                f"{100 * (1 - share):.1f} % of the confidence replies {one.name} teaching could "
                "not be read as a number; they are left out of its measures."
            )
    if ungraded := context.stage("answer").facts().get("ungraded", 0):
        yield f"{ungraded} answers could not be graded and are left out."


def _limits(found: LoopResults) -> Iterator[str]:
    largest = found.measures.get(Key("shift.largest", part="patching"))
    rho = found.measures.get(Key("layer_gradient", part="patching"))
    if isinstance(largest, float):
        yield (
            f"The mean shift rises over the layers with a rank correlation of {said_number(rho)} "
            f"and reaches {largest:.2f}. Both differ between trainings and precisions, and a "
            "random vector moves the mean as well: they locate little."
        )
    if found.seeds is None:
        yield (
            "One training with one seed. The intervals are over questions; another seed, other "
            "questions and another prompt are not in them."
        )
