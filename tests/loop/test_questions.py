from __future__ import annotations

import os
from dataclasses import replace

import pytest

import workbench.loop.questions
from workbench.loop.questions import load_questions
from workbench.loop.run import Run


def test_questions_are_parsed_once_and_again_when_their_file_changes(
    writable: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[object] = []
    inner = workbench.loop.questions._parse_questions

    def parse(*given: object) -> object:
        calls.append(given)
        return inner(*given)  # type: ignore[arg-type]

    monkeypatch.setattr(workbench.loop.questions, "_parse_questions", parse)
    fresh = replace(writable, parsed_questions={})
    table, questions = load_questions(fresh)
    again, same = load_questions(fresh)
    assert len(calls) == 1
    assert again.equals(table)
    assert same == questions
    path = fresh.stage("questions").folder / "questions.parquet"
    os.utime(path, ns=(1, 1))
    load_questions(fresh)
    assert len(calls) == 2


def test_what_a_caller_does_to_its_table_no_other_caller_sees(context: Run) -> None:
    table, questions = load_questions(context)
    table["split"] = "nowhere"
    questions.clear()
    again, more = load_questions(context)
    assert "nowhere" not in set(again["split"])
    assert len(more) == len(again)
