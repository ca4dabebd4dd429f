from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from workbench.errors import WorkbenchError
from workbench.questions import builtin_questions, right_options
from workbench.questions.schema import Question
from workbench.questions.sources import in_form, questions_from, source_content

ROW = {"id": "a", "question": "Who?", "answers": ["Ann"]}


def hub_folder(mirror: Path, answers: list[str]) -> None:
    place = mirror / "openai" / "gsm8k"
    (place / "main").mkdir(parents=True)
    rows = [
        json.dumps({"question": f"How many are {i}?", "answer": f"so\n#### {a}"})
        for i, a in enumerate(answers)
    ]
    (place / "main" / "test.jsonl").write_text("\n".join(rows))
    (place / "README.md").write_text(
        "---\nconfigs:\n- config_name: main\n  data_files:\n  - split: test\n    path: "
        "main/test.jsonl\n---\n"
    )


def test_a_source_is_a_name_or_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("datasets.config.HF_DATASETS_CACHE", tmp_path / "cache")
    assert questions_from("builtin") == builtin_questions()
    file = tmp_path / "set.jsonl"
    file.write_text(json.dumps(ROW))
    assert [q.id for q in questions_from(str(file))] == ["a"]
    hub_folder(tmp_path, ["3", "4"])
    assert [q.answers for q in questions_from("gsm8k", tmp_path)] == [("3",), ("4",)]
    assert questions_from("gsm8k:test", tmp_path) == questions_from("gsm8k", tmp_path)


@pytest.mark.parametrize(
    ("source", "sentence"),
    [
        (
            "gsm9k",
            r"Unknown question set 'gsm9k' \(did you mean 'gsm8k'\?\); give a file, 'builtin' or one of arc_challenge",
        ),
        ("gsm9k:train", "Unknown question set 'gsm9k'"),
        ("absent.jsonl", "there is no such file"),
        ("folder/gsm8k", "unknown kind of file"),
    ],
)
def test_a_wrong_source_is_named(source: str, sentence: str) -> None:
    with pytest.raises(WorkbenchError, match=sentence):
        questions_from(source)


def test_content_changes_with_what_decides_the_questions(tmp_path: Path) -> None:
    file = tmp_path / "set.jsonl"
    file.write_text("1")
    before = source_content(str(file))
    file.write_text("2")
    assert source_content(str(file)) != before
    told = {
        source_content(name, mirror)
        for name in ("mmlu", "mmlu:dev", "qasc")
        for mirror in (None, tmp_path)
    }
    assert len(told) == 6
    assert source_content("mmlu:test") == source_content("mmlu")
    assert b"How" in source_content("builtin") or b"What" in source_content("builtin")
    with pytest.raises(WorkbenchError, match="absent"):
        source_content(str(tmp_path / "absent.jsonl"))


def test_forms() -> None:
    opened = [
        Question(f"o{i}", f"Who is {i}?", (name,), "d", "s", "")
        for i, name in enumerate(["Ann", "Bob", "Cid"])
    ]
    chosen = Question(
        "c",
        "Who is best?",
        ("A",),
        "d",
        "s",
        "",
        "choice",
        options=("Dan", "Eve", "Fay", "Gil", "Hal"),
    )
    needs = replace(chosen, id="n", text="Which of these is best?")
    both = [*opened, chosen]
    assert in_form(opened, "published", 3, 0) == opened
    published = in_form(both, "published", 3, 0)
    assert right_options(published[3]) == ("Dan",)
    assert {in_form(both, "published", 3, seed)[3].answers for seed in range(30)} == {
        (c,) for c in "ABCDE"
    }
    made = in_form(both, "choice", 3, 0)
    assert [len(q.options) for q in made] == [3, 3, 3, 5]
    assert made[3] == published[3]
    assert [q.answers for q in in_form(both, "open", 3, 0)] == [
        ("Ann",),
        ("Bob",),
        ("Cid",),
        ("Dan",),
    ]
    with pytest.warns(UserWarning, match="1 of 5 questions cannot be asked without their options"):
        assert len(in_form([*both, needs], "open", 3, 0)) == 4
    with pytest.raises(
        WorkbenchError, match="None of the questions can be asked without its options"
    ):
        in_form([needs], "open", 3, 0)
