from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from workbench.cli.app import app

DATA = Path(__file__).parents[1] / "measure" / "data"


def call(*arguments: object) -> Result:
    return CliRunner().invoke(app, ["measure", *(str(argument) for argument in arguments)])


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "answers.csv"
    rows = [
        f"{g},q{i},{(i * 37 + k) % 101},{(i * 7 + k) % 3 % 2}"
        for k, g in enumerate("ab")
        for i in range(30)
    ]
    path.write_text("condition,id,confidence,correct\n" + "\n".join(rows) + "\n")
    return path


def test_json_is_one_object_per_group(tmp_path: Path) -> None:
    figures = tmp_path / "figures"
    result = call(
        DATA / "stated_confidence.parquet",
        "--by",
        "condition",
        "--json",
        "--no-figures",
        "--resamples",
        20,
    )
    assert result.exit_code == 0
    found = json.loads(result.stdout)
    assert len(found) == 6
    keys = (
        "n",
        "accuracy",
        "parse_rate",
        "auroc2",
        "ece",
        "brier",
        "tier",
        "ceiling_rate",
        "floor_rate",
    )
    for group in found.values():
        assert set(keys) | {"modal_bin_share", "bin_sparsity", "pearson_r"} <= set(group)
    assert found["gemma-3-12b/baseline/triviaqa"]["auroc2"] == pytest.approx(0.683730689245395)
    assert not figures.exists()


def test_table_figures_and_what_was_understood(file: Path, tmp_path: Path) -> None:
    arguments = (
        file,
        "--by",
        "condition",
        "--reference",
        "a",
        "--resamples",
        20,
        "--figures",
        tmp_path / "figures",
    )
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
        (
            "confidence,correct\n0.5,1\n",
            ("--confidence", "conf"),
            "--confidence: there is no column 'conf'",
        ),
        ("confidence,correct\n0.5,1\n", ("--by", "model"), "--by: there is no column 'model'"),
        (
            "id,confidence,correct\nx,0.5,1\nx,0.4,0\n",
            ("--duplicates", "refuse"),
            "1 ids occur again",
        ),
        (
            "",
            ("--bins", "1000000000"),
            "bins must be a whole number from 1 to 1,000; got 1000000000",
        ),
        ("", ("--bins", "0"), "bins must be a whole number from 1 to 1,000; got 0"),
        ("", ("--resamples", "1000000000"), "resamples must be a whole number from 1 to 100,000"),
        ("", ("--seed", "-1"), "seed must be a whole number from 0 to 4,294,967,295; got -1"),
        ("", ("--level", "nan"), "the level of an interval lies between 0 and 1"),
        ("", ("--level", "1"), "the level of an interval lies between 0 and 1"),
        (
            "",
            ("--scale", "inf"),
            "the largest value of a confidence scale is above 0 and at most 1,000,000",
        ),
        ("", ("--scale", "nan"), "the largest value of a confidence scale is above 0"),
    ],
)
def test_mistakes_are_one_sentence(
    tmp_path: Path, text: str, arguments: tuple[str, ...], message: str
) -> None:
    file = tmp_path / "a.csv"
    file.write_text(text)
    result = call(file, "--no-figures", *arguments)
    assert result.exit_code == 2
    assert result.stdout == ""
    assert "Traceback" not in result.stderr
    assert message in " ".join(result.stderr.split())


@pytest.mark.parametrize("name", ["", ".", "..", "a/b", "/tmp/x", "a\0b", "x" * 300])
def test_names_of_figures_are_one_plain_name(file: Path, tmp_path: Path, name: str) -> None:
    result = call(file, "--resamples", 20, "--figures", tmp_path / "figures", "--name", name)
    assert (result.exit_code, result.stdout) == (2, "")
    assert "--name" in result.stderr
    assert not (tmp_path / "figures").exists()


def test_groups_cannot_command_the_terminal(tmp_path: Path) -> None:
    file = tmp_path / "a.csv"
    rows = "".join(
        f'"g\x1b]0;owned\x07\u202e\nx",{k},0.{k},{k % 2}\nh,{k},0.{k},{k % 2}\n'
        for k in range(1, 9)
    )
    file.write_text('"a\x1b[2J",id,confidence,correct\n' + rows)
    result = call(file, "--by", "a\x1b[2J", "--reference", "h", "--no-figures", "--resamples", 20)
    assert result.exit_code == 0, result.stderr
    for text in (result.stdout, result.stderr):
        assert not any(mark in text for mark in "\x1b\x07\u202e")
    assert "g\\x1b]0;owned" in result.stdout


def test_uncertainties_by_option(tmp_path: Path) -> None:
    file = tmp_path / "a.csv"
    file.write_text("entropy,correct\n0.5,1\n2.5,0\n")
    arguments = (
        "--confidence",
        "entropy",
        "--higher-is-less-sure",
        "--scale",
        5,
        "--json",
        "--no-figures",
        "--resamples",
        20,
    )
    found = json.loads(call(file, *arguments).stdout)["all"]
    assert (found["auroc2"], found["lowest"], found["highest"], found["scale"]) == (1, 0.5, 0.9, 5)


def test_too_many_groups_are_refused_unless_asked_for(tmp_path: Path) -> None:
    file = tmp_path / "a.csv"
    file.write_text(
        "m,confidence,correct\n" + "".join(f"g{i},0.5,1\ng{i},0.4,0\n" for i in range(600))
    )
    result = call(file, "--by", "m", "--no-figures")
    assert result.exit_code == 2
    assert "600 groups with 2,000 resamples each would take many minutes" in " ".join(
        result.stderr.split()
    )
    assert "for example 1600, or 2000 to wait" in " ".join(result.stderr.split())


def test_a_folder_that_cannot_be_written_is_named(file: Path, tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("a file, not a folder")
    result = call(file, "--resamples", 20, "--figures", tmp_path / "taken")
    assert result.exit_code == 2
    assert "Traceback" not in result.stderr
    assert "--no-figures" in " ".join(result.stderr.split())


def test_no_model_library_is_loaded(file: Path, tmp_path: Path) -> None:
    code = (
        "import sys; from typer.testing import CliRunner; from workbench.cli.app import app; "
        f"r = CliRunner().invoke(app, ['measure', {str(file)!r}, '--resamples', '20', '--figures', "
        f"{str(tmp_path)!r}]); "
        "print(r.exit_code, *sorted({'torch', 'transformers', 'peft'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["0"]
