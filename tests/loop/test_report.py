from __future__ import annotations

import re
from typing import Any

import numpy as np
import pandas as pd
import pytest

from workbench.loop import STAGES
from workbench.loop.conditions import BEFORE, Readouts
from workbench.loop.patching_figures import CONTROL_NAMES
from workbench.loop.patching_results import PatchingResult
from workbench.loop.report import SECTIONS, loop_page, report
from workbench.loop.results import LoopResults, loop_results
from workbench.loop.run import Run
from workbench.measure import auroc2
from workbench.patch.controls import CONDITIONS
from workbench.pipeline.costs import page, seconds
from workbench.report import Section


@pytest.fixture(scope="module")
def results(context: Run) -> LoopResults:
    return loop_results(context)


@pytest.fixture(scope="module")
def readouts(results: LoopResults) -> Readouts:
    return results.readouts


@pytest.fixture(scope="module")
def patching(results: LoopResults) -> PatchingResult:
    return results.patching


@pytest.fixture(scope="module")
def drawn(context: Run, results: LoopResults) -> dict[str, Section]:
    return {section.name: section for section in loop_page(context, results).sections}


def traces(section: Section) -> dict[str, Any]:
    return {trace.name: trace for trace in section.figure.data if trace.name}


def captions(section: Section) -> str:
    return str(section.figure.layout.to_plotly_json()).replace("<br>", " ")


def test_the_figures_come_in_reading_order_with_their_circumstances(
    drawn: dict[str, Section], readouts: Readouts
) -> None:
    assert list(drawn) == [
        "answers",
        "stated_confidence",
        "auroc2_by_layer",
        "following",
        "bottleneck",
        "reliability",
        "patching",
        "layer_question",
    ]
    told = [name for name, section in drawn.items() if section.finding is not None]
    assert told == list(drawn)[:5]
    for name, section in drawn.items():
        patched = name in ("patching", "following", "layer_question")
        count = f"{8 if patched else len(readouts.correct)} held-out questions"
        assert ("all answers" if name == "answers" else count) in captions(section)
        assert "matrix products in float32" in captions(section)
        assert section.explanation.endswith(".")


def test_every_figure_needs_stages_of_the_loop(drawn: dict[str, Section]) -> None:
    names = {stage.name for stage in STAGES}
    assert len(SECTIONS) == len(drawn)
    assert all(section.needs and {*section.needs} < names for section in SECTIONS)


def test_the_bottleneck_shows_the_summarys_values(
    drawn: dict[str, Section], readouts: Readouts
) -> None:
    panels = [trace for trace in drawn["bottleneck"].figure.data if trace.name == "before"]
    expected = [
        auroc2(values, readouts.correct)
        for values in (
            readouts.stated[BEFORE],
            readouts.expected[BEFORE],
            readouts.probe[BEFORE],
        )
    ]
    assert list(panels[0].x) == pytest.approx(expected)


def test_stated_confidence_is_shown_in_percent(
    drawn: dict[str, Section], readouts: Readouts
) -> None:
    bars = [
        trace
        for trace in drawn["stated_confidence"].figure.data
        if trace.name and "before" in trace.name
    ]
    counts = dict(bars[0].customdata)
    stated = 100 * readouts.stated[BEFORE]
    assert counts["0 to under 5"] == (stated < 5).sum()
    assert counts["5 to under 10"] == ((stated >= 5) & (stated < 10)).sum()
    assert sum(counts.values()) == (~np.isnan(stated)).sum()


def test_layers_are_read_from_the_probe_tables(drawn: dict[str, Section], context: Run) -> None:
    table = (
        context.stage("probe_tuned")
        .table("layers")
        .query("position == 'confidence'")
        .sort_values("layer")
    )
    line = traces(drawn["auroc2_by_layer"])["after, confidence position"]
    assert list(line.x) == [0, 1, 2, 3]
    assert list(line.y) == pytest.approx(table["auroc2"].tolist())
    assert {"before, answer end", "before, after answer", "shuffled labels"} <= set(
        traces(drawn["auroc2_by_layer"])
    )


def test_every_control_stands_beside_the_effect(
    drawn: dict[str, Section], patching: PatchingResult
) -> None:
    lines = traces(drawn["patching"])
    assert set(CONTROL_NAMES) | {"own_tuned"} == {condition.name for condition in CONDITIONS}
    for name, label in CONTROL_NAMES.items():
        assert (label in lines) == (name != "own_base")
    assert list(lines["own donor"].y) == pytest.approx(patching.shift["own_tuned"].value.tolist())
    random = np.asarray(lines["random earlier position"].y, dtype=float)
    shown = random[~np.isnan(random)]
    assert shown == pytest.approx(patching.shift["random_position"].value)


def test_the_heat_map_has_each_questions_own_shift(
    drawn: dict[str, Section], context: Run, readouts: Readouts
) -> None:
    table = context.stage("patch").table("sweep").query("condition == 'own_tuned'")
    (heat,) = (trace for trace in drawn["layer_question"].figure.data if trace.type == "heatmap")
    shift = np.asarray(heat.z, dtype=float)
    text = context.stage("questions").table("questions")["question"]
    for item, part in table.groupby("item"):
        part = part.sort_values("layer")
        distance = (part["donor"] - part["base"]).to_numpy()
        expected = (part["patched"] - part["base"]).to_numpy() / distance
        if abs(distance[0]) < 0.01:
            assert np.isnan(shift[int(item)]).all()
        else:
            assert shift[int(item)] == pytest.approx(expected)
        label = text[part["row"].iloc[0]].split("<")[0]
        assert str(heat.customdata[int(item)][0]).startswith(label)


def test_the_answers_of_every_domain_are_counted(drawn: dict[str, Section], context: Run) -> None:
    questions = context.stage("questions").table("questions")
    answers = context.stage("answer").table("answers")
    expected = answers["correct"].astype(float).groupby(questions["domain"]).mean()
    (dots,) = drawn["answers"].figure.data
    assert list(dots.x) == pytest.approx(sorted(expected, reverse=True))
    assert {row[0]: row[3] for row in dots.customdata} == {"planets": 66, "rivers": 66}


def test_the_tables_behind_the_figures_are_kept(context: Run, patching: PatchingResult) -> None:
    table: pd.DataFrame = context.stage("report").table("patching")
    curves = {str(name): part.sort_values("layer") for name, part in table.groupby("curve")}
    assert set(curves) == {*(f"shift of {c.name}" for c in CONDITIONS), "donor slope", "base slope"}
    assert curves["shift of own_tuned"]["value"].tolist() == pytest.approx(
        patching.shift["own_tuned"].value.tolist()
    )
    assert curves["donor slope"]["high"].tolist() == pytest.approx(
        patching.donor_slope.high.tolist()
    )
    assert curves["shift of own_base"]["layer"].tolist() == [0, 3]


def test_seconds_are_those_of_finished_stages(context: Run, finished_run: Any) -> None:
    spent = seconds(context, ("report",))
    assert "seconds.report" not in spent
    assert {**spent, "seconds.report": finished_run.summary["seconds.report"]} == seconds(context)
    assert spent["seconds.teach"] == finished_run.summary["seconds.teach"]


def test_sample_answers_stand_on_the_page_with_their_confidences(writable: Run) -> None:
    """Twelve rows, evenly over the two domains, from the held-out questions."""
    page(writable).unlink()
    facts = report(writable, writable.stage("report"))
    text = page(writable).read_text()
    table = writable.stage("report").table("held_out")
    shown = [name for name, part in table.groupby("domain") for name in part["question"].head(6)]
    assert facts["page"] == str(page(writable))
    plain = re.sub(r"&lt;|&gt;", "", text)
    assert sum(re.sub("[<>]", "", question) in plain for question in shown) == 12
    row = table.iloc[0]
    assert f"{round(100 * row['probe_before'], 1):.4g}" in text
