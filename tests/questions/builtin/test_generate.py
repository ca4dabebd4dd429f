from __future__ import annotations

import re
from collections import Counter

import pytest

from workbench.questions import Question, builtin_questions, contains_alias, grade, question_key
from workbench.questions.builtin.generate import FACTS, LADDER, SEED, build, read_table

QUESTIONS = builtin_questions()
BY_TEXT = {question.text: question for question in QUESTIONS}


def test_committed_file_is_what_the_script_makes() -> None:
    assert build(SEED) == QUESTIONS


def test_another_seed_draws_other_questions() -> None:
    assert build(SEED + 1) != QUESTIONS


def test_size_and_domains() -> None:
    counts = Counter(question.domain for question in QUESTIONS)
    assert len(QUESTIONS) >= 1500
    assert len(counts) >= 5
    assert min(counts.values()) >= 150


def test_rows_are_short_distinct_and_attributed() -> None:
    assert all(len(q.text) <= 200 and len(q.text.split()) <= 25 for q in QUESTIONS)
    assert len({question_key(q.text) for q in QUESTIONS}) == len(QUESTIONS)
    assert len({q.id for q in QUESTIONS}) == len(QUESTIONS)
    assert all(q.source and q.licence for q in QUESTIONS)


def test_every_answer_is_right_and_no_copy_or_refusal_is() -> None:
    for question in QUESTIONS:
        assert all(grade(answer, question) for answer in question.answers)
        assert not grade(question.text, question)
        assert not grade("I don't know.", question)


def test_no_question_outside_the_option_lists_holds_its_answer() -> None:
    given_away = [
        q
        for q in QUESTIONS
        if q.kind == "open" and any(contains_alias(q.text, a) for a in q.answers)
    ]
    assert {q.domain for q in given_away} == {"animals"}


def test_arithmetic_is_right() -> None:
    signs = {"+": "+", "-": "-", "times": "*", "divided by": "/"}
    for question in (q for q in QUESTIONS if q.domain == "arithmetic"):
        found = re.fullmatch(r"What is (\d+) (\+|-|times|divided by) (\d+)\?", question.text)
        assert found is not None
        assert eval(f"{found[1]} {signs[found[2]]} {found[3]}") == int(question.answers[0])
    assert sum(q.domain == "arithmetic" for q in QUESTIONS) == sum(count for count, *_ in LADDER)


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ("What is the name of the capital city of France?", "Paris"),
        ("What is the name of the capital city of the United States?", "Washington, D.C."),
        ("What is the name of the capital city of Ukraine?", "Kiev"),
        ("What is the name of the capital city of South Africa?", "Cape Town"),
        ("Which continent is Japan part of?", "Asia"),
        ("Which continent is Fiji part of?", "Oceania"),
        ("What is the chemical symbol of gold?", "Au"),
        ("What is the chemical symbol of tungsten?", "W"),
        ("What is the atomic number of oxygen?", "8"),
    ],
)
def test_well_known_facts(text: str, answer: str) -> None:
    assert grade(answer, BY_TEXT[text])


@pytest.mark.parametrize(
    "text",
    [
        "capital city of Bolivia",
        "capital city of Israel",
        "continent is Russia",
        "continent is Türkiye",
    ],
)
def test_questions_with_two_answers_are_left_out(text: str) -> None:
    assert not any(text in question.text for question in QUESTIONS)


@pytest.mark.parametrize(
    "country", ["Guinea", "Sudan", "Ireland", "Republic of the Congo", "Virginia", "Washington"]
)
def test_names_inside_other_names_are_not_answers(country: str) -> None:
    assert not any(country in q.answers for q in QUESTIONS if q.domain in ("cities", "us_states"))


def test_every_table_names_source_and_licence() -> None:
    for path in FACTS.glob("*.tsv"):
        origins, rows = read_table(path.stem)
        assert origins
        assert all(source and licence for source, licence in origins)
        assert len({len(row) for row in rows}) == 1


@pytest.mark.parametrize(
    ("domain", "licence"),
    [
        ("capitals", "ODbL-1.0 AND CC-BY-4.0"),
        ("cities", "CC-BY-4.0 AND ODbL-1.0"),
        ("arithmetic", "CC0-1.0"),
    ],
)
def test_licence_of_every_table_used(domain: str, licence: str) -> None:
    assert {q.licence for q in QUESTIONS if q.domain == domain} == {licence}


def test_reading_gives_question_objects() -> None:
    assert all(isinstance(question, Question) for question in QUESTIONS)
