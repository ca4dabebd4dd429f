from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from workbench.config import RunConfig, dump_config, load_config
from workbench.errors import WorkbenchError
from workbench.settings.errors import names
from workbench.settings.file import read_assignments, read_settings_file

KEYS = list(names(RunConfig))


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("yes", "yes"), ("no", "no"), ("on", "on"), ("off", "off"), ("true", True), ("False", False),
        ("010", 10), ("-3", -3), ("+4", 4), ("1:30", "1:30"), ("0x10", "0x10"), ("1_000", "1_000"),
        ("5e-5", 5e-5), ("1e3", 1000.0), (".5", 0.5), ("5.", 5.0), (".", "."), ("-", None), (".inf", float("inf")), ("1e999", float("inf")),
        ("", None), ("~", None), ("null", None), ("'null'", "null"), ("2024-01-01", "2024-01-01"), ("=", "="),
        ("[1, a]", [1, "a"]), ("{a: {b: 1}}", {"a": {"b": 1}}), ("a=b", "a=b"), ("é 東", "é 東"),
    ],
)  # fmt: skip
def test_words_mean_what_yaml_1_2_says(text: str, value: Any) -> None:
    if text == "-":
        assert read_assignments(["k=-"]) == {"k": [None]}
    else:
        assert read_assignments([f"k={text}"]) == {"k": value}


def test_aliases_and_merges_of_moderate_size_are_read(tmp_path: Path) -> None:
    file = tmp_path / "s.yaml"
    file.write_text("a: &a {x: 1, y: 2}\nb: *a\nc: {<<: *a, y: 3}\n")
    assert read_settings_file(file) == {
        "a": {"x": 1, "y": 2},
        "b": {"x": 1, "y": 2},
        "c": {"x": 1, "y": 3},
    }


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_files_are_read_in_unicode(tmp_path: Path, encoding: str) -> None:
    file = tmp_path / "s.yaml"
    file.write_text("questions: {source: Fragen/größte 東.csv}\n", encoding=encoding)
    assert read_settings_file(file) == {"questions": {"source": "Fragen/größte 東.csv"}}


def test_characters_that_json_writes_in_two_halves_are_read(tmp_path: Path) -> None:
    config = load_config(None, {"questions.source": "👩‍🔬.csv"})
    file = tmp_path / "s.json"
    file.write_text(dump_config(config))
    assert "\\ud83d" in file.read_text()
    assert load_config(file) == config


def test_groups_that_hold_nothing_say_nothing(tmp_path: Path) -> None:
    file = tmp_path / "s.yaml"
    file.write_text("teach:\nprobe: ~\nseed: 3\n")
    assert load_config(file) == load_config(None, {"seed": 3})


values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=20)
    | st.sampled_from(["yes", "1e300", "patching", "\0"]),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.text(max_size=8) | st.sampled_from(KEYS), inner, max_size=4)
    ),
    max_leaves=12,
)


@contextmanager
def _clear() -> Iterator[None]:
    """Settings, or an error of one line that names what is wrong."""
    try:
        yield
    except WorkbenchError as error:
        said = str(error).strip()
    else:
        said = "nothing"
    assert said
    assert "\n" not in said
    assert "pydantic" not in said


@given(key=st.sampled_from(KEYS), value=values)
@settings(max_examples=60, deadline=None)
def test_any_value_is_a_setting_or_a_clear_error(key: str, value: Any) -> None:
    with _clear():
        config = load_config(None, {key: value})
        assert RunConfig.model_validate_json(dump_config(config)) == config


@given(content=st.binary(max_size=200))
@settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_any_bytes_are_settings_or_a_clear_error(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "s.yaml"
    file.write_bytes(content)
    with _clear():
        load_config(file)


@given(
    data=st.dictionaries(st.sampled_from(KEYS) | st.text(max_size=8), values, max_size=5),
    as_json=st.booleans(),
)
@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_any_document_is_settings_or_a_clear_error(
    tmp_path: Path, data: dict[str, Any], as_json: bool
) -> None:
    file = tmp_path / "s.yaml"
    text = json.dumps(data) if as_json else yaml.safe_dump(data)
    file.write_bytes(text.encode("utf-8", "surrogatepass"))
    with _clear():
        load_config(file)


yamlish = st.text(
    alphabet=st.sampled_from(list("ab1.e-+:{}[],&*!|>'\"#%@`?<=~ \n\t\\0xn")), max_size=60
)


@given(
    given=st.lists(
        st.builds("{}={}".format, st.sampled_from(KEYS) | st.text(max_size=6), yamlish)
        | st.text(max_size=30),
        max_size=3,
    )
)
@settings(max_examples=200, deadline=None)
def test_any_assignments_are_settings_or_a_clear_error(given: list[str]) -> None:
    with _clear():
        load_config(None, read_assignments(given))
