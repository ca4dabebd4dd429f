from __future__ import annotations

import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from workbench.errors import WorkbenchError
from workbench.questions import grade
from workbench.questions.hub import HUB_SETS, hub_questions

# Question, answers, options of each set's two rows, read off published.yaml by hand.
EXPECTED: dict[str, list[tuple[str, tuple[str, ...], int]]] = {
    "triviaqa": [
        ("Which planet has the most rings?", ("Saturn", "The planet Saturn"), 0),
        ("How many legs has a spider?", ("8", "eight"), 0),
    ],
    "nq_open": [
        ("who keeps bees", ("a beekeeper", "an apiarist"), 0),
        ("where does the sun rise", ("in the east",), 0),
    ],
    "popqa": [
        ("What is Ann Example's occupation?", ("baker", "bread maker"), 0),
        ("What is Bob Example's occupation?", ("miller",), 0),
    ],
    "gsm8k": [
        ("Two boxes hold 600 pins each. How many pins?", ("1,200",), 0),
        ("Ten less than seven?", ("-3",), 0),
    ],
    "arc_challenge": [("What melts ice?", ("B",), 3), ("What floats?", ("A",), 2)],
    "mmlu": [("1 + 1 =", ("B",), 4), ("Bees make", ("D",), 4)],
    "mmlu_pro": [("Which one is a prime?", ("E",), 5), ("Which one is an acid?", ("A",), 3)],
    "commonsense_qa": [
        ("Where do you keep milk?", ("C",), 5),
        ("What do you do with a hat?", ("A",), 5),
    ],
    "openbookqa": [("A dog is", ("B",), 2), ("Snow is", ("C",), 3)],
    "qasc": [("What burns?", ("H",), 8), ("What rusts?", ("H",), 8)],
    "riddle_sense": [
        ("I have hands and cannot clap. What am I?", ("D",), 5),
        ("I have teeth and cannot bite. What am I?", ("A",), 5),
    ],
    "truthfulqa": [
        ("Do carrots let you see in the dark?", ("A",), 2),
        ("Does gum stay in you for seven years?", ("A",), 3),
    ],
    "selfaware": [("Who bakes bread?", ("baker",), 0), ("What is time for?", (), 0)],
    "medqa": [
        ("Which vitamin is missing in scurvy?", ("C",), 4),
        ("Which organ pumps blood?", ("B",), 4),
    ],
    "metamedqa": [
        ("Which bone is in the arm?", ("B",), 5),
        ("What does the glianex do?", ("F",), 6),
    ],
    "legalbench": [
        ("May one be a citizen of Utopia by birth?", ("A",), 2),
        ("May one be a citizen of Utopia by purchase?", ("B",), 2),
    ],
}


def test_every_row_of_the_table_has_a_fixture(published: dict[str, Any]) -> None:
    assert set(HUB_SETS) == set(EXPECTED) == set(published)


@pytest.mark.parametrize("name", sorted(EXPECTED))
def test_a_set_with_its_published_columns_is_read(name: str, mirror: Path, tmp_path: Path) -> None:
    row = HUB_SETS[name]
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        questions = hub_questions(row, mirror=mirror, cache=tmp_path)
    assert [(q.text, q.answers, len(q.options)) for q in questions] == EXPECTED[name]
    assert {q.kind for q in questions} == {row.kind}
    assert {(q.source, q.licence) for q in questions} == {(f"{row.hub}:{row.split}", row.licence)}
    assert len({q.id for q in questions}) == 2
    assert all(grade(answer, q) for q in questions for answer in q.answers)


def test_ids_domains_and_unanswerable_questions_are_those_published(
    mirror: Path, tmp_path: Path
) -> None:
    def read(name: str) -> list[Any]:
        return hub_questions(HUB_SETS[name], mirror=mirror, cache=tmp_path)

    assert [q.id for q in read("arc_challenge")] == [
        "arc_challenge-test-M_1",
        "arc_challenge-test-M_2",
    ]
    assert [q.id for q in read("nq_open")] == ["nq_open-validation-0", "nq_open-validation-1"]
    assert [q.domain for q in read("mmlu")] == ["elementary_sums", "insects"]
    assert [q.domain for q in read("popqa")] == ["occupation", "occupation"]
    assert [q.answerable for q in read("selfaware")] == [True, False]
    assert read("metamedqa")[1].options == ("a", "b", "c", "d", "e", "none of these")
    assert read("legalbench")[0].options == ("Yes", "No")


def test_another_split_can_be_asked_for(
    tmp_path: Path, repository: Callable[..., Path], published: dict[str, Any]
) -> None:
    rows = published["gsm8k"].rows
    repository(tmp_path, "gsm8k", {"train": rows[1:], "test": rows[:1]})
    (one,) = hub_questions(HUB_SETS["gsm8k"], "train", tmp_path, tmp_path / "cache")
    assert (one.id, one.answers) == ("gsm8k-train-0", ("-3",))
    with pytest.raises(WorkbenchError, match=r"Cannot load gsm8k \(openai/gsm8k, split 'dev'\)"):
        hub_questions(HUB_SETS["gsm8k"], "dev", tmp_path, tmp_path / "cache")


def test_a_few_rows_that_are_no_questions_are_left_out_and_counted(
    tmp_path: Path, repository: Callable[..., Path], published: dict[str, Any]
) -> None:
    good = published["commonsense_qa"].rows[0]
    rows = [{**good, "id": f"c{i}"} for i in range(20)]
    rows[7] = {**good, "id": "c7", "answerKey": ""}
    rows[9] = {**good, "id": "c3"}
    repository(tmp_path, "commonsense_qa", {"validation": rows})
    with pytest.warns(
        UserWarning,
        match=r"2 of 20 rows of commonsense_qa \(validation\) are no questions, .* row 7: ",
    ):
        questions = hub_questions(
            HUB_SETS["commonsense_qa"], mirror=tmp_path, cache=tmp_path / "cache"
        )
    assert [q.id[-2:].strip("-") for q in questions][:4] == ["c0", "c1", "c2", "c3"]
    assert len(questions) == 18


def test_a_split_without_answers_is_refused(
    tmp_path: Path, repository: Callable[..., Path], published: dict[str, Any]
) -> None:
    rows = [{**row, "answerKey": ""} for row in published["qasc"].rows]
    repository(tmp_path, "qasc", {"test": rows})
    with pytest.raises(
        WorkbenchError, match=r"2 of 2 rows of qasc \(test\) .* '' occurs 0 times .* qasc:train"
    ):
        hub_questions(HUB_SETS["qasc"], "test", tmp_path, tmp_path / "cache")


def test_a_changed_layout_names_the_missing_column(
    tmp_path: Path, repository: Callable[..., Path], published: dict[str, Any]
) -> None:
    rows = [
        {key: value for key, value in row.items() if key != "answer_idx"}
        for row in published["medqa"].rows
    ]
    repository(tmp_path, "medqa", {"test": rows})
    with pytest.raises(
        WorkbenchError, match=r"has no column 'answer_idx' \(it has: question, answer, options"
    ):
        hub_questions(HUB_SETS["medqa"], mirror=tmp_path, cache=tmp_path / "cache")


def test_a_missing_mirror_says_how_to_fill_it(tmp_path: Path) -> None:
    wanted = r"hf download INK-USC/riddle_sense --repo-type dataset --revision refs/convert/parquet --local-dir FOLDER/"
    with pytest.raises(WorkbenchError, match=wanted):
        hub_questions(HUB_SETS["riddle_sense"], mirror=tmp_path)


def test_without_a_network_the_error_says_how_to_mend_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import datasets
    import huggingface_hub.constants

    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(datasets.config, "HF_HUB_OFFLINE", True)
    with pytest.raises(
        WorkbenchError,
        match=r"Cannot reach the hub for openai/gsm8k: connect .* questions.mirror=FOLDER",
    ):
        hub_questions(HUB_SETS["gsm8k"], cache=tmp_path)


def test_code_in_a_repository_is_not_run(tmp_path: Path, repository: Callable[..., Path]) -> None:
    place = repository(tmp_path, "gsm8k")
    (place / "gsm8k.py").write_text("raise SystemExit('code of a data set was run')\n")
    with pytest.raises(WorkbenchError, match="scripts are no longer supported"):
        hub_questions(HUB_SETS["gsm8k"], mirror=tmp_path, cache=tmp_path / "cache")
