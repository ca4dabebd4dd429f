from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.support.analyses import Analysis, words_of

NAME = "tiny"


@pytest.fixture
def asked(tmp_path: Path) -> Callable[..., Analysis]:
    """``asked(script, settings, **parameters)``: the script in a folder of its own, asked for a run
    named "tiny" with these settings.
    """

    def ask(script: str, settings: dict[str, Any], **parameters: object) -> Analysis:
        file = tmp_path / "settings.json"
        file.write_text(json.dumps(settings))
        words = ("--name", NAME, "--config", str(file), *words_of(**parameters))
        return Analysis(script, tmp_path, words)

    return ask


@pytest.fixture
def taught_soon(loop_inputs: Any) -> dict[str, Any]:
    """The tiny model's settings in bfloat16 with a short training, of which scripts choose the
    format and the held-out domains.
    """
    whole: dict[str, Any] = loop_inputs.config.model_dump(mode="json")
    whole["teach"] = {"epochs": 1, "lora": {"rank": 4}}
    whole["model"]["precision"] = "bfloat16"
    del (
        whole["elicit"]["format"],
        whole["questions"]["held_out_domains"],
        whole["questions"]["domains"],
    )
    return whole


@pytest.fixture
def on_run(lower_run: Any, tmp_path: Path) -> Callable[..., Analysis]:
    """``on_run(script, **parameters)``: the script in a folder with a finished run in bfloat16 on
    the tiny model, which it is to take as it stands.
    """

    def ask(script: str, **parameters: object) -> Analysis:
        shutil.copytree(lower_run.folder, tmp_path / "runs" / NAME)
        shutil.copytree(lower_run.figures, tmp_path / "figures" / NAME)
        return Analysis(script, tmp_path, ("--name", NAME, *words_of(**parameters)))

    return ask
