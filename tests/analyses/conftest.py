from __future__ import annotations

import copy
import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest


@pytest.fixture
def ask_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Sets the environment that asks for a run named "tiny" with given settings, and for what
    ``more`` says.
    """

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
def taught_soon(loop_inputs: Any) -> dict[str, Any]:
    """The tiny model's settings with a short training, of which scripts choose the format and
    the held-out domains.
    """
    whole: dict[str, Any] = loop_inputs.config.model_dump(mode="json")
    whole["teach"] = {"epochs": 1, "lora": {"rank": 4}}
    del (
        whole["elicit"]["format"],
        whole["questions"]["held_out_domains"],
        whole["questions"]["domains"],
    )
    return whole


@pytest.fixture
def run_twice(tmp_path: Path) -> Callable[[Path], str]:
    """Runs a script two times, of which the second teaches nothing anew; returns the last line
    it prints.
    """

    def run(script: Path) -> str:
        for _ in range(2):
            command = [sys.executable, str(script)]
            done = subprocess.run(
                command, cwd=tmp_path, capture_output=True, text=True, check=False
            )
            assert done.returncode == 0, done.stderr
        assert "teaching" not in done.stderr
        return done.stdout.splitlines()[-1]

    return run


@pytest.fixture
def place(finished_run: Any, tmp_path: Path, ask_for: Callable[..., None]) -> Path:
    """A working folder with a finished run on the tiny model, and the environment that asks for
    that very run.
    """
    return _placed(finished_run, tmp_path, ask_for)


@pytest.fixture
def lower_place(lower_run: Any, tmp_path: Path, ask_for: Callable[..., None]) -> Path:
    """The same with a run in bfloat16."""
    return _placed(lower_run, tmp_path, ask_for)


def _placed(run: Any, folder: Path, ask_for: Callable[..., None]) -> Path:
    shutil.copytree(run.folder, folder / "runs" / "tiny")
    shutil.copytree(run.figures, folder / "figures" / "tiny")
    ask_for(run.inputs.config.model_dump(mode="json"))
    return folder
