from __future__ import annotations

from html import unescape
from typing import Any

import numpy as np
import pandas as pd

from workbench.elicit.conversation import QUESTION_END
from workbench.loop.patching_results import sweeps
from workbench.loop.results import collect, loop_results
from workbench.loop.rivals import DOMAIN, LENGTH, LIKELIHOOD, read_rivals
from workbench.loop.run import Run
from workbench.loop.verdicts import patching_evidence
from workbench.measure.verdicts import NAMES
from workbench.patch.controls import derangement


def test_donors_are_those_the_sweep_was_paired_with(context: Run) -> None:
    """The donor's readout belongs to the question whose grade is taken."""
    table = context.stage("patch").table("sweep")
    readouts = collect(context)
    questions = readouts.questions.assign(correct=readouts.correct)
    seed = context.config.seed
    own = table[table["condition"] == "own_tuned"].drop_duplicates("item").sort_values("item")
    rows = own["row"].to_numpy()
    found = patching_evidence(sweeps(table), rows, questions, spread=0.0, last=3, seed=seed)
    partner = derangement(len(own), seed)
    assert np.array_equal(found.sweep.donor, own["donor"].to_numpy()[partner])
    graded = questions.set_index("row")["correct"].loc[rows[partner]]
    assert np.array_equal(found.donor_correct, graded)


def test_every_verdict_is_in_the_summary_and_on_the_page(context: Run, finished_run: Any) -> None:
    outcomes = {name: finished_run.summary[f"verdict.{name}"] for name in NAMES}
    assert set(outcomes.values()) <= {"holds", "does not hold", "not clear"}
    page = unescape((finished_run.figures / "index.html").read_text(encoding="utf-8"))
    verdicts = loop_results(context).verdicts
    assert [each.name for each in verdicts] == list(NAMES)
    for each in verdicts:
        assert each.sentence in page
        assert f"Rule: {each.rule}." in page
        assert all(str(check) in page for check in each.checks)


def test_rivals_are_read_from_the_stages(context: Run, finished_run: Any) -> None:
    rows = collect(context).questions["row"].to_numpy()
    found = read_rivals(context, rows)
    assert {DOMAIN, LENGTH, LIKELIHOOD, QUESTION_END} <= set(found)
    answers: pd.DataFrame = context.stage("answer").table("answers").set_index("row").loc[rows]
    assert np.array_equal(found[LENGTH], [-len(text) for text in answers["answer"]])
    assert (found[LIKELIHOOD] < 0).all()
    assert ((found[QUESTION_END] > 0) & (found[QUESTION_END] < 1)).all()
    for name in (DOMAIN, LENGTH, LIKELIHOOD, QUESTION_END):
        assert f"auroc2.rival.{name}.within.before" in finished_run.summary
