from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from workbench.cli.app import app
from workbench.models.embedded import converted_folder
from workbench.models.embedded_models import EMBEDDED


def test_embedded_models_are_listed_and_none_is_fetched(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WORKBENCH_CACHE", str(tmp_path))
    converted_folder(EMBEDDED["default"]).mkdir()
    told = CliRunner().invoke(app, ["models", "embedded", "--json"])
    assert told.exit_code == 0, told.output
    rows = json.loads(told.stdout)
    assert [(row["name"], row["cached"]) for row in rows] == [
        ("default", True),
        ("qwen-1.5b", False),
    ]
    assert len(rows[1]["parts"]) == 22
    shown = CliRunner().invoke(app, ["models", "embedded"]).stdout
    assert "Qwen2.5-Coder-1.5B-Instruct" in shown
    assert "7.11 GB" in shown
    assert len(list(tmp_path.iterdir())) == 1
