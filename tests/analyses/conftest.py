from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest


@pytest.fixture
def place(finished_run: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder with a finished run on the tiny model, and the environment that asks for that very run."""
    shutil.copytree(finished_run.folder, tmp_path / "runs" / "tiny")
    shutil.copytree(finished_run.figures, tmp_path / "figures" / "tiny")
    whole = finished_run.inputs.config.model_dump(mode="json")
    given = {
        "MODEL": whole["model"].pop("name"),
        "QUESTIONS": whole["questions"].pop("source"),
        "LIMIT": whole["questions"].pop("limit"),
        "CONFIG": tmp_path / "settings.json",
        "RUN": "tiny",
    }
    (tmp_path / "settings.json").write_text(json.dumps(whole))
    for name, value in given.items():
        monkeypatch.setenv(f"WORKBENCH_{name}", str(value))
    return tmp_path
