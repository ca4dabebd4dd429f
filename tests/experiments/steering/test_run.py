from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from workbench.errors import WorkbenchError
from workbench.experiments.steering.page import page_of
from workbench.experiments.steering.run import SteeringParameters, run_steering
from workbench.pipeline.stages import Reuse
from workbench.report import write_page

SMALL = SteeringParameters(n_questions=12, layers=2, random=1, lengths=(0.5, 1.0))


@pytest.fixture
def place(finished_run: Any, tmp_path: Path) -> Path:
    """A copy of the finished run."""
    return Path(shutil.copytree(finished_run.folder, tmp_path / "run"))


def test_it_steers_the_run_that_is_there_once_and_seals_it(
    finished_run: Any, place: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = run_steering(None, place, SMALL, figures=tmp_path / "figures")
    assert len(first.effects) == 1 + 2 + 2 * 2 * 4
    assert first.summary["questions"] == 12
    assert first.precision == "float32"
    stage = place / "steering"
    assert (stage / "done.json").exists()
    assert not (stage / "parts").exists()
    monkeypatch.setattr("workbench.experiments.steering.run.steered_confidence", None)
    config = finished_run.inputs.config
    again = run_steering(config, place, SMALL, figures=tmp_path / "figures")
    pd.testing.assert_frame_equal(again.table, first.table)
    assert again.summary == first.summary
    index = write_page(page_of(again), tmp_path / "page")
    assert len(pd.read_csv(index.parent / "steering.csv")) == len(first.effects)
    with pytest.raises(WorkbenchError, match="random: 1 there, 2 now"):
        run_steering(None, place, SMALL.replace({"random": 2}), figures=tmp_path / "figures")
    with pytest.raises(TypeError, match="NoneType"):
        run_steering(
            None, place, SMALL.replace({"random": 2}), figures=tmp_path, reuse=Reuse(replace=True)
        )


def test_a_run_of_other_settings_is_not_taken_for_the_one_asked_for(
    finished_run: Any, place: Path, tmp_path: Path
) -> None:
    other = finished_run.inputs.config.model_copy(update={"seed": 4})
    with pytest.raises(
        WorkbenchError, match=r"holds a run of other settings \(seed: 0 there, 4 now"
    ):
        run_steering(other, place, SMALL, figures=tmp_path / "figures")
