from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from typer.testing import CliRunner, Result

from workbench.cli.app import app
from workbench.config import dump_config
from workbench.loop import is_complete

PARTS = ("lens", "interventions", "geometry", "ceiling")
FAST = tuple(word for part in PARTS for word in ("--set", f"{part}=false"))


def call(place: Path, *arguments: object) -> Result:
    places = ("--runs", place / "runs", "--figures", place / "figures")
    return CliRunner().invoke(app, ["bottleneck", *map(str, (*arguments, *places))])


@pytest.fixture
def place(finished_run: Any, tmp_path: Path) -> Path:
    """A folder with two runs of the loop."""
    for name in ("first", "second"):
        shutil.copytree(finished_run.folder, tmp_path / "runs" / name)
    return tmp_path


def test_several_runs_have_their_pages_and_one_that_compares_them(place: Path) -> None:
    done = call(place, "second", place / "runs" / "first", *FAST, "--name", "both")
    assert done.exit_code == 0, done.output
    for name in ("first", "second"):
        assert (place / "figures" / name / "bottleneck" / "index.html").is_file()
    losses = pd.read_csv(place / "figures" / "both" / "losses.csv")
    assert list(dict.fromkeys(losses["run"])) == ["second", "first"]
    assert set(losses["condition"]) == {"before", "after", "control"}
    assert "second" in done.stdout


def test_a_model_without_teaching_is_asked_and_probed_alone(
    loop_inputs: Any, tmp_path: Path
) -> None:
    config = tmp_path / "config.json"
    config.write_text(dump_config(loop_inputs.config))
    given = (loop_inputs.model, "--no-teaching", "--config", config, *FAST, "--name", "mine")
    done = call(tmp_path, *given, "--questions", loop_inputs.questions)
    assert done.exit_code == 0, done.output
    folder = tmp_path / "runs" / "mine"
    assert {each.parent.name for each in folder.glob("*/done.json")} == {
        "questions",
        "answer",
        "elicit",
        "probe",
        "bottleneck_steps_before",
    }
    assert not is_complete(folder)
    steps = pd.read_csv(tmp_path / "figures" / "mine" / "bottleneck" / "steps.csv")
    assert set(steps["condition"]) == {"before"}
    again = call(tmp_path, "mine", "--no-teaching", *FAST)
    assert again.exit_code == 0, again.output
    assert again.stdout == done.stdout
    refused = call(tmp_path, "mine", *FAST)
    assert refused.exit_code == 2
    assert "give --no-teaching" in " ".join(refused.output.split())


def test_one_class_alone_is_refused_after_answering(loop_inputs: Any, tmp_path: Path) -> None:
    wrong = tmp_path / "wrong.jsonl"
    lines = [json.loads(line) for line in loop_inputs.questions.read_text().splitlines()]
    wrong.write_text("".join(json.dumps({**each, "answers": ["zzqx"]}) + "\n" for each in lines))
    config = tmp_path / "config.json"
    config.write_text(dump_config(loop_inputs.config))
    given = (loop_inputs.model, "--no-teaching", "--config", config, *FAST)
    done = call(tmp_path, *given, "--questions", wrong)
    assert done.exit_code == 2
    assert "nothing to tell apart" in " ".join(done.output.split()), done.output


def test_mistakes_are_one_sentence_before_any_work(place: Path) -> None:
    for arguments, said in (
        (("third",), "There is no run 'third' in"),
        (("first", "--questions", "builtin"), "these are finished ones"),
        (("first", "--set", "seed=3"), "these are finished ones"),
        (("first", "--name", "other"), "this run has a name"),
        (("first", "first"), "Two of these are called 'first'"),
        (("first", "--set", "lens_questions=1"), "lens_questions"),
        (("first", "--no-teaching", "--set", "curriculum=true"), "A curriculum is taught"),
        (("first", "--set", "lens_conditions=nothing"), "'nothing', which is not followed"),
    ):
        done = call(place, *arguments)
        assert done.exit_code == 2, done.output
        assert said in " ".join(done.output.split()), done.output
    assert not (place / "figures").exists()
