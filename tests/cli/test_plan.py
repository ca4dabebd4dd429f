from __future__ import annotations

import json
from pathlib import Path

from typer.testing import CliRunner

from workbench.cli.app import app

TARGETS = "teach.lora.target_modules=[q_proj]"


def test_a_plan_is_printed_and_is_json(tiny_folder: Path) -> None:
    words = ["plan", str(tiny_folder), "--questions", "90", "--devices", "1x24GB,disk=2GB/s"]
    words += ["--no-bottleneck", "--set", TARGETS]
    shown = CliRunner().invoke(app, words)
    assert shown.exit_code == 0, shown.output
    assert "elicit_tuned" in shown.output
    assert "Mean tokens" in shown.output
    printed = CliRunner().invoke(app, [*words, "--json"])
    values = json.loads(printed.stdout)
    assert values["questions"] == 90
    assert values["chosen"] == "device"
    assert values["stages"][0]["name"] == "answer"


def test_a_machine_that_cannot_be_read_ends_the_command(tiny_folder: Path) -> None:
    shown = CliRunner().invoke(app, ["plan", str(tiny_folder), "--devices", "fast"])
    assert shown.exit_code != 0
