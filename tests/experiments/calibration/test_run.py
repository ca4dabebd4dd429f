from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

import workbench.experiments.calibration.run
from workbench.config import Resolved, RunConfig, UserSettings, resolve
from workbench.errors import WorkbenchError
from workbench.experiments.calibration.run import AblationPlan, ablate
from workbench.experiments.recipes.run import RecipeRun
from workbench.loop.run import Run
from workbench.teach.recipes import CALIBRATION


def settings(file: dict[str, Any]) -> Resolved:
    return resolve(RunConfig(), CALIBRATION.settings, {}, UserSettings(file=file))


SETTINGS = settings({})


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> list[tuple[Any, ...]]:
    """What is taught (folder, form, arms) and what is judged (folder, questions), with nothing
    done; an encoder is there.
    """
    calls: list[tuple[Any, ...]] = []

    def attend(context: Run, recipe: Any, taught: Any) -> RecipeRun:
        context.keys["answer"] = "key"
        assert not any(training.shuffled_control for training in taught)
        calls.append(
            (
                context.store.folder.name,
                context.config.questions.ask_as,
                [training.arm.name for training in taught],
            )
        )
        return RecipeRun(context, tuple(taught))

    def asked_run(context: Run, questions: Any, answer: Any, after: Any) -> Run:
        calls.append((context.store.folder.name, context.config.questions.ask_as, after))
        return context

    monkeypatch.setattr(
        workbench.experiments.calibration.run, "encoder_folder", lambda: Path("encoder")
    )
    monkeypatch.setattr(workbench.experiments.calibration.run, "run_trainings", attend)
    monkeypatch.setattr(workbench.experiments.calibration.run, "prepare_run", asked_run)
    monkeypatch.setattr(workbench.experiments.calibration.run, "evaluate_on", lambda *_: {})
    return calls


def refuse() -> None:
    raise WorkbenchError("no encoder")


def test_what_is_not_given_is_left_out_and_said(
    made: list[tuple[Any, ...]], tmp_path: Path
) -> None:
    found = ablate(
        SETTINGS, AblationPlan(percents=(50, 25)), tmp_path / "runs", tmp_path / "figures"
    )
    shares = [f"{arm}-{percent}-percent" for arm in ("lora-prompt", "head") for percent in (50, 25)]
    assert made == [
        ("open", "open", ["lora-prompt", "head", *shares, "lora-prompt-free", "embeddings"]),
        ("swapped", "open", {"answer at home": "key"}),
        ("choice", "choice", ["lora-prompt", "head"]),
    ]
    assert found.left_out == {"other-answers": "none were given", "unanswerable": "none were given"}
    assert found.home.context.config.elicit.format == "i-ii"
    assert set(found.judged_runs) == {"swapped"}


def test_without_an_encoder_there_is_no_head_on_embeddings(
    made: list[tuple[Any, ...]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(workbench.experiments.calibration.run, "encoder_folder", refuse)
    found = ablate(SETTINGS, AblationPlan(form="choice", percents=(7,)), tmp_path, tmp_path)
    assert found.left_out["embeddings"] == "no encoder"
    assert made[0][1:] == (
        "choice",
        ["lora-prompt", "head", "lora-prompt-7-percent", "head-7-percent", "lora-prompt-free"],
    )
    assert made[-1][:2] == ("open", "open")


def test_graded_answers_can_be_judged_but_not_asked_for_anew(
    made: list[tuple[Any, ...]], tmp_path: Path
) -> None:
    path = tmp_path / "graded.jsonl"
    path.write_text(
        json.dumps({"prompt": "", "question": "Who?", "answer": "x", "correct": True}) + "\n"
    )
    config = settings({"questions": {"graded_file": str(path)}})
    found = ablate(
        config, AblationPlan(other_answers=path, unanswerable="selfaware"), tmp_path, tmp_path
    )
    assert [call[:2] for call in made] == [
        ("open", "published"),
        ("other-answers", "published"),
        ("unanswerable", "published"),
    ]
    assert set(found.left_out) == {"swapped", "forms"}
    asked = {name: context.config.questions for name, context in found.judged_runs.items()}
    assert asked["other-answers"].graded_file == path
    assert (asked["unanswerable"].graded_file, asked["unanswerable"].source) == (None, "selfaware")


def test_a_file_that_cannot_be_read_stops_before_anything_is_taught(
    made: list[tuple[Any, ...]], tmp_path: Path
) -> None:
    plan = AblationPlan(other_answers=tmp_path / "missing.jsonl")
    with pytest.raises(WorkbenchError, match=r"missing\.jsonl: there is no such file"):
        ablate(SETTINGS, plan, tmp_path, tmp_path)
    assert made == []


@pytest.mark.parametrize("percents", [(0,), (100,), (25, 25)])
def test_shares_are_parts_each_once(percents: tuple[int, ...]) -> None:
    with pytest.raises(WorkbenchError, match="between 1 and 99, each once"):
        AblationPlan(percents=percents)


def test_a_plan_is_written_as_json() -> None:
    plan = AblationPlan(other_answers=Path("a.jsonl"))
    assert json.loads(json.dumps(plan.described())) == {
        "form": "open", "percents": [25, 50], "other_answers": "a.jsonl", "unanswerable": None,
    }  # fmt: skip
    with pytest.raises(WorkbenchError, match="open or choice questions, not 'published'"):
        AblationPlan(form="published")  # type: ignore[arg-type]
