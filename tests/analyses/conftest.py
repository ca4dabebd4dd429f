from __future__ import annotations

import copy
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest


@pytest.fixture
def ask_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Sets the environment that asks for a run named "tiny" with given settings, and for what ``more`` says."""

    def ask(settings: dict[str, Any], **more: Any) -> None:
        whole = copy.deepcopy(settings)
        given = {
            "MODEL": whole["model"].pop("name"),
            "QUESTIONS": whole["questions"].pop("source"),
            "LIMIT": whole["questions"].pop("limit"),
            "CONFIG": tmp_path / "settings.json",
            "RUN": "tiny",
            **more,
        }
        (tmp_path / "settings.json").write_text(json.dumps(whole))
        for name, value in given.items():
            monkeypatch.setenv(f"WORKBENCH_{name}", str(value))

    return ask


@pytest.fixture
def place(finished_run: Any, tmp_path: Path, ask_for: Callable[..., None]) -> Path:
    """A working folder with a finished run on the tiny model, and the environment that asks for that very run."""
    shutil.copytree(finished_run.folder, tmp_path / "runs" / "tiny")
    shutil.copytree(finished_run.figures, tmp_path / "figures" / "tiny")
    ask_for(finished_run.inputs.config.model_dump(mode="json"))
    return tmp_path
