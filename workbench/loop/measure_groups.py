"""Group the measures of a run by the stages they need, so that a growing page measures each once.

A group is computed when its stages have finished, and kept by their keys as long as the process
runs: a stage's results do not change under one key. Every group draws its resamples from the same
seed, so a group gives the same numbers alone and among others.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from workbench.loop.conditions import (
    BEFORE,
    PROBE,
    Condition,
    Key,
    Measures,
    Readouts,
    calibration,
    discrimination,
)
from workbench.loop.questions import load_questions
from workbench.loop.run import Run
from workbench.measure import Bootstrap, Estimate, auroc2_difference

Content = TypeVar("Content")


@dataclass(frozen=True)
class Group:
    """Measures that are computed together once the stages ``needs`` have finished."""

    needs: tuple[str, ...]
    measure: Callable[[Run, Readouts, Bootstrap], Measures]


def remember(
    context: Run,
    name: str,
    needs: tuple[str, ...],
    draw: Bootstrap,
    compute: Callable[[], Content],
) -> Content:
    """Return what was computed under this name of the same finished stages, or compute it."""
    key = (name, *(context.keys[need] for need in needs), draw)
    if key not in context.measured:
        context.measured[key] = compute()
    found: Content = context.measured[key]
    return found


def text_group(condition: Condition, stage: str) -> Group:
    """Measure what is stated and expected under one condition, which ``stage`` read."""

    def measure(context: Run, r: Readouts, draw: Bootstrap) -> Measures:
        stated, expected = ({condition: each[condition]} for each in (r.stated, r.expected))
        own = Readouts(r.questions, r.correct, stated, expected, {})
        return {**discrimination(own, draw), **calibration(own, draw)}

    return Group((stage,), measure)


def probe_group(condition: Condition, stage: str) -> Group:
    """Measure the probe that ``stage`` fitted under one condition."""

    def measure(context: Run, r: Readouts, draw: Bootstrap) -> Measures:
        own = Readouts(r.questions, r.correct, {}, {}, {condition: r.probe[condition]})
        facts = context.stage(stage).facts()
        found = discrimination(own, draw)
        for name in ("layer", "position", "direction_cosine"):
            found[Key(name, part="probe", condition=condition)] = facts[name]
        if condition == BEFORE:
            found[Key("auroc2", f"{PROBE}.shuffled_labels")] = Estimate(
                facts["shuffled_mean"],
                facts["shuffled_low"],
                facts["shuffled_high"],
                len(r.correct),
            )
        return found

    return Group((stage,), measure)


def gain_group(
    condition: Condition, stages: Mapping[Condition, str], readouts: tuple[str, ...]
) -> Group:
    """Measure in pairs what teaching changed in the ``readouts``; ``stages`` read each
    condition.
    """

    def measure(context: Run, r: Readouts, draw: Bootstrap) -> Measures:
        return {
            Key("auroc2", readout, condition, contrast="gain"): auroc2_difference(
                r.of[readout][condition], r.of[readout][BEFORE], r.correct, None, **draw.options
            )
            for readout in readouts
        }

    return Group((stages[BEFORE], stages[condition]), measure)


def _answer_facts(context: Run, r: Readouts) -> dict[str, Any]:
    facts = context.stage("answer").facts()
    return {
        "model.revision": facts["model_revision"],
        "model.template": facts["template"],
        "model.precision": facts["precision"],
        # Runs of earlier versions had their dtype in their configuration alone.
        "model.dtype": facts.get("dtype", context.config.model.dtype),
        "model.quantisation": facts.get("quantisation", "none"),
        "questions.test": len(r.questions),
        "questions.train": int((load_questions(context)[0]["split"] == "train").sum()),
        "answers.ungraded": facts.get("ungraded", 0),
        **{f"answers.truncated_{name}s": n for name, n in facts.get("truncated", {}).items()},
    }


def _elicit_facts(context: Run, r: Readouts) -> dict[str, Any]:
    mass = context.stage("elicit").table("confidence")["mass"]
    return {"mass_on_scale.before": float(mass.mean())}


FACTS: Mapping[str, Callable[[Run, Readouts], dict[str, Any]]] = {
    "answer": _answer_facts,
    "elicit": _elicit_facts,
}
"""What a finished stage says of the run besides its measures."""
