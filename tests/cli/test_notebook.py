from __future__ import annotations

from pathlib import Path
from typing import Any

import nbformat
import pytest
from typer.testing import CliRunner

from workbench.cli.app import app
from workbench.experiments.scripts import find_scripts


def call(*arguments: str) -> Any:
    return CliRunner().invoke(app, ["notebook", *arguments])


def test_without_a_name_every_script_has_a_line() -> None:
    lines = call().output.splitlines()
    assert [line.split(maxsplit=1) for line in lines] == [
        [script.name, script.title] for script in find_scripts().values()
    ]


def test_a_notebook_is_written_here_or_where_it_is_wanted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert call("steering").output == "steering.ipynb\n"
    title = nbformat.read("steering.ipynb", as_version=4).cells[0].source.splitlines()[0]
    assert title == "# Can the model be steered into saying what it knows?"
    assert call("steering", "--out", "there/mine.ipynb").output == "there/mine.ipynb\n"
    assert Path("there/mine.ipynb").read_bytes() == Path("steering.ipynb").read_bytes()


def test_mistakes_are_one_sentence_and_nothing_is_lost(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("steering.ipynb").write_text("mine")
    for words, said in (
        (("steering",), "steering.ipynb is there already"),
        (("steerin",), "There is no notebook 'steerin'"),
    ):
        done = call(*words)
        assert done.exit_code == 2
        assert said in " ".join(done.output.split())
    assert Path("steering.ipynb").read_text() == "mine"
    assert call("steering", "--force").exit_code == 0
    assert Path("steering.ipynb").read_text() != "mine"
