from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

import workbench.experiments.recipes.run
from workbench.cli.app import app
from workbench.experiments.recipes.run import RecipeResult, RecipeRun
from workbench.loop.run import Run
from workbench.pipeline.stages import Reuse
from workbench.pipeline.store import RunStore
from workbench.teach.recipes import RECIPES

RUNNER = CliRunner()


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[tuple[Any, ...]]:
    """What the library is called with; it returns a table at once."""
    calls: list[tuple[Any, ...]] = []

    def teach(
        config: Any, recipe: Any, folder: Path, figures: Path, **options: Any
    ) -> RecipeResult:
        calls.append((config, recipe, folder, figures, options))
        recipe_run = RecipeRun(Run(config, RunStore(folder), figures), ())
        return RecipeResult(
            {}, [{"arm": "log", "accuracy": "0.5"}], folder, figures / "index.html", recipe_run
        )

    monkeypatch.setattr(workbench.experiments.recipes.run, "teach_recipe", teach)
    return calls


def test_options_reach_the_library(asked: list[tuple[Any, ...]], tmp_path: Path) -> None:
    given = [
        "teach", "doubt", "--arms", "log, brier", "--seeds", "3", "--hold-out", "capitals", "--name", "n", "--limit", "90",
        "--seed", "2", "--set", "teach.epochs=1", "--reprobe", "--replace", "--runs", str(tmp_path), "--figures", str(tmp_path),
    ]  # fmt: skip
    result = RUNNER.invoke(app, given)
    assert result.exit_code == 0, result.output
    ((resolved, recipe, folder, figures, options),) = asked
    config = resolved.config
    assert recipe is RECIPES["doubt"]
    assert (folder, figures) == (tmp_path / "n", tmp_path / "n")
    assert options == {
        "arms": ["log", "brier"],
        "seeds": 3,
        "reprobe": True,
        "reuse": Reuse(replace=True),
    }
    assert (config.seed, config.questions.limit, config.teach.epochs) == (2, 90, 1)
    assert config.questions.held_out_domains == ("capitals",)
    assert "log" in result.stdout
    assert "0.5" in result.stdout


def test_a_recipes_settings_stand_below_the_users(asked: list[tuple[Any, ...]]) -> None:
    assert RUNNER.invoke(app, ["teach", "calibration"]).exit_code == 0
    assert (
        RUNNER.invoke(app, ["teach", "calibration", "--set", "elicit.format=percent"]).exit_code
        == 0
    )
    assert [call[0].config.elicit.format for call in asked] == ["i-ii", "percent"]


def test_a_recipe_has_a_size_of_its_own_unless_told(asked: list[tuple[Any, ...]]) -> None:
    for given in (
        ["doubt"],
        ["doubt", "--limit", "70"],
        ["metacognition"],
        ["probe", "--limit", "0"],
        ["joint"],
    ):
        assert RUNNER.invoke(app, ["teach", *given]).exit_code == 0
    own = [RECIPES[name].size["questions.limit"] for name in ("doubt", "metacognition")]
    assert [call[0].config.questions.limit for call in asked] == [own[0], 70, own[1], None, own[0]]
    assert [call[2].name for call in asked] == ["teach", "teach", "metacognition", "teach", "joint"]
    assert [call[0].config.teach.on_policy_steps for call in asked] == [None] * 4 + [
        RECIPES["joint"].size["teach.on_policy_steps"]
    ]


def test_all_stands_for_every_arm(asked: list[tuple[Any, ...]]) -> None:
    assert RUNNER.invoke(app, ["teach", "probe", "--arms", "all"]).exit_code == 0
    assert asked[0][4]["arms"] == [arm.name for arm in RECIPES["probe"].arms]


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (["teach", "doubts"], "no recipe 'doubts'"),
        (["teach", "doubt", "--push-to-hub", "name"], "write it as owner/name"),
        (["teach", "doubt", "--push-to-hub", "a/b", "--seeds", "2"], "uploads one adapter"),
        (["teach", "doubt", "--push-to-hub", "a/b", "--arms", "log,brier"], "uploads one adapter"),
        (
            ["teach", "calibration", "--push-to-hub", "a/b", "--arms", "lora"],
            "'lora' is read by a separate network",
        ),
        (["teach", "doubt", "--set", "teach"], "must read key=value"),
    ],
)
def test_mistakes_are_said_before_anything_is_done(
    asked: list[tuple[Any, ...]], given: list[str], message: str
) -> None:
    result = RUNNER.invoke(app, given)
    assert result.exit_code == 2
    assert message in " ".join(result.output.split())
    assert asked == []


def test_recipes_are_listed_with_their_arms() -> None:
    out = RUNNER.invoke(app, ["recipes"]).stdout
    for recipe in RECIPES.values():
        assert recipe.name in out
        for arm in recipe.arms:
            assert arm.name + ("*" if arm.name in recipe.default else "") in out
