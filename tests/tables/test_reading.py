from pathlib import Path

import pandas as pd
import pytest

from workbench.errors import WorkbenchError
from workbench.tables import read_columns


def written(path: Path, text: str) -> Path:
    path.write_text(text, encoding="utf-8")
    return path


def test_csv_is_text_as_written(tmp_path: Path) -> None:
    file = written(tmp_path / "a.csv", '\ufeffgroup , x\nNA,01\n"two\nlines",\n')
    columns = read_columns(file)
    assert columns["group"].tolist() == ["NA", "two\nlines"]
    assert columns["x"].tolist() == ["01", ""]


def test_tabs(tmp_path: Path) -> None:
    assert read_columns(written(tmp_path / "a.tsv", "a\tb\n1,5\t2\n"))["a"].tolist() == ["1,5"]


def test_jsonl_may_leave_keys_out(tmp_path: Path) -> None:
    columns = read_columns(
        written(tmp_path / "a.jsonl", '{"a": 1}\n\n{"b": true, "a": null}\n{"a": 3}\n')
    )
    assert columns["a"].tolist() == [1, None, 3]
    assert columns["b"].tolist() == [None, True, None]


def test_parquet_keeps_types(tmp_path: Path) -> None:
    pd.DataFrame({"a": [0.5, None], "b": [True, False]}).to_parquet(tmp_path / "a.parquet")
    columns = read_columns(tmp_path / "a.parquet")
    assert columns["a"].dtype == float
    assert columns["b"].tolist() == [True, False]


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("a.txt", "a\n1\n", "unknown kind of file"),
        ("a.csv", "", "no rows"),
        ("a.csv", "a,b\n", "no rows"),
        ("a.csv", "a,a\n1,2\n", "two columns are called 'a'"),
        ("a.csv", "a,b\n1,2\n1,2,3\n", "line 3: the row has 3 cells and the header 2"),
        ("a.jsonl", '{"a": 1}\n{"a"\n', "line 2: not readable as JSON"),
        ("a.jsonl", "[1]\n", "line 1: a row is a JSON object"),
        ("a.jsonl", "\n", "no rows"),
        ("a.parquet", "nothing", "not readable as parquet"),
    ],
)
def test_broken_files_are_named(tmp_path: Path, name: str, text: str, message: str) -> None:
    with pytest.raises(WorkbenchError, match=message):
        read_columns(written(tmp_path / name, text))


def test_other_encodings_and_missing_files(tmp_path: Path) -> None:
    for name in ("a.csv", "a.jsonl"):
        (tmp_path / name).write_bytes('{"a": "ü"}\n'.encode("latin-1"))
        with pytest.raises(WorkbenchError, match="UTF-8"):
            read_columns(tmp_path / name)
    with pytest.raises(WorkbenchError, match="no such file"):
        read_columns(tmp_path / "absent.csv")
