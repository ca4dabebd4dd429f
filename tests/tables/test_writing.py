from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from workbench.tables import read_columns, safe_cells, write_csv


@pytest.mark.parametrize(
    "text",
    [
        "=HYPERLINK(1)",
        "+1+cmd",
        "-2+3",
        "@SUM(1)",
        "\t=1",
        "\r=1",
        " =1",
        "＝1",
        "＠x",
        "\nx",
        "-",
        "--5",
    ],
)
def test_what_begins_a_formula_is_made_text(text: str) -> None:
    assert safe_cells(pd.DataFrame({"a": [text]}))["a"].tolist() == [f"'{text}"]


@pytest.mark.parametrize(
    "text", ["", "a=b", "-5", "+0.5", "-1e-3", " -7 %", "1", "x", "'=1", 5, -5.5, None, True]
)
def test_everything_else_stays(text: object) -> None:
    assert safe_cells(pd.DataFrame({"a": pd.Series([text], dtype=object)}))["a"].tolist() == [text]


def test_names_of_columns_and_categories_too(tmp_path: Path) -> None:
    table = pd.DataFrame({"=a": [-1.5], "domain": pd.Categorical(["=b"]), "ü": ['x"y,z']})
    write_csv(table, tmp_path / "t.csv")
    assert (tmp_path / "t.csv").read_text(encoding="utf-8") == '\'=a,domain,ü\n-1.5,\'=b,"x""y,z"\n'
    assert read_columns(tmp_path / "t.csv")["'=a"].tolist() == ["-1.5"]


def test_every_csv_of_the_project_is_written_here() -> None:
    root = Path(__file__).parents[2]
    files = [*root.glob("workbench/**/*.py"), *root.glob("analyses/*.py")]
    found = [path.name for path in files if ".to_csv(" in path.read_text(encoding="utf-8")]
    assert found == ["writing.py"]
