"""The words of a run's page, beside the numbers of its summary."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from workbench.loop.conditions import AFTER, BEFORE, STATED, Key
from workbench.loop.results import LoopResults, loop_results
from workbench.loop.run import Run
from workbench.loop.story import asked, card, causes, caveats, knows, says, taught
from workbench.measure import Estimate
from workbench.measure.verdicts import NAMES, Check, Verdict


@pytest.fixture(scope="module")
def found(context: Run) -> LoopResults:
    return loop_results(context)


def numbers(summary: Any, key: str) -> str:
    return f"{summary[key]:.2f} [{summary[f'{key}.low']:.2f}, {summary[f'{key}.high']:.2f}]"


def test_chapters_tell_the_summarys_numbers(
    context: Run, found: LoopResults, finished_run: Any
) -> None:
    summary = finished_run.summary
    told = {
        says: ["auroc2.stated.before", "auroc2.expected.before"],
        knows: ["auroc2.probe.before", "auroc2.probe.within.before"],
        causes: ["patching.donor_slope.last_layer"],
        taught: ["auroc2.stated.before", "auroc2.stated.after", "gain.auroc2.stated.after"],
    }
    for chapter, keys in told.items():
        text = chapter(context, found).text
        for key in keys:
            assert numbers(summary, key) in text, key
    counted = asked(context, found).text
    assert f"{summary['questions.train'] + summary['questions.test']} questions" in counted
    assert f"the other {summary['questions.test']}." in counted


def test_each_verdict_is_told_once(context: Run, found: LoopResults) -> None:
    judged = [
        one.sentence
        for chapter in (asked, says, knows, causes, taught)
        for one in chapter(context, found).judged
    ]
    assert sorted(judged) == sorted(each.sentence for each in found.verdicts)
    assert all(chapter(context, found).limits for chapter in (asked, says, knows, causes, taught))


def judged(found: LoopResults, **outcomes: str) -> LoopResults:
    check = Check("probe minus length", Estimate(0.1, -0.1, 0.3, 9), float("nan"), False, False)
    verdicts = [
        Verdict(name, outcomes.get(name, "holds"), f"About {name}.", "a rule", (check,))  # type: ignore[arg-type]
        for name in NAMES
    ]
    return replace(found, verdicts=tuple(verdicts))


def test_the_card_answers_as_the_verdicts_do(context: Run, found: LoopResults) -> None:
    shown = card(context, judged(found, text="does not hold", cause="not clear"))
    assert shown is not None
    assert shown.sentence == (
        "Its states know more of it than anything that sees no states; its text does not say it; "
        "it can be taught to say it; whether the state at the confidence position causes it is "
        "not clear."
    )
    unclear = card(context, judged(found, states="not clear", text="not clear", cause="not clear"))
    assert unclear is not None
    assert unclear.sentence == (
        "It can be taught to say it; it is not clear whether its states know more than what needs "
        "no states, whether its text says it or whether the state at the confidence position "
        "causes it."
    )
    value = found.measures[Key("auroc2", STATED, AFTER)]
    assert isinstance(value, Estimate)
    assert f"{value.value:.2f}" in [each.value for each in shown.numbers]
    unjudged = card(context, replace(found, verdicts=()))
    assert unjudged is not None
    assert "Not judged yet" in unjudged.sentence


def test_what_is_not_clear_is_a_caveat_with_the_check_that_failed(
    context: Run, found: LoopResults
) -> None:
    told = caveats(context, judged(found, states="not clear", text="does not hold"))
    assert any(
        "About states. Not passed: probe minus length 0.10 [-0.10, 0.30]." in t for t in told
    )
    assert not any("About text" in each for each in told)
    assert any("one seed" in each for each in told)


def test_replies_that_cannot_be_read_are_counted(context: Run, found: LoopResults) -> None:
    key = Key("parse_rate", STATED, BEFORE)
    some = replace(found, measures={**found.measures, key: Estimate(0.9, 0.8, 1.0, 10)})
    assert any(
        each.startswith("10.0 % of the confidence replies") for each in caveats(context, some)
    )


def test_a_model_that_states_nothing_is_told_so(context: Run, found: LoopResults) -> None:
    silent = np.full(len(found.readouts.correct), np.nan)
    readouts = replace(found.readouts, stated={**found.readouts.stated, BEFORE: silent})
    text = says(context, replace(found, readouts=readouts)).text
    assert "it states nothing that can be read" in text
