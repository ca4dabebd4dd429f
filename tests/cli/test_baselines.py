from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from typer.testing import CliRunner, Result

from workbench.cli.app import app


def call(inputs: Any, folder: Path, *arguments: object) -> Result:
    given = (
        "--model",
        inputs.model,
        "--questions",
        inputs.questions,
        "--limit",
        12,
        "--samples",
        2,
    )
    places = ("--runs", folder / "runs", "--figures", folder / "figures")
    return CliRunner().invoke(
        app, ["baselines", *(str(argument) for argument in (*given, *places, *arguments))]
    )


def test_one_object_a_baseline_and_a_page(loop_inputs: Any, tmp_path: Path) -> None:
    result = call(
        loop_inputs, tmp_path, "--baselines", "likelihood, p_true", "--json", "--name", "few"
    )
    assert result.exit_code == 0, result.stderr
    lines = [json.loads(line) for line in result.stdout.splitlines()]
    assert [line["baseline"] for line in lines] == ["likelihood", "p_true"]
    assert {"auroc2", "auroc2.low", "auroc2.within", "read", "tokens"} <= set(lines[0])
    assert (tmp_path / "figures" / "few" / "index.html").is_file()
    again = call(loop_inputs, tmp_path, "--baselines", "likelihood,p_true", "--name", "few")
    assert "answer likelihood" in again.stdout


def test_mistakes_are_one_sentence(loop_inputs: Any, tmp_path: Path) -> None:
    for arguments, words in (
        (("--baselines", "guessing"), "Unknown baseline"),
        (("--temperature", 0), "--temperature: it must be at least 0.01, not '0'."),
        (("--baselines", "p_ic"), "needs choice questions"),
    ):
        result = call(loop_inputs, tmp_path, *arguments)
        assert result.exit_code == 2
        assert words in " ".join(result.stderr.split())
