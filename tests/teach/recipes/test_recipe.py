from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from tests.support.jobs import COUNT, training_job
from workbench.errors import WorkbenchError
from workbench.models import LanguageModel
from workbench.teach.recipes import RECIPES, Arm, Recipe, recipe_named, train_on_examples
from workbench.teach.recipes.objectives import configured_objective
from workbench.teach.target_inputs import correctness_targets

ARM = Arm("one", "about", correctness_targets, train_on_examples(configured_objective))


def test_names_of_arms_are_distinct_and_defaults_among_them() -> None:
    for arms, default in (((ARM, ARM), ("one",)), ((ARM,), ("two",)), ((ARM,), ())):
        with pytest.raises(
            WorkbenchError, match="need distinct names, its default ones among them"
        ):
            Recipe("r", "about", "source", arms, default)


def test_an_unknown_recipe_or_arm_lists_what_there_is() -> None:
    with pytest.raises(
        WorkbenchError,
        match="no recipe 'prob'; choose one of probe, probe-one-turn, probe-worked, metacognition",
    ):
        recipe_named("prob")
    with pytest.raises(WorkbenchError, match="no arm 'softer'; choose among soft, hard"):
        recipe_named("probe").arm("softer")
    assert all(
        recipe_named(name).arm(arm.name) is arm for name, r in RECIPES.items() for arm in r.arms
    )


def test_a_teacher_of_examples_saves_an_adapter_and_counts_its_tokens(
    tiny_lm: LanguageModel, tmp_path: Path
) -> None:
    job = training_job(tiny_lm, epochs=2, batch_size=25, lora={"rank": 2})
    taught = train_on_examples(configured_objective)(replace(job, folder=tmp_path))
    assert (tmp_path / "adapter" / "adapter_model.safetensors").exists()
    examples = configured_objective(job).examples
    assert taught.tokens == 2 * sum(len(e.prompt) + e.tree.size for e in examples)
    assert [row["step"] for row in taught.log] == list(range(1, 2 * COUNT // 25 + 1))
