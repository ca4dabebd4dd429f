from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.support.mechanisms import written_record
from tests.support.scripts import load_script
from workbench.errors import WorkbenchError
from workbench.mechanisms.catalogue import work_named
from workbench.mechanisms.record import RECORDS, stage_name
from workbench.pipeline.stage_store import StageStore

WORK = work_named("self_knowledge")
_PATH = Path(__file__).parents[2] / "docs" / "record_mechanisms.py"


@pytest.fixture(scope="module")
def script() -> Any:
    return load_script(_PATH)


def kept(folder: Path, seed: int) -> Path:
    """A run's folder with one record."""
    stage = StageStore(folder / stage_name(WORK.name), "key")
    stage.begin()
    record = written_record(WORK, {"question_end": 0.7}, seed=seed)
    stage.finish({RECORDS: [record.to_json()]})
    return folder


def test_runs_become_one_table(script: Any, tmp_path: Path) -> None:
    runs = [kept(tmp_path / f"run{seed}", seed) for seed in (0, 1)]
    content = script.content_of(runs, commit="abc", machine="one core", note="")
    assert content["settings"] == {"runs": ["run0", "run1"]}
    assert content["rows"][0]["word"] == "confirmed, 2 of 2 seeds alone"
    with pytest.raises(WorkbenchError, match="No work was tested"):
        script.content_of([tmp_path / "none"], commit="", machine="", note="")
