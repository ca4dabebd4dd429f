"""A tiny model and planted questions in place of the default model and the built-in questions, for
a process of its own such as a notebook's.
"""

from __future__ import annotations

from pathlib import Path

from tests.support.runs import planted_questions, save_number_writer
from tests.support.tiny_models import build_tokenizer
from workbench.api.examples import NAMES, capital_pairs
from workbench.loading import load_model
from workbench.questions import Question, read_questions, write_questions

VOCABULARY = 1024  # every beginning of a word is a token too
TOUR = ("ĠParis", "ĠRome", "ĠFrance", "ĠItaly")
PAIRS = 24
"""Of two capitals, which are one token each in the tiny tokenizer."""


def save_tiny_default(folder: Path) -> None:
    """Write the model and its questions into ``folder``. Names of people and some capitals are one
    token each.
    """
    answers = {answer for pair in capital_pairs(PAIRS).read for answer in pair}  # type: ignore[union-attr]
    words = [*(f"Ġ{name}" for name in NAMES), *(f"Ġ{answer.strip()}" for answer in sorted(answers))]
    save_number_writer(folder / "model", vocab_size=VOCABULARY)
    build_tokenizer("digits", dict.fromkeys([*words, *TOUR])).save_pretrained(folder / "model")
    lm = load_model(str(folder / "model"), device="cpu")
    write_questions(folder / "questions.jsonl", planted_questions(lm))


def use_tiny_default(folder: Path) -> None:
    """Put them in place of the default model and the built-in questions in this process."""
    import workbench.models.source
    import workbench.questions
    import workbench.questions.sources

    def planted() -> list[Question]:
        return read_questions(folder / "questions.jsonl")

    workbench.models.source.embedded_folder = lambda *_: folder / "model"
    for room in (workbench.questions, workbench.questions.sources):
        room.builtin_questions = planted  # type: ignore[assignment]
