from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from workbench.config import RunConfig, dump_config, load_config, with_defaults
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


def test_defaults_stand_where_nothing_was_given() -> None:
    """What was not given stays open: an arm's settings go before the package's and behind the
    user's.
    """
    given = load_config(None, {"teach.epochs": 2})
    found = with_defaults(given, {"teach.epochs": 9, "elicit.format": "i-ii"})
    assert found.teach.model_dump(exclude_unset=True) == {"epochs": 2}
    assert found.elicit.format == "i-ii"
    with pytest.raises(WorkbenchError, match=r"'teach.epochs'"):
        with_defaults(RunConfig(), {"teach.epochs": 0})


def test_a_file_that_lists_every_setting_says_only_what_it_changes(tmp_path: Path) -> None:
    path = tmp_path / "settings.json"
    whole = RunConfig().model_dump(mode="json")
    whole["teach"]["lora"]["rank"], whole["questions"]["limit"] = 4, None
    path.write_text(json.dumps(whole))
    found = load_config(
        path,
        {"teach.epochs": RunConfig().teach.epochs},
        {"questions.limit": 260, "elicit.format": "i-ii"},
    )
    assert found.model_dump(exclude_unset=True) == {
        "questions": {"limit": None},
        "elicit": {"format": "i-ii"},
        "teach": {"epochs": RunConfig().teach.epochs, "lora": {"rank": 4}},
    }
