from __future__ import annotations

import json
from pathlib import Path

import pytest

from workbench.errors import WorkbenchError
from workbench.report.run_records import Headline, RecordCurve, RunRecord, read_record

RECORD = RunRecord(
    "Does it know?",
    "It does.",
    {"model": "m", "seed": "0"},
    [Headline("AUROC2", 0.8, 0.7, 0.9), Headline("none", float("nan"))],
    [RecordCurve("shift", "layer", [0.0, 1.0], [None, 0.5])],
    True,
)


def test_a_record_comes_back_as_it_was_written(tmp_path: Path) -> None:
    path = tmp_path / "run.json"
    path.write_text(json.dumps(RECORD.to_json(), allow_nan=False))
    assert read_record(path) == RECORD
    assert RECORD.headlines[1].value is None


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"title": 1, "answer": 2, "facts": 3}'])
def test_another_file_is_refused(tmp_path: Path, content: str) -> None:
    path = tmp_path / "run.json"
    path.write_text(content)
    with pytest.raises(WorkbenchError, match="is not the record of a run"):
        read_record(path)
