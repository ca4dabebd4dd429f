from __future__ import annotations

import json

import pytest
from typer.testing import CliRunner

from workbench.bench import plan
from workbench.cli.app import app
from workbench.config import RunConfig


def test_settings_go_into_the_run_that_is_planned_and_measured(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked: list[tuple[RunConfig, str]] = []

    def noted(config: RunConfig, last: str) -> dict[str, float]:
        asked.append((config, last))
        return {"total.processor_seconds": 1.0}

    monkeypatch.setattr(plan, "bench_plan", noted)
    words = ("--questions", 90, "--last", "answer", "--json")
    sets = ("--set", "questions.source=mine.jsonl", "--set", "patch.n_questions=8")
    result = CliRunner().invoke(app, ["bench", "plan", *map(str, (*words, *sets))])
    assert result.exit_code == 0, result.output
    assert json.loads(result.stdout) == {"total.processor_seconds": 1.0}
    ((config, last),) = asked
    assert (config.questions.source, config.questions.limit) == ("mine.jsonl", 90)
    assert (config.patch.n_questions, config.patch.share, last) == (8, 0, "answer")
    wrong = CliRunner().invoke(app, ["bench", "plan", "--set", "questions.path=mine.jsonl"])
    assert wrong.exit_code != 0
    assert len(asked) == 1
