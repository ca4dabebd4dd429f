from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from workbench.cli import app

DATA = Path(__file__).parents[1] / "measure" / "data"


def call(*arguments: object) -> Result:
    return CliRunner().invoke(app, ["measure", *(str(argument) for argument in arguments)])


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "answers.csv"
    rows = [f"{g},q{i},{(i * 37 + k) % 101},{(i * 7 + k) % 3 % 2}" for k, g in enumerate("ab") for i in range(30)]
    path.write_text("condition,id,confidence,correct\n" + "\n".join(rows) + "\n")
    return path


def test_json_is_one_object_per_group(tmp_path: Path) -> None:
    figures = tmp_path / "figures"
    result = call(DATA / "stated_confidence.parquet", "--by", "condition", "--json", "--no-figures", "--resamples", 20)
    assert result.exit_code == 0
    found = json.loads(result.stdout)
    assert len(found) == 6
    keys = ("n", "accuracy", "parse_rate", "auroc2", "ece", "brier", "tier", "ceiling_rate", "floor_rate")
    for group in found.values():
        assert set(keys) | {"modal_bin_share", "bin_sparsity", "pearson_r"} <= set(group)
    assert found["gemma-3-12b/baseline/triviaqa"]["auroc2"] == pytest.approx(0.683730689245395)
    assert not figures.exists()


def test_table_figures_and_what_was_understood(file: Path, tmp_path: Path) -> None:
    arguments = (file, "--by", "condition", "--against", "a", "--resamples", 20, "--figures", tmp_path / "figures")
    result = call(*arguments, "--name", "mine")
    assert result.exit_code == 0
    assert (tmp_path / "figures" / "mine" / "index.html").is_file()
    assert "AUROC2" in result.stdout
    assert "Difference to a" in result.stdout
    said = " ".join(result.stderr.split())
    assert said.count("Note: column 'confidence' is read as 0-100.") == 1
    assert "confidence = confidence, correct = correct, id = id" in said


def test_warnings_are_said_once(tmp_path: Path) -> None:
    file = tmp_path / "few.csv"
    file.write_text("confidence,correct\n0.5,1\n0.5,1\n,1\n")
    result = call(file, "--json", "--no-figures", "--resamples", 20)
    assert result.exit_code == 0
    assert json.loads(result.stdout)["all"]["auroc2"] is None
    said = " ".join(result.stderr.split())
    for words in ("only 2 parsed answers", "every parsed answer is right", "ties everywhere"):
        assert said.count(words) == 1


@pytest.mark.parametrize(
    ("text", "arguments", "message"),
    [
        ("confidence,correct\n50,1\n101,0\n", (), "row 2: the confidence 101 lies outside 0-100"),
        ("confidence,correct\n0.5,2\n", (), "neither right (1) nor wrong (0)"),
        ("a,b\n1,2\n", (), "no column with the confidence of each answer"),
        ("confidence,correct\n0.5,1\n", ("--confidence", "conf"), "--confidence: there is no column 'conf'"),
        ("confidence,correct\n0.5,1\n", ("--by", "model"), "--by: there is no column 'model'"),
        ("id,confidence,correct\nx,0.5,1\nx,0.4,0\n", ("--duplicates", "refuse"), "1 ids occur again"),
    ],
)
def test_mistakes_are_one_sentence(tmp_path: Path, text: str, arguments: tuple[str, ...], message: str) -> None:
    file = tmp_path / "a.csv"
    file.write_text(text)
    result = call(file, "--no-figures", *arguments)
    assert result.exit_code == 2
    assert result.stdout == ""
    assert "Traceback" not in result.stderr
    assert message in " ".join(result.stderr.split())


def test_a_folder_that_cannot_be_written_is_named(file: Path, tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("a file, not a folder")
    result = call(file, "--resamples", 20, "--figures", tmp_path / "taken")
    assert result.exit_code == 2
    assert "--no-figures" in result.stderr


def test_no_model_library_is_loaded(file: Path, tmp_path: Path) -> None:
    code = (
        "import sys; from typer.testing import CliRunner; from workbench.cli import app; "
        f"r = CliRunner().invoke(app, ['measure', {str(file)!r}, '--resamples', '20', '--figures', {str(tmp_path)!r}]); "
        "print(r.exit_code, *sorted({'torch', 'transformers', 'peft'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["0"]
