from __future__ import annotations

from pathlib import Path

import pytest

from workbench.notebook import asked_config, option, root


@pytest.fixture(autouse=True)
def bare(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("MODEL", "QUESTIONS", "LIMIT", "CONFIG"):
        monkeypatch.delenv(f"WORKBENCH_{name}", raising=False)


def test_the_environment_goes_before_the_scripts_defaults(monkeypatch: pytest.MonkeyPatch) -> None:
    assert asked_config().questions.limit == 580
    assert asked_config(questions__limit=140).questions.limit == 140
    monkeypatch.setenv("WORKBENCH_LIMIT", "12")
    monkeypatch.setenv("WORKBENCH_MODEL", "some/model")
    config = asked_config(questions__limit=140)
    assert (config.questions.limit, config.model.name) == (12, "some/model")


def test_a_file_with_settings_replaces_the_scripts_defaults(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "settings.yaml").write_text("seed: 3\nquestions: {limit: 50}\n")
    monkeypatch.setenv("WORKBENCH_CONFIG", str(tmp_path / "settings.yaml"))
    assert (asked_config(questions__limit=140).questions.limit, asked_config().seed) == (50, 3)


def test_options_have_defaults(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORKBENCH_X", "7")
    assert (option("X", "1"), option("NOT_THERE", "1")) == ("7", "1")


def test_results_stand_beside_the_analyses_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "analyses").mkdir()
    for folder in (tmp_path, tmp_path / "analyses"):
        monkeypatch.chdir(folder)
        assert root() == tmp_path
