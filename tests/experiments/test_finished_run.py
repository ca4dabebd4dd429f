from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from workbench.errors import WorkbenchError
from workbench.experiments.finished_run import PROBED, open_or_make_probed_run
from workbench.loop import STAGES, is_complete, run_loop
from workbench.pipeline.stages import STRICT


def finished(folder: Path) -> dict[str, float]:
    """By stage, when it finished."""
    return {each.parent.name: each.stat().st_mtime for each in folder.glob("*/done.json")}


def test_a_run_without_teaching_stops_at_its_probes_and_can_be_finished_later(
    loop_inputs: Any, tmp_path: Path
) -> None:
    folder, figures = tmp_path / "run", tmp_path / "figures"
    run = open_or_make_probed_run(loop_inputs.config, folder, figures, STRICT)
    there = finished(folder)
    assert set(there) == set(PROBED)
    assert not is_complete(folder)
    assert set(run.keys) == set(PROBED)
    again = open_or_make_probed_run(None, folder, figures, STRICT)
    assert again.config == loop_inputs.config
    assert again.keys == run.keys
    other = loop_inputs.config.model_copy(update={"seed": 5})
    with pytest.raises(WorkbenchError, match="seed: 0 there, 5 now"):
        open_or_make_probed_run(other, folder, figures, STRICT)
    run_loop(loop_inputs.config, folder, figures)
    whole = finished(folder)
    assert {name: whole[name] for name in PROBED} == there
    assert {stage.name for stage in STAGES} == set(whole)
    complete = open_or_make_probed_run(None, folder, figures, STRICT)
    assert {stage.name for stage in STAGES} <= set(complete.keys)


def test_what_cannot_finish_is_refused_before_any_work(loop_inputs: Any, tmp_path: Path) -> None:
    config = loop_inputs.config
    few = config.model_copy(update={"questions": config.questions.model_copy(update={"limit": 12})})
    with pytest.raises(WorkbenchError, match=r"raise questions\.limit"):
        open_or_make_probed_run(few, tmp_path / "run", tmp_path / "figures", STRICT)
    assert list(tmp_path.iterdir()) == []
