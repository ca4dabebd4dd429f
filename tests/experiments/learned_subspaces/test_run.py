from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from workbench.errors import WorkbenchError
from workbench.experiments.learned_subspaces.items import choose_sides, metric_of, variables_of
from workbench.experiments.learned_subspaces.run import (
    LearnedSubspacesParameters,
    default_layers,
    page_of,
    run_learned_subspaces,
)
from workbench.loop import open_run
from workbench.patch.inputs import Reading
from workbench.report import write_page
from workbench.subspaces.result import PLACEBOS

SMALL = LearnedSubspacesParameters(
    layers=(1,), ranks=(1, 2), n_train=12, n_held_out=10, epochs=1, boundless=True, seeds=2
)


@pytest.fixture
def place(finished_run: Any, tmp_path: Path) -> Path:
    """A copy of the finished run."""
    return Path(shutil.copytree(finished_run.folder, tmp_path / "runs" / "tiny"))


def test_both_conditions_are_searched_once_and_sealed(
    place: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    figures = tmp_path / "figures" / "tiny"
    first = run_learned_subspaces(None, place, SMALL, figures=figures)
    assert [(one.condition, one.layer) for one in first.layers] == [("base", 1), ("taught", 1)]
    assert (first.trained, first.held_out, first.precision) == (12, 10, "float32")
    for one in first.layers:
        assert len(one.named) == 6
        assert [each.found.rank for each in one.searched][:2] == [1, 2]
        assert [each.found.boundless for each in one.searched] == [False, False, True] * 2
        own = {each.found.nothing.base_slope.value for each in one.searched}
        np.testing.assert_allclose([*own], 1.0)
    table = pd.concat([one.swaps() for one in first.layers])
    assert set(table["swapped"]) == {"found", *PLACEBOS, "nothing", "whole_state"}

    monkeypatch.setattr("workbench.experiments.learned_subspaces.search.find_subspaces", None)
    again = run_learned_subspaces(None, place, SMALL, figures=figures)
    page = page_of(again)
    assert page.summary == page_of(first).summary
    key = "taught.layer1.rank_1_seed_0"
    assert {f"{key}.accuracy.placebos", f"{key}.spread_lost.random"} <= page.summary.keys()
    index = write_page(page, figures / "learned_subspaces")
    written = pd.read_csv(index.parent / "swaps.csv")
    assert len(written) == 2 * 6 * (3 + len(PLACEBOS))
    assert len(pd.read_csv(index.parent / "removals.csv")) == 2 * 6 * 3
    assert len(page.figures) == 2 + 2 * 2
    # Another layer is added to those there; what was searched is not searched again.
    with pytest.raises(TypeError, match="NoneType"):
        run_learned_subspaces(None, place, SMALL.replace({"layers": (1, 2)}), figures=figures)
    with pytest.raises(WorkbenchError, match="epochs: 1 there, 2 now"):
        run_learned_subspaces(None, place, SMALL.replace({"epochs": 2}), figures=figures)


def test_a_variable_is_the_runs_and_splits_stay_apart(place: Path, tmp_path: Path) -> None:
    run = open_run(place, tmp_path / "figures")
    sides = choose_sides(run, 12, 10)
    questions = run.stage("questions").table("questions")
    for side, split in ((sides.train, "train"), (sides.held_out, "test")):
        assert set(questions["split"].iloc[side.rows]) == {split}
    reading = Reading(metric_of(run), 2048)
    prompts = sides.prompts(run.lm)
    own, other = variables_of("confidence", sides, prompts, reading, 0)
    expected = run.stage("elicit").table("confidence").set_index("row")["expected"]
    np.testing.assert_allclose(own.train, expected[sides.train.rows], atol=1e-4)
    np.testing.assert_allclose(own.held_out, expected[sides.held_out.rows], atol=1e-4)
    np.testing.assert_array_equal(np.sort(other.held_out), np.sort(own.held_out))
    lengths = np.array([len(text) for text in sides.train.texts]) % 2
    assert other.train[lengths == 1].min() >= other.train[lengths == 0].max()
    right, _ = variables_of("correct", sides, prompts, reading, 0)
    graded = run.stage("answer").table("answers")["correct"]
    np.testing.assert_array_equal(right.held_out, graded.iloc[sides.held_out.rows].astype(float))


def test_layers_that_do_not_fit_are_refused_before_any_forward(
    place: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("workbench.experiments.learned_subspaces.run.run_stages", None)
    with pytest.raises(WorkbenchError, match="the model has layers 0 to"):
        run_learned_subspaces(
            None, place, SMALL.replace({"layers": (1, 99)}), figures=tmp_path / "figures"
        )
    with pytest.raises(WorkbenchError, match="Parameter 'ranks"):
        SMALL.replace({"ranks": (9,)})


def test_default_layers_lie_over_the_upper_half_without_the_last() -> None:
    assert default_layers(30) == [15, 22, 28]
    assert default_layers(4) == [2]
    assert default_layers(1) == [0]


def test_the_base_model_alone_needs_no_teaching(place: Path, tmp_path: Path) -> None:
    for name in ("teach", "teach_control", "elicit_tuned", "probe_tuned", "patch", "report"):
        shutil.rmtree(place / name)
    alone = SMALL.model_copy(update={"condition": "base", "seeds": 1, "boundless": False})
    found = run_learned_subspaces(None, place, alone, figures=tmp_path / "figures" / "tiny")
    assert [one.condition for one in found.layers] == ["base"]
    assert not (place / "teach").exists()
