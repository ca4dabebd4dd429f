from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.support.mechanisms import written_record
from workbench.errors import WorkbenchError
from workbench.measure.interval import Estimate
from workbench.mechanisms.catalogue import work_named
from workbench.mechanisms.outcomes import CANNOT_TELL, CONFIRMED
from workbench.mechanisms.record import (
    MechanismRecord,
    make_record,
    read_records,
    record_stage,
    records_of,
    stage_name,
)
from workbench.pipeline.stage_store import StageStore

WORK = work_named("self_knowledge")
PLACE: dict[str, Any] = {"model": "tiny", "questions": "set", "condition": "before", "seed": 0}


def test_a_record_is_read_back_with_its_verdicts() -> None:
    record = written_record(WORK, {"question_end": 0.7})
    nan = Estimate(float("nan"), float("nan"), float("nan"), 3)
    record = MechanismRecord(**{**vars(record), "estimates": {**record.estimates, "tfidf": nan}})
    again = MechanismRecord.from_json(record.to_json())
    assert again.estimates["question_end"] == record.estimates["question_end"]
    assert np.isnan(again.estimates["tfidf"].low)
    assert again.estimates["tfidf"].n == 3
    assert again.rules["question_alone"] == WORK.claim("question_alone").rule
    assert again.outcomes(WORK) == {
        "question_alone": CONFIRMED,
        "only_in_disagreement": CANNOT_TELL,
        "input_only": CANNOT_TELL,
    }


def test_every_quantity_is_measured_or_has_a_reason() -> None:
    one = {"question_end": Estimate(0.7, 0.6, 0.8, 10)}
    with pytest.raises(WorkbenchError, match="neither measured 'after_answer' nor says why"):
        make_record(WORK, one, **PLACE)
    with pytest.raises(WorkbenchError, match="'else' is no quantity"):
        make_record(WORK, {"else": one["question_end"]}, **PLACE)


def test_the_last_stage_seals_the_records(tmp_path: Path) -> None:
    def measure(run: Any, stage: StageStore) -> list[MechanismRecord]:
        return [written_record(WORK, {"question_end": run})]

    stage = record_stage(WORK, measure, ("seed",), ("probe",), given={"items": 3})
    assert stage.name == stage_name("self_knowledge")
    assert stage.given["rules"]["input_only"] == WORK.claim("input_only").rule
    folder = StageStore(tmp_path / stage.name, "key")
    folder.begin()
    assert stage.work is not None
    folder.finish(stage.work(0.7, folder))
    (kept,) = records_of(folder)
    assert kept.estimates["question_end"].value == 0.7
    assert read_records(tmp_path) == [kept]
    with pytest.raises(WorkbenchError, match="No work was tested on the run"):
        read_records(tmp_path / "empty")
