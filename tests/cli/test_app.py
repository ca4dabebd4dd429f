from __future__ import annotations

import json
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

import workbench.loop
from workbench.cli.app import app
from workbench.config import RunConfig, load_config
from workbench.pipeline.stages import STRICT, Reuse


def call(*arguments: object) -> Result:
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def mistake(*arguments: object) -> str:
    """The one sentence on the terminal of a command that must fail for the person to mend,
    unwrapped.
    """
    result = call(*arguments)
    assert result.exit_code == 2
    assert result.stdout == ""
    assert "Traceback" not in result.stderr
    assert isinstance(result.exception, SystemExit)
    text = " ".join(result.stderr.split())
    assert text.startswith("Error: ")
    return text.removeprefix("Error: ")


@pytest.fixture
def taken(monkeypatch: pytest.MonkeyPatch) -> list[tuple[RunConfig, Path, Path]]:
    """What the command hands to the library, which does nothing."""
    calls: list[tuple[RunConfig, Path, Path]] = []

    def run(config: RunConfig, folder: Path, figures: Path, reuse: Reuse) -> dict[str, Any]:
        assert reuse == STRICT
        calls.append((config, folder, figures))
        return {"auroc2.probe": 0.8125, "auroc2.probe.low": 0.75, "auroc2.probe.high": 0.875}

    monkeypatch.setattr(workbench.loop, "run_loop", run)
    return calls


def test_versions_are_those_installed() -> None:
    lines = call("--version").stdout.splitlines()
    assert lines[0].startswith(f"workbench {version('confidence-workbench')}, Python 3.")
    assert f"torch {version('torch')}" in lines


def test_settings_are_the_defaults_and_can_be_given_back(tmp_path: Path) -> None:
    result = call("settings")
    assert result.exit_code == 0
    path = tmp_path / "settings.json"
    path.write_text(result.stdout)
    assert load_config(path) == RunConfig()


@pytest.mark.parametrize("words", ["settings", "grid run", "bench run", "bench teach"])
def test_a_command_of_one_process_is_refused_in_several(
    words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where its second word is that of a command that may be started in several."""
    for name, value in (("RANK", "0"), ("LOCAL_RANK", "0"), ("WORLD_SIZE", "2")):
        monkeypatch.setenv(name, value)
    command = words.split()
    assert mistake(*command).startswith(f"workbench {command[0]} runs in one process, and 2 were")
    assert call(*command, "--help").exit_code == 0


def test_questions_of_a_file_are_counted_by_domain(tmp_path: Path) -> None:
    file = tmp_path / "q.csv"
    file.write_text("question,answers,domain\nA?,a,zoo\nB?,b,art\nC?,c|d,zoo\n")
    result = call("questions", file)
    assert (result.exit_code, result.stdout) == (0, "art\t1\nzoo\t2\n")


def test_built_in_questions_are_counted() -> None:
    counts = [int(line.split("\t")[1]) for line in call("questions").stdout.splitlines()]
    assert len(counts) >= 5
    assert sum(counts) >= 1500


def test_a_hub_set_is_counted_by_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("datasets.config.HF_DATASETS_CACHE", tmp_path / "cache")
    place = tmp_path / "akariasai" / "PopQA"
    place.mkdir(parents=True)
    rows = [
        ("1", "occupation", "What does Ann do?", '[""bakes""]'),
        ("2", "father", "Whose son is Bob?", '[""Cid""]'),
    ]
    lines = [
        f'{number}\t{kind}\t{question}\t"{answers}"' for number, kind, question, answers in rows
    ]
    (place / "test.tsv").write_text(
        "\n".join(["id\tprop\tquestion\tpossible_answers", *lines]) + "\n"
    )
    assert call("questions", "popqa", "--mirror", tmp_path).stdout == "father\t1\noccupation\t1\n"
    assert mistake("questions", "popqua").startswith(
        "Unknown question set 'popqua' (did you mean 'popqa'?)"
    )
    assert "--local-dir FOLDER/openai/gsm8k" in mistake("questions", "gsm8k", "--mirror", tmp_path)


def test_a_run_gets_its_settings_from_file_options_and_set(
    tmp_path: Path, taken: list[tuple[RunConfig, Path, Path]]
) -> None:
    settings = tmp_path / "settings.yaml"
    settings.write_text("seed: 3\nteach: {epochs: 7, learning_rate: 1e-4}\nquestions: {limit: 9}\n")
    result = call(
        *(
            "run",
            "--config",
            settings,
            "--name",
            "mine",
            "--model",
            "some/model",
            "--questions",
            "q.csv",
            "--limit",
            0,
        ),
        *("--set", "teach.learning_rate=5e-5", "--set", "patch.layers=[1, 4]", "--set", "seed=8"),
        *("--seed", 5, "--runs", tmp_path / "runs", "--figures", tmp_path / "figures"),
    )
    assert result.exit_code == 0
    ((config, folder, figures),) = taken
    assert (folder, figures) == (tmp_path / "runs" / "mine", tmp_path / "figures" / "mine")
    assert (config.model.name, config.questions.source, config.questions.limit) == (
        "some/model",
        "q.csv",
        None,
    )
    assert (config.teach.epochs, config.teach.learning_rate, config.patch.layers) == (
        7,
        5e-5,
        (1, 4),
    )
    assert config.seed == 5
    shown = " ".join(result.stderr.split())
    assert "probe 0.812 0.750 to 0.875" in shown
    assert str(tmp_path / "figures" / "mine" / "index.html") in result.stderr.replace("\n", "")


def test_seeds_are_the_trainings_of_a_run(taken: list[tuple[RunConfig, Path, Path]]) -> None:
    assert call("run", "--seeds", 5, "--set", "trainings=2").exit_code == 0
    assert call("run", "--set", "trainings=2").exit_code == 0
    assert [config.trainings for config, _, _ in taken] == [5, 2]
    assert mistake("run", "--seeds", 0) == (
        "Configuration key 'trainings': it must be at least 1, not 0."
    )


def test_a_run_without_options_is_the_default(taken: list[tuple[RunConfig, Path, Path]]) -> None:
    assert call("run").exit_code == 0
    assert taken == [(RunConfig(), Path("runs/default"), Path("figures/default"))]


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (
            ("--set", "teach.epochs"),
            "--set 'teach.epochs' must read key=value, for example --set teach.epochs=2.",
        ),
        (("--set", "=3"), "--set '=3' must read key=value, for example --set teach.epochs=2."),
        (
            ("--set", "teach.epochs=[1"),
            "--set 'teach.epochs=[1': the value is not readable as YAML; quote it.",
        ),
        (
            ("--set", "teach.loraplus_lr_rato=1"),
            "Configuration key 'teach.loraplus_lr_rato': there is no such setting; did you mean "
            "'teach.loraplus_lr_ratio'?",
        ),
        (
            ("--set", "teach.epochs=0"),
            "Configuration key 'teach.epochs': it must be at least 1, not 0.",
        ),
        (
            ("--set", "model.name.deep=1"),
            "Configuration key 'model.name' holds a value, so 'model.name.deep' cannot be set in it.",
        ),
        (("--limit", "-3"), "Configuration key 'questions.limit': it must be at least 1, not -3."),
    ],
)
def test_mistakes_in_settings_are_one_sentence(arguments: tuple[str, ...], sentence: str) -> None:
    assert mistake("run", *arguments) == sentence


def test_missing_files_are_named(tmp_path: Path) -> None:
    places = ("--runs", tmp_path / "runs", "--figures", tmp_path / "figures")
    assert "absent.yaml" in mistake("run", "--config", tmp_path / "absent.yaml").replace(" ", "")
    assert "absent.jsonl" in mistake(
        "run", "--questions", tmp_path / "absent.jsonl", *places
    ).replace(" ", "")
    assert "there is no such file" in mistake("questions", tmp_path / "absent.jsonl")
    assert not (tmp_path / "runs").exists()


def test_an_unknown_model_folder_is_named(tmp_path: Path) -> None:
    places = ("--runs", tmp_path / "runs", "--figures", tmp_path / "figures")
    for arguments in (("run", *places), ("bench", "sweep")):
        sentence = mistake(*arguments, "--model", "/no/such/[folder]")
        assert sentence.startswith("there is no model at '/no/such/[folder]': give a folder")


def test_a_broken_question_names_file_line_and_field(tmp_path: Path) -> None:
    file = tmp_path / "q.jsonl"
    file.write_text('{"question": "A?", "answers": ["a"]}\n{"question": "B?"}\n')
    sentence = mistake("questions", file)
    assert "q.jsonl" in sentence.replace(" ", "")
    assert "2" in sentence
    assert "field 'answers' is missing" in sentence


def test_an_interrupted_run_says_how_to_go_on(monkeypatch: pytest.MonkeyPatch) -> None:
    def run(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(workbench.loop, "run_loop", run)
    result = call("run")
    assert result.exit_code == 130
    assert "what was finished is kept" in result.stderr
    assert "Traceback" not in result.stderr


def test_the_package_runs_as_a_module() -> None:
    result = subprocess.run(
        [sys.executable, "-m", "workbench", "settings"], capture_output=True, text=True, check=True
    )
    assert json.loads(result.stdout) == RunConfig().model_dump(mode="json")
