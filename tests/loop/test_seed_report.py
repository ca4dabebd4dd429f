from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from workbench.loop.results import LoopResults, loop_results
from workbench.loop.run import Run
from workbench.loop.seed_measures import HEADLINES
from workbench.loop.seed_report import seed_sections, seed_tables
from workbench.loop.seed_results import results_with_seeds


@pytest.fixture(scope="module")
def found(seeds_context: Run) -> LoopResults:
    return results_with_seeds(seeds_context)


def test_the_table_has_a_row_for_each_headline(found: LoopResults, seeds_run: Any) -> None:
    (heading, rows), _ = seed_tables(found)
    assert heading == "Between seeds: 2 trainings on the same answers, targets and questions"
    assert [row["measure"] for row in rows] == list(HEADLINES)
    summary = seeds_run.summary
    first, second = (f"{summary[f'ece.stated.{name}']:.3f}" for name in ("after", "seed1"))
    row = rows[list(HEADLINES).index("ECE stated")]
    assert (row["seed 0"], row["seed 1"]) == (first, second)
    assert row["seed 0 [questions]"].split("\n")[0] == first
    assert "\n" not in row["mean [questions and seeds]"]
    assert row["sd between seeds"] == f"{summary['seeds.sd.ece.stated']:.3f}"
    assert row["lowest to highest"] == " to ".join(sorted([first, second]))
    half = rows[list(HEADLINES).index("donor slope passes 1/2 at layer")]
    assert half["seed 1"] == str(summary["patching.donor_slope.half_layer.seed1"])


def test_shapes_are_of_base_trainings_and_control(found: LoopResults, seeds_run: Any) -> None:
    _, (_, rows) = seed_tables(found)
    assert [row[""] for row in rows] == ["before", "seed 0", "seed 1", "control"]
    summary = seeds_run.summary
    for row, name in zip(rows, ("before", "after", "seed1", "control"), strict=True):
        assert row["AUROC2 expected"].startswith(f"{summary[f'auroc2.expected.{name}']:.3f}")
        assert row["its sd over questions"] == f"{summary[f'shape.sd.{name}']:.3f}"


def test_the_figures_show_every_training(found: LoopResults) -> None:
    curves, shapes = seed_sections(found, "69 held-out questions", "8 held-out questions")
    assert found.seeds is not None
    for condition, name in found.seeds.names().items():
        first, slope, back = (trace.y for trace in curves.figure.data if trace.name == name)
        drawn = found.seeds.curves[condition]
        assert np.array_equal(first, drawn.shift.value)
        assert np.array_equal(slope, drawn.donor_slope.value)
        assert np.array_equal(back, drawn.reverse.value)
    names = dict.fromkeys(trace.name for trace in shapes.figure.data)
    assert list(names) == ["before", "seed 0", "seed 1", "control"]
    assert "2 trainings" in curves.figure.layout.title.subtitle.text


def test_one_training_has_neither_tables_nor_figures(context: Run) -> None:
    found = loop_results(context)
    assert seed_tables(found) == []
    assert seed_sections(found, "", "") == []
    assert results_with_seeds(context).measures == found.measures


def test_the_page_shows_seeds_only_where_there_are_several(
    finished_run: Any, seeds_run: Any
) -> None:
    page = (seeds_run.figures / "index.html").read_text()
    assert "Between seeds: 2 trainings on the same answers, targets and questions" in page
    for figure in ("seed_curves", "discrimination_shape"):
        assert (seeds_run.figures / f"{figure}.html").stat().st_size > 1000
        assert not (finished_run.figures / f"{figure}.html").exists()
    assert "Between seeds" not in (finished_run.figures / "index.html").read_text()
