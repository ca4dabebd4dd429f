from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest

from workbench.errors import WorkbenchError
from workbench.experiments.text_bottleneck.comparison import compare
from workbench.experiments.text_bottleneck.record import Followed
from workbench.experiments.text_bottleneck.results import BottleneckResults
from workbench.experiments.text_bottleneck.run import BottleneckParameters, run_bottleneck
from workbench.report import write_page


@pytest.fixture(scope="module")
def results(followed_run: Path, tmp_path_factory: pytest.TempPathFactory) -> BottleneckResults:
    place = tmp_path_factory.mktemp("copy")
    shutil.copytree(followed_run, place / "run")
    without = BottleneckParameters(lens=False, geometry=False, ceiling=False, interventions=False)
    return run_bottleneck(None, place / "run", without, figures=place / "figures")


def only(results: BottleneckResults, *names: str) -> BottleneckResults:
    """The same without its other conditions."""
    return replace(
        results, conditions=tuple(each for each in results.conditions if each.when in names)
    )


def test_waterfalls_stand_side_by_side_in_the_order_given_on_one_scale(
    results: BottleneckResults, tmp_path: Path
) -> None:
    untaught = only(results, "before")
    page = compare(
        [Followed("late", results), Followed("early", untaught), Followed("<b>", results)]
    )
    assert [section.name for section in page.sections] == [
        "waterfall-before",
        "waterfall-after",
        "waterfall-control",
    ]
    figure = page.figures["waterfall-before"]
    assert [note.text for note in figure.layout.annotations][:3] == ["late", "early", "&lt;b&gt;"]
    assert figure.layout.yaxis.range == figure.layout.yaxis3.range
    assert (
        len([trace for trace in page.figures["waterfall-after"].data if trace.type == "bar"]) == 2
    )
    verdicts = dict(page.lead)["Verdicts"]
    assert [row["run"] for row in verdicts] == [
        "late",
        "early",
        "<b>",
        "late",
        "<b>",
        "late",
        "<b>",
    ]
    losses = dict(page.lead)["What is lost from step to step, AUROC2 within domain"]
    first = results.conditions[0].waterfall.losses[0]
    assert losses[0][f"{first.first} → {first.second}"] == f"{first.within:.2f}"
    index = write_page(page, tmp_path / "page")
    table = pd.read_csv(index.parent / "losses.csv")
    assert len(table) == 7 * 5
    assert table["auroc2_within"][0] == pytest.approx(first.within.value)
    assert set(pd.read_csv(index.parent / "steps.csv")["run"]) == {"late", "early", "<b>"}


def test_other_questions_are_said_and_another_format_is_refused(
    results: BottleneckResults,
) -> None:
    config = results.config
    questions = config.questions.model_copy(update={"skip": 5})
    moved = replace(results, config=config.model_copy(update={"questions": questions}))
    said = compare([Followed("a", results), Followed("b", moved)]).notes
    assert any("asked different questions" in note for note in said)
    same = compare([Followed("a", results), Followed("b", results)]).notes
    assert not any("asked different questions" in note for note in same)
    digits = config.elicit.model_copy(update={"format": "digit"})
    other = replace(results, config=config.model_copy(update={"elicit": digits}))
    with pytest.raises(WorkbenchError, match="'percent' and b in 'digit': compare runs of one"):
        compare([Followed("a", results), Followed("b", other)])
    with pytest.raises(WorkbenchError, match="at least two"):
        compare([Followed("a", results)])


def test_a_scale_that_is_not_used_is_said_before_the_numbers(results: BottleneckResults) -> None:
    low = replace(results, conditions=tuple(replace(each, mass=0.2) for each in results.conditions))
    notes = compare([Followed("a", results), Followed("b", low)]).notes
    assert sum("the scale has only 0.20" in note for note in notes) == 3
    assert all(note.startswith("b, ") for note in notes if "0.20" in note)
