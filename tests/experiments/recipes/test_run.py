from __future__ import annotations

import json
import math
import shutil
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from peft import PeftModel
from transformers import AutoModelForCausalLM

import workbench.loading
import workbench.teach.consistency
import workbench.teach.reinforce
import workbench.teach.replies
from tests.support.runs import planted_questions
from tests.support.settings import written
from workbench.config import Resolved, RunConfig
from workbench.errors import WorkbenchError
from workbench.experiments.recipes.run import (
    RecipeResult,
    adapter_folders,
    recipe_stages,
    taught_domains,
    teach_recipe,
)
from workbench.experiments.recipes.trainings import trainings
from workbench.loading import load_model
from workbench.loop.run import Run
from workbench.pipeline import stages as stages_module
from workbench.pipeline.stages import Reuse, Stage
from workbench.pipeline.store import StageStore
from workbench.questions import write_questions
from workbench.teach.on_policy import Reinforcement
from workbench.teach.recipes import CALIBRATION, DOUBT, JOINT, METACOGNITION, PROBE, Recipe
from workbench.teach.recipes.joint import WRONG_FORMAT, correct_and_brier
from workbench.teach.reinforce import train_on_policy
from workbench.teach.replies import whole_replies
from workbench.teach.training_forward import Passes

TEACH = {"epochs": 1, "checkpoint_steps": 3, "lora": {"rank": 4}}


@dataclass(frozen=True)
class Place:
    """A run's folders and configuration; what a recipe shares with the whole loop stands there
    already.
    """

    resolved: Resolved
    folder: Path
    figures: Path

    @property
    def config(self) -> RunConfig:
        return self.resolved.config

    def teach(self, recipe: Recipe, **options: Any) -> RecipeResult:
        return teach_recipe(
            self.resolved, recipe, self.folder, self.figures, reuse=Reuse(replace=True), **options
        )


def place_of(finished_run: Any, folder: Path, **changes: Any) -> Place:
    whole = {**finished_run.inputs.config.model_dump(mode="json"), "teach": TEACH}
    for key, value in changes.items():
        section, name = key.split("__")
        whole[section] = {**whole[section], name: value}
    shutil.copytree(finished_run.folder, folder / "run")
    return Place(written(whole), folder / "run", folder / "figures")


@pytest.fixture(scope="module")
def doubted(
    finished_run: Any, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Place, RecipeResult]:
    """The default arm of rewarded doubt with two seeds."""
    place = place_of(finished_run, tmp_path_factory.mktemp("doubt"))
    return place, place.teach(DOUBT, seeds=2, reprobe=True)


def numbers(summary: dict[str, Any]) -> dict[str, Any]:
    return {
        key: value for key, value in summary.items() if not key.startswith(("seconds.", "memory."))
    }


@pytest.fixture
def worked(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Names of the stages that are worked on, with nothing done in them."""
    names: list[str] = []

    def work(stage: Stage, context: Run, store: StageStore) -> None:
        names.append(stage.name)
        store.finish({"seconds": 0.0, "peak_bytes": 1, "summary": {}, "rows": []})

    monkeypatch.setattr(stages_module, "do_stage", work)
    return names


def test_a_recipe_ends_in_its_table_and_page(doubted: tuple[Place, RecipeResult]) -> None:
    place, found = doubted
    names = ["before", "platt", "isotonic", "temperature", "log", "log-control", "log-seed1"]
    assert [row["arm"] for row in found.rows] == names
    assert list(found.rows[0])[:3] == ["arm", "AUROC2 stated", "AUROC2 stated within"]
    assert found.folder == place.folder / "recipes" / "doubt"
    assert json.loads((found.folder / "summary.json").read_text()) == found.summary
    assert found.page == place.figures / "doubt" / "index.html"
    for name in ("index", "bottleneck", "stated_confidence", "reliability", "learning_curves"):
        assert (found.page.parent / f"{name}.html").stat().st_size > 1000
    page = found.page.read_text()
    assert all(f">{name}<" in page for name in names)


def test_every_condition_has_every_measure_with_its_interval(
    doubted: tuple[Place, RecipeResult],
) -> None:
    summary = doubted[1].summary
    for when in ("before", "platt", "log", "log-control", "log-seed1"):
        for measure in ("auroc2", "ece", "smooth_ece", "brier"):
            for readout in ("stated", "expected"):
                key = f"{measure}.{readout}.{when}"
                assert key in summary
                bounds = (summary[f"{key}.low"], summary[f"{key}.high"])
                if measure == "smooth_ece":  # without an interval that is known to cover
                    assert bounds == (None, None)
                else:
                    assert bounds[0] <= bounds[1]
        assert f"auroc2.expected.within.{when}" in summary
        assert f"parse_rate.stated.{when}" in summary
    for kind in ("gain", "vs_control", "vs_platt"):
        assert {
            f"{kind}.auroc2.expected.log",
            f"{kind}.auroc2.expected.within.log",
            f"{kind}.ece.stated.log",
        } <= set(summary)
    assert summary["training.tokens.log"] > 0
    assert summary["seconds.training.log"] > 0
    assert summary["accuracy.log"] == summary["accuracy.before"]
    assert summary["answers.unchanged.log"] == 1
    assert summary["seeds.expected.seeds.log"] == 2
    assert summary["seeds.expected.wasserstein.log"] > 0
    assert "auroc2.probe.log" in summary


def test_what_is_shared_with_the_whole_loop_is_not_done_again(
    finished_run: Any, tmp_path: Path, worked: list[str]
) -> None:
    place = place_of(finished_run, tmp_path)
    place.teach(DOUBT)
    own = [
        f"recipes/doubt/log/0/{kind}"
        for kind in ("teach", "elicit", "teach_control", "elicit_control")
    ]
    assert worked == [*own, "recipes/doubt/report"]
    worked.clear()
    place.teach(DOUBT)
    assert worked == ["recipes/doubt/report"]
    worked.clear()
    place.teach(DOUBT, arms=("log", "brier"))
    assert worked == [*(name.replace("/log/", "/brier/") for name in own), "recipes/doubt/report"]


def test_a_second_call_loads_no_model(
    doubted: tuple[Place, RecipeResult], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: Any, **__: Any) -> None:
        raise AssertionError("the model was loaded")

    monkeypatch.setattr(workbench.loading, "load_model", refuse)
    place, found = doubted
    assert place.teach(DOUBT, seeds=2, reprobe=True).summary == found.summary


def test_a_killed_recipe_ends_like_an_uninterrupted_one(
    doubted: tuple[Place, RecipeResult],
    finished_run: Any,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    place = place_of(finished_run, tmp_path)
    calls = 0
    logits = Passes.logits

    def interrupted(*args: Any, **kwargs: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls == 6:
            raise KeyboardInterrupt
        return logits(*args, **kwargs)

    with monkeypatch.context() as patch:
        patch.setattr(Passes, "logits", interrupted)
        with pytest.raises(KeyboardInterrupt):
            place.teach(DOUBT, seeds=2, reprobe=True)
    assert (place.folder / "recipes/doubt/log/0/teach/checkpoints/checkpoint-3").is_dir()
    assert numbers(place.teach(DOUBT, seeds=2, reprobe=True).summary) == numbers(doubted[1].summary)


def test_the_adapter_loads_with_plain_peft_and_carries_its_card(
    doubted: tuple[Place, RecipeResult],
) -> None:
    place, found = doubted
    (folder,) = adapter_folders(place.resolved, DOUBT, place.folder)
    plain = AutoModelForCausalLM.from_pretrained(place.config.model.name, dtype=torch.float32)
    model = PeftModel.from_pretrained(plain, folder)
    assert any("lora_A" in name for name, _ in model.named_parameters())
    card = (folder / "README.md").read_text()
    assert f"| AUROC2 expected, log | {found.summary['auroc2.expected.log']:.3f} [" in card
    # Every column of the table, and of text and of expected confidence each its own line.
    for heading, text in found.rows[4].items():
        if heading != "arm" and text:
            assert f"| {heading}, log | {' '.join(text.split())} |" in card
    for readout in ("stated", "expected"):
        within = found.summary[f"auroc2.{readout}.within.log"]
        assert f"| AUROC2 {readout} within, log | {within:.3f} [" in card
    assert "Seed: 0. The same was taught with the seeds 1." in card
    assert "Rewarding Doubt" in card


def test_held_out_domains_are_tested_on_alone(finished_run: Any, tmp_path: Path) -> None:
    place = place_of(
        finished_run,
        tmp_path,
        questions__held_out_domains=["rivers"],
        questions__train_fraction=0.9,
    )
    summary = place.teach(DOUBT, arms=("tokenised-brier",)).summary
    assert summary["out_of_domain.questions"] == 66
    assert summary["in_domain.questions"] + 66 == summary["questions.test"]
    assert summary["training.examples.tokenised-brier"] == 132 - summary["questions.test"]
    assert "out_of_domain.auroc2.expected.tokenised-brier" in summary
    assert "in_domain.ece.stated.before" in summary
    held_out = pd.read_parquet(place.folder / "recipes/doubt/report/held_out.parquet")
    rivers = held_out[held_out["domain"] == "rivers"]["correct"].mean()
    assert summary["out_of_domain.accuracy"] == pytest.approx(rivers)
    page = (place.figures / "doubt" / "index.html").read_text()
    assert "Domains that were not: 66 held-out questions, accuracy" in page


def test_a_domain_that_is_not_there_is_named(finished_run: Any, tmp_path: Path) -> None:
    for domains, message in (
        (["seas"], "there is no domain 'seas'"),
        (["rivers", "planets"], "no domain would be left"),
    ):
        place = place_of(finished_run, tmp_path / message[:5], questions__held_out_domains=domains)
        with pytest.raises(WorkbenchError, match=message):
            place.teach(DOUBT)


def test_an_arm_that_cannot_be_taught_is_refused_before_another_is(
    finished_run: Any, tmp_path: Path
) -> None:
    place = place_of(finished_run, tmp_path)
    last = replace(DOUBT.arms[1], targets=lambda inputs: np.full(len(inputs.row), 2.0))
    with pytest.raises(WorkbenchError, match="between 0 and 1"):
        place.teach(
            replace(DOUBT, arms=(DOUBT.arms[0], last)), arms=(DOUBT.arms[0].name, last.name)
        )
    assert (place.folder / "probe" / "done.json").exists()
    assert not (place.folder / "recipes" / "doubt" / DOUBT.arms[0].name).exists()


def test_an_adapter_on_the_conversation_is_compared_on_the_same_answers(
    finished_run: Any, tmp_path: Path
) -> None:
    place = place_of(finished_run, tmp_path, teach__learning_rate=5e-3)
    found = place.teach(PROBE, arms=("primary",))
    summary = found.summary
    assert not (found.page.parent / "learning_curves.html").exists()
    read = place.folder / "recipes/probe/primary/0/elicit"
    on = StageStore(read, "").table("answers_adapter_on").set_index("row")["answer"]
    base = (
        StageStore(place.folder / "answer", "")
        .table("answers")
        .set_index("row")["answer"]
        .loc[on.index]
    )
    assert len(on) == summary["questions.test"]
    assert summary["unchanged_answers.questions.primary"] == (on == base).sum()
    assert summary["answers.unchanged_adapter_on.primary"] == pytest.approx((on == base).mean())
    assert "accuracy.adapter_on_while_answering.primary" in summary
    shown = {row["arm"]: row["accuracy, adapter on"] for row in found.rows}
    assert shown["primary"]
    assert not shown["before"]
    held_out = pd.read_parquet(place.folder / "recipes/probe/report/held_out.parquet")
    assert held_out["right_primary"].mean() == pytest.approx(
        summary["accuracy.adapter_on_while_answering.primary"]
    )
    assert "right_primary-control" not in held_out


def test_calibration_tuning_with_its_head_and_its_temperature(
    finished_run: Any, tmp_path: Path
) -> None:
    place = place_of(finished_run, tmp_path, elicit__format="i-ii")
    found = place.teach(CALIBRATION, seeds=2)
    names = [row["arm"] for row in found.rows]
    assert names[4:] == [
        "head", "head-temperature", "head-control", "head-seed1", "head-seed1-temperature",
        "lora-prompt", "lora-prompt-temperature", "lora-prompt-control", "lora-prompt-seed1", "lora-prompt-seed1-temperature",
    ]  # fmt: skip
    assert found.summary["auroc2.expected.head"] > 0.8
    train = found.summary["questions.train"]
    assert found.summary["training.examples.head"] == train - round(0.2 * train)
    assert "auroc2.stated.head" not in found.summary
    stage = StageStore(place.folder / "recipes/calibration/head/0/elicit", "")
    taught = StageStore(place.folder / "recipes/calibration/head/0/teach", "").table("targets")[
        "row"
    ]
    assert not set(stage.table("confidence")["row"]) & set(taught)
    again = StageStore(place.folder / "recipes/calibration/head/1/teach", "").table("targets")[
        "row"
    ]
    assert sorted(again) == sorted(taught)


def test_graded_answers_of_a_file_take_the_place_of_answering(
    finished_run: Any, tmp_path: Path
) -> None:
    """Those that the run itself wrote: the same answers, grades and so the same readings before
    teaching.
    """
    graded = finished_run.folder / "answer" / "graded.jsonl"
    place = place_of(finished_run, tmp_path, questions__graded_file=str(graded))
    summary = place.teach(DOUBT, arms=("brier",)).summary
    for name in ("questions", "answer"):
        tables = [
            StageStore(folder / name, "").table("questions" if name == "questions" else "answers")
            for folder in (finished_run.folder, place.folder)
        ]
        for column in ("id", "question", "split") if name == "questions" else ("answer", "correct"):
            assert tables[0][column].tolist() == tables[1][column].tolist()
    assert summary["auroc2.expected.before"] == pytest.approx(
        finished_run.summary["auroc2.expected.before"]
    )
    assert "accuracy.brier" not in summary


def test_answer_and_confidence_are_taught_together(
    finished_run: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whole replies are sampled and graded; the table says what became of the answers.

    With a planted confidence, because a random model states none and would learn nothing.
    """

    def planted(fmt: Any, text: str) -> tuple[str, float]:
        return text.partition("\n")[0].strip(), len(text) % 10 / 9

    monkeypatch.setattr(workbench.teach.replies, "answer_and_confidence", planted)
    model, questions = (
        load_model(finished_run.inputs.config.model.name, device="cpu"),
        tmp_path / "questions.jsonl",
    )
    write_questions(questions, planted_questions(model, "percent-one-turn"))
    place = place_of(
        finished_run, tmp_path, elicit__format="percent-one-turn", questions__source=str(questions),
        teach__learning_rate=1e-3,
    )  # fmt: skip
    plan = Reinforcement(correct_and_brier, 1.0, WRONG_FORMAT, 0.01, steps=2, replies=whole_replies)
    short = replace(JOINT, arms=(replace(JOINT.arm("rlcr"), train=train_on_policy(plan)),))
    found = place.teach(short)
    assert [row["arm"] for row in found.rows][4:] == ["rlcr", "rlcr-control"]
    assert found.rows[4]["accuracy, adapter on"]
    assert found.summary["answers.adapter_on_rows.rlcr"] == found.summary["questions.test"]
    read = StageStore(place.folder / "recipes/joint/rlcr/0/elicit", "")
    own = (
        StageStore(place.folder / "recipes/joint/rlcr/0/elicit_own_answers", "")
        .table("confidence")
        .set_index("row")["expected"]
    )
    on, base = (
        table.set_index("row").loc[own.index]
        for table in (
            read.table("answers_adapter_on"),
            StageStore(place.folder / "answer", "").table("answers"),
        )
    )
    same = (on["answer"] == base["answer"]).to_numpy()
    after = read.table("confidence").set_index("row")["expected"].loc[own.index]
    assert 0 < same.sum() < len(same)
    np.testing.assert_allclose(own[same], after[same], rtol=1e-3)
    assert np.abs(own[~same] - after[~same]).max() > 1e-3
    brier = float(np.mean((own - on["correct"]) ** 2))
    assert found.summary["own_answers.brier.expected.rlcr"] == pytest.approx(brier)
    assert found.rows[4]["own Brier expected"]
    assert not found.rows[5]["own Brier expected"]
    log = StageStore(place.folder / "recipes/joint/rlcr/0/teach", "").table("log")
    assert log["reward"].between(-1, 1).all()
    assert found.summary["training.tokens.rlcr"] == log["tokens"].iloc[-1]
    assert (found.page.parent / "learning_curves.html").exists()


def test_sampled_answers_are_not_graded_by_a_file(finished_run: Any, tmp_path: Path) -> None:
    graded = finished_run.folder / "answer" / "graded.jsonl"
    place = place_of(
        finished_run,
        tmp_path,
        questions__graded_file=str(graded),
        elicit__format="percent-one-turn",
    )
    with pytest.raises(WorkbenchError, match=r"take questions\.graded_file out"):
        place.teach(JOINT)
    assert not (place.folder / "recipes").exists()


def test_answers_of_one_kind_stop_before_training(finished_run: Any, tmp_path: Path) -> None:
    lines = (finished_run.folder / "answer" / "graded.jsonl").read_text().splitlines()
    path = tmp_path / "all_right.jsonl"
    path.write_text(
        "".join(json.dumps({**json.loads(line), "correct": True}) + "\n" for line in lines)
    )
    place = place_of(finished_run, tmp_path, questions__graded_file=str(path))
    with pytest.raises(WorkbenchError, match="right"):
        place.teach(DOUBT)


def test_another_recipes_answers_are_not_replaced(doubted: tuple[Place, RecipeResult]) -> None:
    place, _ = doubted
    changed = place.config.model_copy(update={"seed": 9})
    other = replace(place, resolved=replace(place.resolved, config=changed))
    with pytest.raises(
        WorkbenchError,
        match=r"'doubt' was taught on answers made with other settings of 'seed'.*run of another name",
    ):
        other.teach(PROBE)
    assert not (place.folder / "recipes" / "probe").exists()


def test_what_is_not_installed_is_missed_before_anything_is_done(
    finished_run: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(workbench.teach.on_policy, "find_spec", lambda name: None)
    place = Place(written(finished_run.inputs.config.model_dump(mode="json")), tmp_path, tmp_path)
    with pytest.raises(WorkbenchError, match=r"pip install 'confidence-workbench\[rl\]'"):
        place.teach(DOUBT, arms=("log", "grpo"))
    assert list(tmp_path.iterdir()) == []


def test_a_domain_to_be_taught_alone_needs_questions(finished_run: Any, tmp_path: Path) -> None:
    config = finished_run.inputs.config
    with pytest.raises(
        WorkbenchError,
        match=r"at least 50 training questions.*planets \d+, rivers \d+.*questions\.limit",
    ):
        taught_domains(
            config.model_copy(
                update={"questions": config.questions.model_copy(update={"limit": 80})}
            ),
            tmp_path,
        )


def test_too_few_questions_are_refused(finished_run: Any, tmp_path: Path) -> None:
    place = place_of(finished_run, tmp_path, questions__limit=60, probe__folds=3)
    with pytest.raises(WorkbenchError, match="at least 50 examples"):
        place.teach(DOUBT)


def test_stages_need_only_what_stands_before_them(finished_run: Any) -> None:
    for recipe in (PROBE, DOUBT, CALIBRATION):
        taught = trainings(written(), recipe, recipe.arms, 2, True)
        stages = recipe_stages(recipe, taught)
        names = [stage.name for stage in stages]
        assert len(set(names)) == len(names)
        for index, stage in enumerate(stages):
            assert set(stage.needs) <= set(names[:index])


def test_a_recipe_needs_a_seed(finished_run: Any, tmp_path: Path) -> None:
    place = Place(written(finished_run.inputs.config.model_dump(mode="json")), tmp_path, tmp_path)
    with pytest.raises(WorkbenchError, match="taught with 1 to 1,000 seeds, not 0"):
        place.teach(DOUBT, seeds=0)


def test_the_control_permutes_the_targets(doubted: tuple[Place, RecipeResult]) -> None:
    folder = doubted[0].folder / "recipes/doubt/log/0"
    own, twin = (
        StageStore(folder / kind, "").table("targets") for kind in ("teach", "teach_control")
    )
    assert own["row"].tolist() == twin["row"].tolist()
    assert sorted(own["probability"]) == sorted(twin["probability"])
    assert not np.array_equal(own["probability"], twin["probability"])
    assert set(own["target"]) == {0, 100}


def test_metacognition_samples_compares_and_measures_both_tasks(
    finished_run: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With planted bins, because a random model hardly ever says the same twice."""
    monkeypatch.setattr(
        workbench.teach.consistency, "consistency_bins", lambda share: np.arange(len(share)) % 2
    )
    place = place_of(finished_run, tmp_path, questions__limit=88, questions__train_fraction=0.66)
    found = place.teach(METACOGNITION, arms=["single", "pairwise", "both"])
    summary = found.summary
    names = ["single", "pairwise", "both"]
    for name in ("before", *names, *(f"{name}-control" for name in names)):
        for measure in ("agreement", "consistent", "read"):
            assert {f"pairs.{measure}.{name}{end}" for end in ("", ".low", ".high")} <= set(summary)
    assert "auroc2.expected.within.bradley-terry" in summary
    assert summary["pairs.agreement.bradley-terry"] == summary["transfer.agreement.bradley-terry"]
    for end in ("", ".low", ".high"):
        alone = summary[f"auroc2.expected.within.pairwise{end}"]
        assert summary[f"transfer.single.pairwise{end}"] == pytest.approx(alone)
    spent = [summary[f"training.tokens.{name}"] for name in names]
    assert max(spent) < 1.1 * min(spent)
    rows = {row["arm"]: row for row in found.rows}
    assert rows["before"]["pairs right"]
    assert not rows["platt"]["pairs right"]
    shares = pd.read_parquet(place.folder / "samples" / "consistency.parquet")
    questions = pd.read_parquet(place.folder / "questions" / "questions.parquet")
    assert shares["row"].tolist() == np.flatnonzero(questions["split"] == "train").tolist()
    assert shares["modal_share"].between(0.1, 1).all()
    taught = pd.read_parquet(found.folder / "single" / "0" / "teach" / "targets.parquet")
    assert len(taught) == 2 * (len(shares) // 2)
    assert (
        summary["training.examples.single"] == summary["training.questions.single"] == len(taught)
    )
    for name in ("pairwise", "both"):
        log = pd.read_parquet(found.folder / name / "0" / "teach" / "log.parquet")
        size = place.config.teach.batch_size * place.config.teach.gradient_accumulation_steps
        assert len(log) == math.ceil(summary[f"training.examples.{name}"] / size)
    assert rows["bradley-terry"]["pairs right"]
    assert (found.page.parent / "transfer.html").exists()
