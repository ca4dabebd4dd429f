"""Scales, labels and types of a table are the same from whatever file it is read."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from workbench.errors import WorkbenchError
from workbench.measure import read_answers

HEAD = "id,confidence,correct\n"


def put(folder: Path, content: str) -> Path:
    path = folder / "t.csv"
    path.write_text(content)
    return path


@pytest.mark.parametrize("ending", ["csv", "jsonl", "parquet"])
def test_two_models_on_two_scales(tmp_path: Path, ending: str) -> None:
    table = pd.DataFrame(
        {
            "m": ["a"] * 30 + ["b"] * 30,
            "confidence": [0.6 + i / 100 for i in range(30)] + [60.0 + i for i in range(30)],
            "correct": [1, 0] * 30,
        }
    )
    path = tmp_path / f"t.{ending}"
    {
        "csv": lambda: table.to_csv(path, index=False),
        "jsonl": lambda: table.to_json(path, orient="records", lines=True),
        "parquet": lambda: table.to_parquet(path),
    }[ending]()
    with pytest.raises(
        WorkbenchError,
        match=r"on 0-1 in group 'a' \(largest value 0.89\) and on 0-100 in group 'b' \(largest value 89\)",
    ):
        read_answers(path, by=["m"])
    with pytest.raises(WorkbenchError, match="mixes 0-1 and 0-100"):
        read_answers(path)
    table.assign(
        confidence=table["confidence"].where(table["m"] == "b", 100 * table["confidence"])
    ).to_csv(tmp_path / "u.csv", index=False)
    said = " ".join(read_answers(tmp_path / "u.csv", by=["m"]).notes)
    assert "read in each group: a 60 to 89; b 60 to 89." in said


def test_few_values_below_one_per_cent_are_read_and_said(tmp_path: Path) -> None:
    found = read_answers(put(tmp_path, HEAD + "q,50,1\n" * 99 + "q,0.5,0\n"))
    assert found.confidence[-1] == 0.005
    assert (
        "1 values of column 'confidence' lie between 0 and 1 (the first in row 100) and are read "
        "as less than 1 %" in " ".join(found.notes)
    )


def test_a_group_on_another_scale_of_ten_is_doubted(tmp_path: Path) -> None:
    path = put(tmp_path, "m,confidence,correct\na,90,1\na,80,0\nb,9,1\nb,8,0\n")
    assert "no value exceeds 10 in 'b'" in " ".join(read_answers(path, by=["m"]).notes)


@pytest.mark.parametrize("kind", [np.float16, np.float32, np.float64])
def test_narrow_floats_are_what_was_written(tmp_path: Path, kind: type) -> None:
    stated = np.array([0.9] * 20 + [0.7] * 20, dtype=kind)
    path = tmp_path / "t.parquet"
    pq.write_table(pa.table({"confidence": pa.array(stated), "correct": [1, 0] * 20}), path)
    assert read_answers(path).confidence.tolist() == [0.9] * 20 + [0.7] * 20


WIDE = [2**60 + i for i in range(40)]


@pytest.mark.parametrize("ending", ["csv", "jsonl", "parquet"])
def test_wide_ids_with_a_gap_stay_apart(tmp_path: Path, ending: str) -> None:
    ids: list[int | None] = [*WIDE[:39], None]
    path = tmp_path / f"t.{ending}"
    if ending == "parquet":
        pq.write_table(
            pa.table(
                {"id": pa.array(ids, pa.int64()), "confidence": [0.5] * 40, "correct": [1] * 40}
            ),
            path,
        )
    elif ending == "jsonl":
        path.write_text(
            "".join(json.dumps({"id": i, "confidence": 0.5, "correct": 1}) + "\n" for i in ids)
        )
    else:
        path.write_text(HEAD + "".join(f"{'' if i is None else i},0.5,1\n" for i in ids))
    found = read_answers(path)
    assert found.id is not None
    assert found.id.tolist() == [*map(str, WIDE[:39]), "(no id, row 40)"]
    assert "1 rows have no id in column 'id'; each counts as a question of its own." in found.notes


def test_whole_numbers_that_were_floats_on_the_way_are_the_same_labels(tmp_path: Path) -> None:
    table = pd.DataFrame(
        {"id": [1.0, 2.0, np.nan], "g": [3, 4, 5], "confidence": [0.5] * 3, "correct": [1] * 3}
    )
    table.to_csv(tmp_path / "t.csv", index=False)
    table.to_parquet(tmp_path / "t.parquet")
    table.to_json(tmp_path / "t.json", orient="records")
    for name in ("t.csv", "t.parquet", "t.json"):
        found = read_answers(tmp_path / name, by=["g"])
        assert found.id is not None
        assert (found.id.tolist(), found.group.tolist()) == (
            ["1", "2", "(no id, row 3)"],
            ["3", "4", "5"],
        )


def test_versions_and_leading_zeros_are_no_numbers(tmp_path: Path) -> None:
    path = put(tmp_path, "g,h,confidence,correct\n1.0,007,0.5,1\n1.10,07,0.5,1\n1.1,7,0.5,1\n")
    assert read_answers(path, by=["g"]).group.tolist() == ["1.0", "1.10", "1.1"]
    assert read_answers(path, by=["h"]).group.tolist() == ["007", "07", "7"]


def test_parquet_types_as_labels_and_numbers(tmp_path: Path) -> None:
    table = pa.table(
        {
            "id": pa.array([1, None, 3], pa.uint64()),
            "g": pa.array(["x", "y", "x"]).dictionary_encode(),
            "t": pa.array([np.float32(0.7), np.float32(1), None], pa.float32()),
            "confidence": pa.array([2, 50, None], pa.int8()),
            "correct": pa.array([True, False, True]),
            "day": pa.array([0, 1, 2], pa.date32()),
            "logits": pa.array([[1.0], [2.0], None]),
        }
    )
    pq.write_table(table, tmp_path / "t.parquet")
    found = read_answers(tmp_path / "t.parquet", by=["g", "t", "day"])
    assert found.group.tolist() == [
        "x / 0.7 / 1970-01-01",
        "y / 1 / 1970-01-02",
        "x / (missing) / 1970-01-03",
    ]
    assert np.array_equal(found.confidence, [0.02, 0.5, np.nan], equal_nan=True)
    with pytest.raises(WorkbenchError, match="column 'logits' holds lists"):
        read_answers(tmp_path / "t.parquet", by=["logits"])


def test_text_that_is_none_is_refused_when_read(tmp_path: Path) -> None:
    table = pa.table({"confidence": [0.5], "correct": [1], "note": pa.array(["xx"])})
    pq.write_table(
        table,
        tmp_path / "t.parquet",
        use_dictionary=False,
        write_statistics=False,
        compression="none",
    )
    data = (tmp_path / "t.parquet").read_bytes()
    assert data.count(b"\x02\0\0\0xx") == 1
    (tmp_path / "t.parquet").write_bytes(data.replace(b"\x02\0\0\0xx", b"\x02\0\0\0x\xff"))
    with pytest.raises(WorkbenchError, match=r"not readable as parquet \(.*UTF8"):
        read_answers(tmp_path / "t.parquet")


def test_folders_called_like_partitions_add_no_column(tmp_path: Path) -> None:
    folder = tmp_path / "correct=1"
    folder.mkdir()
    pd.DataFrame({"confidence": [0.5]}).to_parquet(folder / "t.parquet")
    with pytest.raises(WorkbenchError, match="no column with whether the answer was right"):
        read_answers(folder / "t.parquet")


def test_uncertainties_are_turned_round(tmp_path: Path) -> None:
    path = put(tmp_path, "doc_id,uncertainty,correct\na,20,1\nb,90,0\n")
    found = read_answers(path, columns={"confidence": "uncertainty"}, higher_is_less_sure=True)
    assert found.confidence.tolist() == pytest.approx([0.8, 0.1])
    assert (
        "column 'uncertainty' is higher where less sure: confidence = 1 - value / 100."
        in found.notes
    )
    assert found.id is not None
    bits = read_answers(
        path, columns={"confidence": "uncertainty"}, scale=200, higher_is_less_sure=True
    )
    assert bits.confidence.tolist() == pytest.approx([0.9, 0.55])


@pytest.mark.parametrize("scale", [0, -1, float("inf"), float("nan"), 1e9])
def test_a_scale_that_cannot_be_meant(tmp_path: Path, scale: float) -> None:
    with pytest.raises(WorkbenchError, match="the largest value of a confidence scale is above 0"):
        read_answers(tmp_path / "absent.csv", scale=scale)
