"""The table of questions holds what the stages kept."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from workbench.loop.conditions import AFTER, BEFORE, PROBE, STATED
from workbench.loop.question_explorer import question_explorer
from workbench.loop.results import LoopResults, loop_results
from workbench.loop.run import Run
from workbench.report.explorer import Explorer, ItemCurves


@pytest.fixture(scope="module")
def found(context: Run) -> LoopResults:
    return loop_results(context)


@pytest.fixture(scope="module")
def explorer(context: Run, found: LoopResults) -> Explorer:
    explorer = question_explorer(context, found)
    assert explorer is not None
    return explorer


def curves(explorer: Explorer, title: str) -> ItemCurves:
    return next(each for each in explorer.curves if each.title == title)


def column(explorer: Explorer, name: str) -> list[object]:
    at = [each.name for each in explorer.columns].index(name)
    return [row[at] for row in explorer.rows]


def test_rows_are_the_held_out_questions(explorer: Explorer, found: LoopResults) -> None:
    r = found.readouts
    assert column(explorer, "question") == r.questions["question"].tolist()
    assert column(explorer, "right") == r.correct.tolist()
    assert np.allclose(column(explorer, "stated after"), r.stated[AFTER], equal_nan=True)
    assert column(explorer, "probe") == r.probe[BEFORE].tolist()


def test_the_mean_of_the_distribution_is_the_expected_confidence(
    explorer: Explorer, found: LoopResults
) -> None:
    said = curves(explorer, "What it would say")
    for one, expected in found.readouts.expected.items():
        probability = said.series[one.name]
        # What lies outside the scale is no part of the mean.
        mean = probability @ said.x / probability.sum(axis=1) / said.x.max()
        assert mean == pytest.approx(expected, abs=1e-9)


def test_the_probe_at_the_chosen_site_is_the_readout(
    context: Run, explorer: Explorer, found: LoopResults
) -> None:
    facts = context.stage("probe").facts()
    read = curves(explorer, "What a probe reads")
    chosen = read.series[facts["position"].replace("_", " ")][:, facts["layer"]]
    assert chosen == pytest.approx(found.readouts.of[PROBE][BEFORE], abs=1e-6)


def test_patched_questions_have_their_own_curve_and_others_none(
    context: Run, explorer: Explorer, found: LoopResults
) -> None:
    patched = curves(explorer, "Its patching curve")
    table = context.stage("patch").table("sweep")
    own = table[table["condition"] == "own_tuned"]
    rows = found.readouts.questions["row"].tolist()
    for at, row in enumerate(rows):
        wanted = own[own["row"] == row].sort_values("layer")["patched"].to_numpy()
        drawn = patched.series["patched: its own donor"][at]
        assert np.array_equal(drawn, wanted) if len(wanted) else np.isnan(drawn).all()


def test_the_confidence_position_is_the_conversations_last_token(explorer: Explorer) -> None:
    tokens = explorer.tokens
    assert tokens is not None
    at = tokens.marks["confidence position"]
    assert [len(text) - 1 for text in tokens.tokens] == list(at)


def test_stages_that_are_missing_leave_their_part_out(context: Run, found: LoopResults) -> None:
    early = replace(found, finished=("questions", "answer", "elicit"))
    explorer = question_explorer(context, early)
    assert explorer is not None
    assert [each.title for each in explorer.curves] == ["What it would say"]
    assert question_explorer(context, replace(found, finished=("questions", "answer"))) is None
    assert STATED in " ".join(each.name for each in explorer.columns)
