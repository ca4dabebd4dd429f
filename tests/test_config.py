from __future__ import annotations

import itertools
import json
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from workbench.config import (
    Resolved,
    RunConfig,
    SetBy,
    UserSettings,
    dump_config,
    load_config,
    resolve,
    user_settings,
    with_arm,
)
from workbench.errors import WorkbenchError


def test_the_adapter_is_the_published_one_and_two_modules_more() -> None:
    lora = RunConfig().teach.lora
    assert (lora.rank, lora.alpha, lora.dropout) == (16, 32, 0.05)
    assert {*lora.target_modules} == {"q_proj", "k_proj", "v_proj", "o_proj"}


@pytest.mark.parametrize(
    "wrong",
    [
        {"teach.adapter_scope": "answer"},
        {"teach.target": "number"},
        {"teach.target_std": 0},
        {"model.kv_cache_bytes": -1},
    ],
)
def test_settings_of_the_reply_are_checked(wrong: dict[str, Any]) -> None:
    with pytest.raises(WorkbenchError, match=next(iter(wrong))):
        load_config(None, wrong)


def test_settings_are_frozen() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        RunConfig().seed = 3  # type: ignore[misc]


@pytest.mark.parametrize("suffix", ["yaml", "json"])
def test_what_is_written_reads_back_equal(tmp_path: Path, suffix: str) -> None:
    config = load_config(
        None, {"questions.source": "some/file.csv", "patch.layers": [0, 3], "seed": 7}
    )
    path = tmp_path / f"settings.{suffix}"
    path.write_text(dump_config(config))
    assert load_config(path) == config
    assert json.loads(dump_config(config))["questions"]["source"] == "some/file.csv"


def test_overrides_stand_on_top_of_the_file(tmp_path: Path) -> None:
    path = tmp_path / "settings.yaml"
    path.write_text("seed: 1\nteach:\n  epochs: 5\n  lora: {rank: 4}\nprobe:\n")
    config = load_config(path, {"teach.epochs": 2, "teach.lora.alpha": 8, "probe.shuffles": 9})
    assert (config.seed, config.teach.epochs, config.probe.shuffles) == (1, 2, 9)
    assert (config.teach.lora.rank, config.teach.lora.alpha) == (4, 8)


def test_a_number_that_yaml_takes_for_text_is_a_number(tmp_path: Path) -> None:
    path = tmp_path / "settings.yaml"
    path.write_text("teach: {learning_rate: 5e-5}")
    assert load_config(path).teach.learning_rate == 5e-5


def test_an_empty_file_means_the_defaults(tmp_path: Path) -> None:
    path = tmp_path / "settings.yaml"
    path.write_text("")
    assert load_config(path) == load_config(None) == RunConfig()


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (
            {"teach.learning_rte": 1},
            r"'teach\.learning_rte': there is no such setting; did you mean 'teach\.learning_rate'\?",
        ),
        ({"bogus": 1}, r"'bogus': there is no such setting; there are model,"),
        ({"teach.epochs": 0}, r"'teach\.epochs': it must be at least 1, not 0"),
        ({"teach.epochs": "many"}, r"'teach\.epochs': it must be a whole number, not 'many'"),
        ({"model.dtype": "int8"}, r"'model\.dtype'"),
        ({"questions.train_fraction": 1.0}, r"'questions\.train_fraction'"),
        ({"probe.inverse_penalties": [1, "x"]}, r"'probe\.inverse_penalties\.1'"),
        ({"teach": 3}, "'teach'"),
        ({"seed": 1, "seed.deep": 2}, r"'seed' holds a value, so 'seed\.deep' cannot be set"),
        ({"teach.lora": 1, "teach.lora.rank": 2}, r"'teach\.lora' holds a value"),
    ],
)
def test_a_mistake_names_its_key(overrides: dict[str, Any], message: str) -> None:
    with pytest.raises(WorkbenchError, match=message):
        load_config(None, overrides)


@pytest.mark.parametrize(
    "content", [b"- a\n- b\n", b"just words", b"{unclosed: [1", b"\xff\xfe\x00", b"\t: x"]
)
def test_a_broken_file_is_named(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "settings.yaml"
    path.write_bytes(content)
    with pytest.raises(WorkbenchError, match=r"configuration file .*settings\.yaml"):
        load_config(path, {"seed": 1})


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(WorkbenchError, match=r"Cannot read the configuration file .*absent\.yaml"):
        load_config(tmp_path / "absent.yaml")


KEY = "teach.epochs"
VALUES = {SetBy.RECIPE: 21, SetBy.ARM: 22, SetBy.FILE: 23, SetBy.COMMAND_LINE: 24}


def resolve_layers(values: dict[SetBy, Any]) -> Resolved:
    """Resolve one key that the layers of ``values`` give."""
    recipe = {KEY: values[SetBy.RECIPE]} if SetBy.RECIPE in values else {}
    arm = {"epochs": values[SetBy.ARM]} if SetBy.ARM in values else {}
    file = {"teach": {"epochs": values[SetBy.FILE]}} if SetBy.FILE in values else {}
    assigned = {KEY: values[SetBy.COMMAND_LINE]} if SetBy.COMMAND_LINE in values else {}
    return resolve(RunConfig(), recipe, arm, UserSettings(file, assigned))


@pytest.mark.parametrize(("weaker", "stronger"), itertools.combinations(SetBy, 2))
def test_of_two_layers_the_later_one_decides(weaker: SetBy, stronger: SetBy) -> None:
    found = resolve_layers({by: VALUES[by] for by in (weaker, stronger) if by in VALUES})
    assert (found.config.teach.epochs, found.origins[KEY]) == (VALUES[stronger], stronger)


@pytest.mark.parametrize(("weaker", "stronger"), itertools.combinations(SetBy, 2))
def test_a_value_counts_as_given_where_it_is_the_default(weaker: SetBy, stronger: SetBy) -> None:
    default = RunConfig().teach.epochs
    given = {by: VALUES[by] for by in (weaker,) if by in VALUES}
    found = resolve_layers({**given, stronger: default})
    assert (found.config.teach.epochs, found.origins[KEY]) == (default, stronger)


def test_an_arm_that_comes_later_changes_only_what_the_user_left_open() -> None:
    user = UserSettings({"teach": {"lora": {"rank": 16}}}, {"teach.epochs": 4})
    before = resolve(RunConfig(), {"teach.weight_decay": 0.5, "seed": 3}, {}, user)
    arm = {"epochs": 9, "weight_decay": 0.0, "learning_rate": 1e-4, "lora": {"rank": 2, "alpha": 5}}
    found = with_arm(before, arm)
    teach = found.config.teach
    assert (teach.epochs, teach.lora.rank, teach.lora.alpha) == (4, 16, 5)
    assert (teach.weight_decay, teach.learning_rate, found.config.seed) == (0.0, 1e-4, 3)
    assert found == resolve(RunConfig(), {"teach.weight_decay": 0.5, "seed": 3}, arm, user)
    assert [by for key, by in found.origins.items() if by is SetBy.ARM] == [SetBy.ARM] * 3


def test_a_file_that_lists_every_setting_leaves_nothing_to_recipe_and_arm(tmp_path: Path) -> None:
    path = tmp_path / "settings.json"
    path.write_text(dump_config(RunConfig()))
    recipe, arm = {"questions.limit": 260, "elicit.format": "i-ii"}, {"epochs": 9}
    found = resolve(RunConfig(), recipe, arm, user_settings(path))
    assert found.config == RunConfig()
    assert found.origins["teach.epochs"] is SetBy.FILE


def test_every_setting_has_an_origin_and_a_value() -> None:
    found = resolve(RunConfig(), {}, {}, user_settings(None, {"patch": {"layers": [0, 2]}}))
    rows = {key: (value, by) for key, value, by in found.values()}
    assert rows["patch.layers"] == ([0, 2], SetBy.COMMAND_LINE)
    assert rows["teach.head.widths"] == ([256, 128, 64], SetBy.PACKAGE)
    assert rows["model.chat_template"] == (None, SetBy.PACKAGE)
    groups = {"teach", "teach.lora", "teach.head", "measure", "patch"}
    assert not groups & set(rows)


def test_a_default_and_the_same_value_from_a_file_are_written_alike() -> None:
    """A number such as 8 for 8.0 would make a finished stage look like one of other settings."""
    found = resolve(RunConfig(), {}, {}, UserSettings(json.loads(dump_config(RunConfig()))))
    assert dump_config(found.config) == dump_config(RunConfig())


def test_a_mistake_of_any_layer_names_its_key() -> None:
    nothing = UserSettings()
    with pytest.raises(WorkbenchError, match=r"'teach\.epochs'"):
        resolve(RunConfig(), {"teach.epochs": 0}, {}, nothing)
    with pytest.raises(WorkbenchError, match=r"'teach\.epoch': there is no such setting"):
        resolve(RunConfig(), {}, {"epoch": 2}, nothing)
