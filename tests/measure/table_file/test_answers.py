from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from workbench.errors import WorkbenchError
from workbench.measure import read_answers

TABLE = pd.DataFrame(
    {
        "question_id": ["q1", "q2", "q1", "q1", "q3"],
        "model": ["a", "a", "b", "b", "b"],
        "turn": [1, 1, 1, 1, 2],
        "confidence": [90.0, None, 50.0, 60.0, 100.0],
        "correct": [1, 0, 1, 0, 1],
        "colour": ["x"] * 5,
    }
)


@pytest.fixture(params=["csv", "jsonl", "parquet"])
def file(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    path = tmp_path / f"answers.{request.param}"
    if request.param == "csv":
        TABLE.to_csv(path, index=False)
    elif request.param == "jsonl":
        TABLE.to_json(path, orient="records", lines=True)
    else:
        TABLE.to_parquet(path)
    return path


def test_every_kind_of_file_gives_the_same_answers(file: Path) -> None:
    found = read_answers(file, by=["model", "turn"])
    assert np.array_equal(found.confidence, [0.9, np.nan, 0.5, 0.6, 1.0], equal_nan=True)
    assert found.correct.tolist() == [True, False, True, False, True]
    assert found.group.tolist() == ["a / 1", "a / 1", "b / 1", "b / 1", "b / 2"]
    assert (found.scale, len(found), found.domain) == (100, 5, None)
    said = " ".join(found.notes)
    assert "confidence = confidence, correct = correct, id = question_id" in said
    assert "Not used: colour" in said
    assert "1 ids occur again within their group (such as 'q1'); all rows are kept" in said
    groups = found.groups()
    assert list(groups) == ["a / 1", "b / 1", "b / 2"]
    assert groups["b / 1"].confidence.tolist() == [0.5, 0.6]


@pytest.mark.parametrize(("duplicates", "kept"), [("first", 0.5), ("last", 0.6)])
def test_duplicates_can_be_dropped(file: Path, duplicates: str, kept: float) -> None:
    found = read_answers(file, by=["model"], duplicates=duplicates)  # type: ignore[arg-type]
    assert len(found) == 4
    assert found.groups()["b"].confidence.tolist() == [kept, 1.0]
    assert f"only the {duplicates} row" in found.notes[-1]


def test_duplicates_can_be_refused(file: Path) -> None:
    with pytest.raises(WorkbenchError, match="--duplicates keep, first or last"):
        read_answers(file, by=["model"], duplicates="refuse")


def test_without_groups_there_is_one(file: Path) -> None:
    assert list(read_answers(file).groups()) == ["all"]


def test_an_unknown_group_column_is_an_error(file: Path) -> None:
    with pytest.raises(
        WorkbenchError, match=r"--by: there is no column 'modle'.*did you mean 'model'"
    ):
        read_answers(file, by=["modle"])
