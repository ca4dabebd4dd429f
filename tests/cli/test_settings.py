from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from workbench.cli.app import app
from workbench.config import RunConfig, dump_config

RUNNER = CliRunner()


def origins(*given: str) -> dict[str, tuple[str, str]]:
    """By key, the (origin, value) that the command prints."""
    result = RUNNER.invoke(app, ["settings", *given, "--why"])
    assert result.exit_code == 0, result.output
    rows = [line.split(maxsplit=2) for line in result.stdout.splitlines()]
    return {key: (origin, value) for key, origin, value in rows}


def test_without_a_recipe_the_defaults_are_printed_as_json() -> None:
    assert RUNNER.invoke(app, ["settings"]).stdout == dump_config(RunConfig()) + "\n"


def test_every_value_is_printed_with_its_origin(tmp_path: Path) -> None:
    file = tmp_path / "settings.yaml"
    file.write_text("teach: {weight_decay: 0.5, epochs: 4}\nseed: 3\n")
    given = ["probe", "--arm", "primary", "--config", str(file), "--set", "teach.lora.rank=2"]
    found = origins(*given, "--set", "seed=0")
    assert found["model.name"] == ("package", '"default"')
    assert found["questions.limit"] == ("recipe", "260")
    assert found["teach.learning_rate"] == ("arm", "0.0002")
    # The arm says 3 epochs; 4 is the default, and is written all the same.
    assert found["teach.epochs"] == ("file", "4")
    assert found["teach.weight_decay"] == ("file", "0.5")
    assert found["teach.lora.rank"] == ("--set", "2")
    assert found["seed"] == ("--set", "0")


def test_json_and_origins_tell_of_the_same_values() -> None:
    given = ["calibration", "--arm", "head", "--set", "teach.head.epochs=3"]
    whole = json.loads(RUNNER.invoke(app, ["settings", *given]).stdout)
    assert whole["teach"]["calibration_fraction"] == 0.2
    for key, (_, value) in origins(*given).items():
        found = whole
        for part in key.split("."):
            found = found[part]
        assert found == json.loads(value)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (["--arm", "soft"], "--arm 'soft' is an arm of no recipe"),
        (["nothing"], "There is no recipe 'nothing'"),
        (["probe", "--arm", "nothing"], "has no arm 'nothing'"),
        (["--set", "teach.epochs=0"], "'teach.epochs': it must be at least 1"),
    ],
)
def test_a_mistake_is_named(given: list[str], message: str) -> None:
    result = RUNNER.invoke(app, ["settings", *given])
    assert result.exit_code != 0
    assert message in " ".join(result.output.split())
