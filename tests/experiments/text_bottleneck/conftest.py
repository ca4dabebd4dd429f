"""The run whose text bottleneck was followed, shared by what is measured beyond its steps."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

from tests.support.runs import FinishedRun, build_once
from workbench.experiments.text_bottleneck.run import BottleneckParameters, run_bottleneck


@pytest.fixture(scope="session")
def followed_run(finished_run: FinishedRun, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The finished run with its text bottleneck followed through every step of the three usual
    conditions, and nothing more; not to be written to.
    """

    def build(place: Path) -> dict[str, Any]:
        folder = shutil.copytree(finished_run.folder, place / "run")
        steps = BottleneckParameters(lens=False, geometry=False, ceiling=False, interventions=False)
        run_bottleneck(None, folder, steps, figures=place / "figures")
        return {}

    place, _ = build_once(tmp_path_factory, "followed", build)
    return place / "run"
