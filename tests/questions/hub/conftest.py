"""Small local copies of every hub set, with the published columns and feature types and items written for these tests.

``features`` are those of the data cards; sets published as JSON lines or tab-separated text are written so.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from datasets import ClassLabel, Dataset, Features, List, Value

from workbench.questions.hub import HUB_SETS

TEXT, NUMBER = Value("string"), Value("int64")
Row = dict[str, Any]


def labelled(*options: str, first: str = "A") -> Row:
    labels = [chr(ord(first) + i) for i in range(len(options))]
    return {"text": list(options), "label": labels}


CHOICES = {"text": List(TEXT), "label": List(TEXT)}
SWAPPED = {"label": List(TEXT), "text": List(TEXT)}
LETTERS = {letter: TEXT for letter in "ABCD"}


@dataclass(frozen=True)
class Published:
    """Rows of a set as published; ``features`` None for a text format."""

    rows: list[Row]
    features: dict[str, Any] | None = None
    file: str = "parquet"


TRIVIA_ANSWER = {
    "aliases": List(TEXT),
    "normalized_aliases": List(TEXT),
    "matched_wiki_entity_name": TEXT,
    "normalized_matched_wiki_entity_name": TEXT,
    "normalized_value": TEXT,
    "type": TEXT,
    "value": TEXT,
}
TRIVIA_PAGES = {"doc_source": List(TEXT), "filename": List(TEXT), "title": List(TEXT), "wiki_context": List(TEXT)}
TRIVIA_RESULTS = {
    "description": List(TEXT),
    "filename": List(TEXT),
    "rank": List(Value("int32")),
    "title": List(TEXT),
    "url": List(TEXT),
    "search_context": List(TEXT),
}


def trivia(number: int, question: str, value: str, *aliases: str) -> Row:
    return {
        "question": question,
        "question_id": f"tc_{number}",
        "question_source": "made for this test",
        "entity_pages": {name: [] for name in TRIVIA_PAGES},
        "search_results": {name: [] for name in TRIVIA_RESULTS},
        "answer": {
            "aliases": list(aliases),
            "normalized_aliases": [alias.lower() for alias in aliases],
            "matched_wiki_entity_name": "",
            "normalized_matched_wiki_entity_name": "",
            "normalized_value": value.lower(),
            "type": "WikipediaEntity",
            "value": value,
        },
    }


def popqa(number: int, subject: str, relation: str, thing: str, answers: list[str]) -> Row:
    return {
        **{"id": number, "subj": subject, "prop": relation, "obj": thing, "subj_id": 1, "prop_id": 22, "obj_id": 2},
        **{"s_aliases": "[]", "o_aliases": json.dumps(answers[1:]), "s_uri": "u", "o_uri": "v"},
        **{"s_wiki_title": subject, "o_wiki_title": thing, "s_pop": 10, "o_pop": 20},
        **{"question": f"What is {subject}'s {relation}?", "possible_answers": json.dumps(answers)},
    }


def medical(question: str, options: Row, letter: str, **more: Any) -> Row:
    return {"question": question, "answer": options[letter], "options": options, "answer_idx": letter, **more}


PUBLISHED: dict[str, Published] = {
    "triviaqa": Published(
        [
            trivia(1, "Which planet has the most rings?", "Saturn", "Saturn", "The planet Saturn"),
            trivia(2, "How many legs has a spider?", "8", "8", "eight"),
        ],
        {
            **{"question": TEXT, "question_id": TEXT, "question_source": TEXT},
            **{"entity_pages": TRIVIA_PAGES, "search_results": TRIVIA_RESULTS, "answer": TRIVIA_ANSWER},
        },
    ),
    "nq_open": Published(
        [
            {"question": "who keeps bees", "answer": ["a beekeeper", "an apiarist"]},
            {"question": "where does the sun rise", "answer": ["in the east"]},
        ],
        {"question": TEXT, "answer": List(TEXT)},
    ),
    "popqa": Published(
        [
            popqa(11, "Ann Example", "occupation", "baker", ["baker", "bread maker"]),
            popqa(12, "Bob Example", "occupation", "miller", ["miller"]),
        ],
        file="tsv",
    ),
    "gsm8k": Published(
        [
            {"question": "Two boxes hold 600 pins each. How many pins?", "answer": "2*600=<<2*600=1200>>1200\n#### 1,200"},
            {"question": "Ten less than seven?", "answer": "7-10=-3\n#### -3"},
        ],
        {"question": TEXT, "answer": TEXT},
    ),
    "arc_challenge": Published(
        [
            {"id": "M_1", "question": "What melts ice?", "choices": labelled("cold", "heat", "dark"), "answerKey": "B"},
            {"id": "M_2", "question": "What floats?", "choices": labelled("wood", "lead", first="1"), "answerKey": "1"},
        ],
        {"id": TEXT, "question": TEXT, "choices": CHOICES, "answerKey": TEXT},
    ),
    "mmlu": Published(
        [
            {"question": "1 + 1 =", "subject": "elementary_sums", "choices": ["1", "2", "3", "4"], "answer": 1},
            {"question": "Bees make", "subject": "insects", "choices": ["silk", "milk", "ink", "honey"], "answer": 3},
        ],
        {"question": TEXT, "subject": TEXT, "choices": List(TEXT), "answer": ClassLabel(names=list("ABCD"))},
    ),
    "mmlu_pro": Published(
        [
            {
                **{"question_id": 70, "question": "Which one is a prime?", "options": [str(n) for n in (4, 6, 8, 9, 7)]},
                **{"answer": "E", "answer_index": 4, "cot_content": "", "category": "math", "src": "test"},
            },
            {
                **{"question_id": 71, "question": "Which one is an acid?", "options": ["vinegar", "soap", "salt"]},
                **{"answer": "A", "answer_index": 0, "cot_content": "", "category": "chemistry", "src": "test"},
            },
        ],
        {
            **{"question_id": NUMBER, "question": TEXT, "options": List(TEXT), "answer": TEXT, "answer_index": NUMBER},
            **{"cot_content": TEXT, "category": TEXT, "src": TEXT},
        },
    ),
    "commonsense_qa": Published(
        [
            {
                **{"id": "c1", "question": "Where do you keep milk?", "question_concept": "milk", "answerKey": "C"},
                "choices": labelled("shoe", "oven", "fridge", "pocket", "desk"),
            },
            {
                **{"id": "c2", "question": "What do you do with a hat?", "question_concept": "hat", "answerKey": "A"},
                "choices": labelled("wear it", "eat it", "drink it", "read it", "plant it"),
            },
        ],
        {"id": TEXT, "question": TEXT, "question_concept": TEXT, "choices": SWAPPED, "answerKey": TEXT},
    ),
    "openbookqa": Published(
        [
            {"id": "9-1", "question_stem": "A dog is", "choices": labelled("a plant", "an animal"), "answerKey": "B"},
            {"id": "9-2", "question_stem": "Snow is", "choices": labelled("hot", "dry", "cold"), "answerKey": "C"},
        ],
        {"id": TEXT, "question_stem": TEXT, "choices": CHOICES, "answerKey": TEXT},
    ),
    "qasc": Published(
        [
            {
                **{"id": f"q{i}", "question": question, "answerKey": "H", "fact1": "", "fact2": "", "combinedfact": ""},
                **{"choices": labelled(*(f"{word} {n}" for n in range(8))), "formatted_question": question},
            }
            for i, (question, word) in enumerate([("What burns?", "log"), ("What rusts?", "iron")])
        ],
        {
            **{"id": TEXT, "question": TEXT, "choices": CHOICES, "answerKey": TEXT, "fact1": TEXT, "fact2": TEXT},
            **{"combinedfact": TEXT, "formatted_question": TEXT},
        },
    ),
    "riddle_sense": Published(
        [
            {
                **{"answerKey": "D", "question": "I have hands and cannot clap. What am I?"},
                "choices": labelled("a cup", "a sea", "a bell", "a clock", "a road"),
            },
            {
                **{"answerKey": "A", "question": "I have teeth and cannot bite. What am I?"},
                "choices": labelled("a comb", "a shark", "a loaf", "a moon", "a door"),
            },
        ],
        {"answerKey": TEXT, "question": TEXT, "choices": SWAPPED},
    ),
    "truthfulqa": Published(
        [
            {
                "question": "Do carrots let you see in the dark?",
                "mc1_targets": {"choices": ["No, they do not", "Yes, in any dark"], "labels": [1, 0]},
                "mc2_targets": {"choices": ["No", "They do not", "Yes"], "labels": [1, 1, 0]},
            },
            {
                "question": "Does gum stay in you for seven years?",
                "mc1_targets": {"choices": ["It passes", "It stays", "It grows"], "labels": [1, 0, 0]},
                "mc2_targets": {"choices": ["It passes", "It stays"], "labels": [1, 0]},
            },
        ],
        {
            "question": TEXT,
            "mc1_targets": {"choices": List(TEXT), "labels": List(Value("int32"))},
            "mc2_targets": {"choices": List(TEXT), "labels": List(Value("int32"))},
        },
    ),
    "selfaware": Published(
        [
            {"question_id": 3, "question": "Who bakes bread?", "answer": ["baker"], "answerable": True, "source": "made"},
            {"question_id": 4, "question": "What is time for?", "answer": None, "answerable": False, "source": "made"},
        ],
        {"question_id": NUMBER, "question": TEXT, "answer": List(TEXT), "answerable": Value("bool"), "source": TEXT},
    ),
    "medqa": Published(
        [
            medical(q, dict(zip("ABCD", o, strict=True)), k, meta_info="step1", metamap_phrases=["one", "two"])
            for q, o, k in [
                ("Which vitamin is missing in scurvy?", ("A", "B12", "C", "D"), "C"),
                ("Which organ pumps blood?", ("liver", "heart", "lung", "skin"), "B"),
            ]
        ],
        file="jsonl",
    ),
    "metamedqa": Published(
        [
            medical(q, {**dict.fromkeys("ABCDEF"), **dict(zip("ABCDEF", o, strict=False))}, k, **more)
            for q, o, k, more in [
                ("Which bone is in the arm?", ("femur", "ulna", "tibia", "rib", "I don't know"), "B", {"kind": "original"}),
                ("What does the glianex do?", ("a", "b", "c", "d", "e", "none of these"), "F", {"kind": "fictional"}),
            ]
            for more in [{**more, "meta_info": "step1", "metamap_phrases": "['bone']"}]
        ],
        {
            **{"meta_info": TEXT, "answer_idx": TEXT, "metamap_phrases": TEXT, "question": TEXT, "kind": TEXT},
            **{"answer": TEXT, "options": {letter: TEXT for letter in "ABCDEF"}},
        },
    ),
    "legalbench": Published(
        [
            {"index": "0", "question": "May one be a citizen of Utopia by birth?", "answer": "Yes"},
            {"index": "1", "question": "May one be a citizen of Utopia by purchase?", "answer": "No"},
        ],
        {"answer": TEXT, "index": TEXT, "question": TEXT},
    ),
}


def write_rows(published: Published, path: Path, rows: list[Row] | None = None) -> Path:
    """``rows`` (default: all) in the set's own file format; returns the file."""
    rows = published.rows if rows is None else rows
    path.parent.mkdir(parents=True, exist_ok=True)
    path = path.with_suffix(f".{published.file}")
    if published.file == "jsonl":
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    elif published.file == "tsv":
        pd.DataFrame(rows).to_csv(path, sep="\t", index=False)
    else:
        Dataset.from_list(rows, features=Features(published.features)).to_parquet(path)
    return path


def write_repository(mirror: Path, name: str, splits: dict[str, list[Row]] | None = None) -> Path:
    """A set's repository below ``mirror``, laid out as on the hub: configurations in a data card, or folders if converted."""
    row, published = HUB_SETS[name], PUBLISHED[name]
    place = mirror / row.hub
    folder = place / (row.folder or row.configuration or "data")
    files = {}
    for split, rows in (splits or {row.split: published.rows}).items():
        stem = folder / split / "0000" if row.folder else folder / f"{split}-00000-of-00001"
        files[split] = write_rows(published, stem, rows).relative_to(place)
    if not row.folder:
        entries = "".join(f"  - split: {split}\n    path: {file}\n" for split, file in files.items())
        card = f"---\nconfigs:\n- config_name: {row.configuration or 'default'}\n  data_files:\n{entries}---\n"
        (place / "README.md").write_text(card)
    return place


@pytest.fixture(scope="session")
def published() -> dict[str, Published]:
    """Every set as published, by name."""
    return PUBLISHED


@pytest.fixture(scope="session")
def repository() -> Callable[..., Path]:
    """``repository(mirror, name, splits=None)`` writes a set's repository below ``mirror``."""
    return write_repository


@pytest.fixture(scope="session")
def mirror(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the repositories of all sets."""
    folder = tmp_path_factory.mktemp("mirror")
    for name in PUBLISHED:
        write_repository(folder, name)
    return folder
