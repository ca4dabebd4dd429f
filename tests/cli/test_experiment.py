from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd
from typer.testing import CliRunner

from workbench.cli.app import app
from workbench.experiments.catalogue import EXPERIMENTS


def call(*arguments: object) -> Any:
    return CliRunner().invoke(app, ["experiment", *map(str, arguments)])


def test_without_a_name_the_experiments_are_listed() -> None:
    lines = call().output.splitlines()
    assert [line.split()[0] for line in lines] == list(EXPERIMENTS)
    assert all(line.endswith("?") for line in lines)


def test_an_experiment_goes_from_its_parameters_to_its_page(
    loop_inputs: Any, answered_file: Path, tmp_path: Path
) -> None:
    places = ("--runs", tmp_path / "runs", "--figures", tmp_path / "figures")
    settings = {
        "model.name": loop_inputs.model,
        "questions.source": answered_file,
        "questions.limit": 6,
        "questions.options": 2,
        "elicit.answer_tokens": 4,
        "bootstrap_resamples": 100,
    }
    given = [word for key, value in settings.items() for word in ("--set", f"{key}={value}")]
    few = ("samples=2", "open_baselines=likelihood,expected", "choice_baselines=p_ic")
    done = call("baselines", *few, "--name", "few", *given, *places)
    assert done.exit_code == 0, done.output
    page = tmp_path / "figures" / "few"
    assert pd.read_csv(page / "open.csv")["baseline"].tolist() == ["likelihood", "expected"]
    assert pd.read_csv(page / "choice.csv")["baseline"].tolist() == ["p_ic"]
    assert "P_IC over the options" in done.output
    again = call("baselines", *few, "--name", "few", *given, *places)
    assert "sampling" not in again.output
    assert again.exit_code == 0


def test_mistakes_are_one_sentence(tmp_path: Path) -> None:
    places = ("--runs", tmp_path / "runs", "--figures", tmp_path / "figures")
    for arguments, said in (
        (("steerin",), "There is no experiment 'steerin'"),
        (("steering", "layers=none"), "Parameter 'layers'"),
        (("steering", "layers"), "key=value"),
    ):
        done = call(*arguments, *places)
        assert done.exit_code == 2
        assert said in " ".join(done.output.split())
    assert list(tmp_path.iterdir()) == []
