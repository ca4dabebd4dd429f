from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from workbench.config import RunConfig
from workbench.experiments.confidence_alignment.page import (
    cells,
    grid,
    letters,
    lines,
    page_of,
    summary_of,
    words_of,
)
from workbench.experiments.confidence_alignment.read import EIGHT, FULL, Confidences
from workbench.experiments.confidence_alignment.results import AlignmentResults, measure_alignment
from workbench.report import write_page


@pytest.fixture(scope="module")
def results(planted_confidences: Confidences) -> AlignmentResults:
    return measure_alignment(planted_confidences, RunConfig(), resamples=100, seed=0)


def test_the_grid_holds_each_combination_in_its_place(results: AlignmentResults) -> None:
    drawn = grid(results, "c")
    assert drawn.columns == [
        "text, 1 to 100",
        "text, six terms",
        "expected, 1 to 100",
        "expected, six terms",
    ]
    assert drawn.rows == [
        "own voice, options shown",
        "own voice, options hidden",
        "third person, options shown",
        "third person, options hidden",
    ]
    assert drawn.cells[0][0].rho == results.of(EIGHT[0], "stated").measured.rho
    assert np.isnan(drawn.cells[0][1].rho.value)
    assert drawn.cells[0][1].ceiling == 1.0
    assert drawn.cells[1][0].parsed == 0.75
    assert drawn.cells[3][3].rho == results.of(EIGHT[7], "expected").measured.rho
    assert [len(figure.data) for figure in (drawn.figure(), letters(results, "c").figure())] == [
        2,
        2,
    ]


def test_cells_are_drawn_where_something_was_read(
    planted_confidences: Confidences, results: AlignmentResults
) -> None:
    drawn = cells(results, "expected", "c")
    assert drawn is not None
    assert drawn.stated_split == "median"
    silent = planted_confidences.stated.copy()
    silent.loc[silent["format"] == FULL.format, "stated"] = np.nan
    changed = Confidences(
        planted_confidences.questions,
        planted_confidences.internal,
        planted_confidences.options,
        silent,
        planted_confidences.precision,
    )
    assert (
        cells(measure_alignment(changed, RunConfig(), resamples=100, seed=0), "stated", "c") is None
    )


def test_page_tables_and_summary(results: AlignmentResults, tmp_path: Path) -> None:
    index = write_page(page_of(results), tmp_path / "page")
    names = ("ablation", "cells_stated", "cells_expected", "discrimination", "letters")
    assert {path.stem for path in index.parent.glob("*.html")} == {"index", *names}
    page = index.read_text()
    assert results.answers.words.split(";")[0] in page
    assert words_of(EIGHT[1]) in page
    table = pd.read_csv(index.parent / "alignment.csv").set_index(["format", "readout"])
    rho = results.of(EIGHT[0], "stated").measured.rho
    assert table.loc[(EIGHT[0].format, "stated"), "rho.low"] == pytest.approx(rho.low)
    tidy = pd.read_csv(index.parent / "confidence.csv")
    assert len(tidy) == 9 * 60
    assert {"id", "domain", "p_ic", "stated", "mass_on_scale", "mass"} <= set(tidy)
    own = tidy[tidy["format"] == EIGHT[0].format]
    assert own["p_ic"].corr(own["stated"], method="spearman") == pytest.approx(rho.value)
    assert len(pd.read_csv(index.parent / "options.csv")) == 120
    assert pd.read_csv(index.parent / "letters.csv")["letter"].tolist() == ["A", "B"]
    summary = summary_of(results)
    assert summary[f"rho.{EIGHT[0].format}.text"] == rho.value
    assert summary["accuracy.chance"] == 0.5


def test_every_prompt_and_readout_is_a_line(results: AlignmentResults) -> None:
    shown = lines(results)
    assert len(shown) == 18
    assert shown[2]["rho"] == "not defined"
    assert shown[2]["at the top"] == "100 %"
    assert shown[4]["read"] == "75 %"
