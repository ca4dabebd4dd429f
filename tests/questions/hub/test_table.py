from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest

from workbench.errors import WorkbenchError
from workbench.questions.hub.readers import literal, texts
from workbench.questions.hub.table import HUB_SETS, hub_set

README = Path(__file__).parents[3] / "workbench" / "questions" / "hub" / "README.md"


def test_a_row_gives_answers_or_options() -> None:
    row = HUB_SETS["mmlu"]
    with pytest.raises(WorkbenchError, match="give either answers, or options with right"):
        replace(row, answers=texts(literal("x")))
    with pytest.raises(WorkbenchError, match="give either answers, or options with right"):
        replace(row, right=None)


def test_an_unknown_name_gets_the_nearest() -> None:
    assert hub_set("qasc").hub == "allenai/qasc"
    with pytest.raises(
        WorkbenchError, match=r"Unknown question set 'trivia_qa' \(did you mean 'triviaqa'\?\)"
    ):
        hub_set("trivia_qa")


def test_the_readme_lists_every_row_as_it_is() -> None:
    """| name | hub id | configuration | split | kind | licence |"""
    lines = [
        line for line in README.read_text(encoding="utf-8").splitlines() if re.match(r"\| `", line)
    ]
    told = [tuple(cell.strip().strip("`") for cell in line.strip("|").split("|")) for line in lines]
    assert told == [
        (
            row.name,
            row.hub,
            row.configuration or row.folder or "default",
            row.split,
            _kind(row.name),
            row.licence,
        )
        for row in HUB_SETS.values()
    ]


def _kind(name: str) -> str:
    row = HUB_SETS[name]
    return f"{row.kind}, some unanswerable" if row.answerable else row.kind
