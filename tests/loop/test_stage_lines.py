from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from workbench.config import RunConfig
from workbench.loop.conditions import AFTER, BEFORE, CONTROL, Key, Measures, Readouts
from workbench.loop.results import LoopResults
from workbench.loop.run import Run
from workbench.loop.stage_lines import STAGE_TEXTS, said_number, said_share, stage_steps
from workbench.measure import Estimate
from workbench.pipeline.store import RunStore

NAN = float("nan")
MEASURES: Measures = {
    Key("share_ge_90", "stated", BEFORE): Estimate(0.9956, 0.99, 1.0, 200),
    Key("auroc2", "stated", BEFORE): Estimate(0.4812, 0.4349, 0.5413, 200),
    Key("auroc2", "expected", BEFORE): Estimate(0.58, 0.5, 0.65, 200),
    Key("auroc2", "stated", CONTROL): Estimate(NAN, NAN, NAN, 0),
    Key("auroc2", "expected", CONTROL): 0.5,
    Key("auroc2", "probe", BEFORE): Estimate(0.834, 0.78, 0.881, 200),
    Key("layer", part="probe", condition=BEFORE): 21,
    Key("position", part="probe", condition=BEFORE): "answer_end",
    Key("items", part="patching"): 64,
    Key("layer_gradient", part="patching"): Estimate(0.43, 0.2, 0.62, 64),
    Key("donor_slope.half_layer", part="patching"): 19,
}


@pytest.fixture
def context(tmp_path: Path) -> Run:
    """A run whose stages hold tables made by hand."""
    run = Run(RunConfig(), RunStore(tmp_path / "run"), tmp_path / "figures")

    def finish(name: str, table: dict[str, Any], **facts: Any) -> None:
        store = run.store.stage(name, "key")
        store.begin()
        file = {"questions": "questions", "answer": "answers"}.get(name, "table")
        store.save_table(file, pd.DataFrame(table))
        store.finish({"seconds": 1.25, "peak_bytes": 1, **facts})
        run.keys[name] = "key"

    split = ["train"] * 4 + ["test"] * 2
    finish("questions", {"split": split, "domain": ["a", "b", "a", "b", "a", "b"]})
    finish("answer", {"answer": list("abcdef")}, accuracy=0.4624, ungraded=2)
    spent = {"examples": 353, "steps": 180, "tokens": 22432, "loss.last": 2.128}
    finish("teach", {"row": [0]}, **spent)
    return run


def results(stated: Any, half: int | None = 19) -> LoopResults:
    measures = {**MEASURES, Key("donor_slope.half_layer", part="patching"): half}
    correct = np.array([True, False])
    readouts = Readouts(pd.DataFrame(), correct, dict.fromkeys((BEFORE, AFTER), stated), {}, {})
    return LoopResults(readouts, None, measures, {}, ("questions", "answer"))


def line(name: str, context: Run, found: LoopResults) -> str:
    return STAGE_TEXTS[name].line(context, found)


def test_each_stage_says_its_result_in_one_line(context: Run) -> None:
    found = results(np.array([0.9, 1.0]))
    assert line("questions", context, found) == "6 questions of 2 domains, 2 of them held out"
    assert line("answer", context, found) == "6 answers, 46.2 % right, 2 could not be graded"
    assert line("elicit", context, found) == (
        "the text states 90 or more for 99.6 %, AUROC2 0.48 [0.43, 0.54]; "
        "of the expected confidence 0.58 [0.50, 0.65]"
    )
    assert line("elicit_control", context, found) == (
        "the text states 90 or more for an unknown share, AUROC2 unknown; "
        "of the expected confidence 0.50"
    )
    assert line("probe", context, found) == "AUROC2 0.83 [0.78, 0.88] at layer 21, answer_end"
    assert line("teach", context, found) == (
        "353 examples, 180 steps, 22,432 tokens, last loss 2.13"
    )
    assert line("patch", context, found) == (
        "64 questions, the donor slope passes 1/2 at layer 19, layer gradient rho 0.43 [0.20, 0.62]"
    )


def test_a_text_that_states_nothing_and_a_slope_that_stays_low_are_said(context: Run) -> None:
    found = results(np.array([NAN, NAN]), half=None)
    assert line("elicit", context, found).startswith("the text states nothing that can be read, ")
    assert "the donor slope stays below 1/2," in line("patch", context, found)


def test_finished_stages_have_seconds_and_the_others_what_they_will_add(context: Run) -> None:
    steps = stage_steps(context, results(np.array([0.9, 1.0])))
    assert [step.name for step in steps] == ["questions", "answer", "teach"]
    context.keys.update(dict.fromkeys(STAGE_TEXTS, "key"))
    steps = stage_steps(context, results(np.array([0.9, 1.0])))
    assert [step.name for step in steps] == list(STAGE_TEXTS)
    assert [step.seconds for step in steps] == [1.25, 1.25, *[None] * (len(STAGE_TEXTS) - 2)]
    assert steps[1].text == "6 answers, 46.2 % right, 2 could not be graded"
    assert steps[2].text == STAGE_TEXTS["elicit"].adds


def test_numbers_are_rounded_and_unknown_ones_named() -> None:
    assert said_number(Estimate(0.125, 0.1, 0.2, 5)) == "0.12 [0.10, 0.20]"
    assert [said_number(value) for value in (0.5, 3, None, NAN, "x")] == [
        "0.50",
        "3.00",
        "unknown",
        "unknown",
        "unknown",
    ]
    assert [said_share(value) for value in (1.0, 0.4624, None)] == [
        "100 %",
        "46.2 %",
        "an unknown share",
    ]
