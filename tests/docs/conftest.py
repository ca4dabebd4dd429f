from __future__ import annotations

from pathlib import Path

import plotly.io
import pytest

from tests.support.runs import planted_questions, save_number_writer
from tests.support.tiny_models import build_tokenizer
from workbench.loading import load_model
from workbench.questions import Question, read_questions, write_questions

WORDS = ("ĠParis", "ĠRome", "ĠMary", "ĠJohn")


@pytest.fixture(scope="session")
def documented(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a tiny model that knows the words of the guides, and questions it answers."""
    folder = tmp_path_factory.mktemp("documented")
    save_number_writer(folder / "model")
    build_tokenizer("digits", WORDS).save_pretrained(folder / "model")
    lm = load_model(str(folder / "model"), device="cpu")
    write_questions(folder / "questions.jsonl", planted_questions(lm))
    return folder


@pytest.fixture
def tiny_defaults(documented: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The default model and the built-in questions are those of ``documented``; figures are not
    shown; files go to a folder of their own.
    """

    def planted() -> list[Question]:
        return read_questions(documented / "questions.jsonl")

    monkeypatch.setattr("workbench.models.source.embedded_folder", lambda *_: documented / "model")
    for room in ("workbench.questions", "workbench.questions.sources"):
        monkeypatch.setattr(f"{room}.builtin_questions", planted)
    monkeypatch.setattr(plotly.io.renderers, "default", "")
    monkeypatch.chdir(tmp_path)
