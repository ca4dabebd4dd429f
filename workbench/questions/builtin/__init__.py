"""Hold the built-in question set: openly licensed facts in seven domains of graded difficulty; see
``README.md`` in this folder.
"""

from __future__ import annotations

from importlib.resources import as_file, files

from workbench.questions.files import read_questions
from workbench.questions.schema import Question

__all__ = ["builtin_questions"]


def builtin_questions() -> list[Question]:
    """Return every built-in question, in the order of the file."""
    with as_file(files(__package__) / "questions.jsonl") as path:
        return read_questions(path)
