from typing import Any

import numpy as np
import pytest

from workbench.report.formatting import (
    Cell,
    KeyWords,
    SummaryRow,
    readable,
    sample_table,
    summary_groups,
)


def test_bounds_join_their_value() -> None:
    groups = summary_groups(
        {
            "auroc2.stated.before": 0.5512,
            "auroc2.stated.before.low": 0.49,
            "auroc2.stated.before.high": 0.6149,
            "seconds.total": 12.34,
            "auroc2.probe": 0.9,
        }
    )
    assert groups == [
        (
            "AUROC2",
            [
                SummaryRow("auroc2.stated.before", "stated · before", "0.551", "0.490 to 0.615"),
                SummaryRow("auroc2.probe", "probe", "0.900", ""),
            ],
        ),
        ("seconds", [SummaryRow("seconds.total", "total", "12.3 s", "")]),
    ]


def test_words_name_the_group_and_the_row_of_a_key() -> None:
    summary = {"p.base": 0.5, "p.base.low": 0.4, "p.base.high": 0.6, "q.base": 1.0, "r": 2}
    words = {key: KeyWords("share", f"how much of {key[0]}") for key in ("p.base", "q.base")}
    assert summary_groups(summary, words) == [
        (
            "share",
            [
                SummaryRow("p.base", "how much of p", "0.500", "0.400 to 0.600"),
                SummaryRow("q.base", "how much of q", "1.000", ""),
            ],
        ),
        ("r", [SummaryRow("r", "r", "2", "")]),
    ]


def test_a_key_that_merely_ends_in_low_keeps_its_row() -> None:
    ((_, rows),) = summary_groups({"budget.low": 3})
    assert [row.key for row in rows] == ["budget.low"]


@pytest.mark.parametrize(
    ("key", "value", "text"),
    [
        ("memory.peak_bytes", 3_210_000_000, "3.21 GB"),
        ("memory.peak_bytes", 2_000_000, "2.0 MB"),
        ("patching.packed_vs_loop", 2.1e-5, "2.1e-05"),
        ("patching.half_layer", 13, "13"),
        ("a", 0.0, "0.000"),
        ("a", -0.25, "-0.250"),
        ("a", float("nan"), "not defined"),
        ("a", None, "not defined"),
        ("a", np.float32("nan"), "not defined"),
        ("a", np.int64(13), "13"),
        ("a", True, "yes"),
        ("scale.tier", "Invalid", "Invalid"),
        ("counts.rows", 12345, "12,345"),
    ],
)
def test_values_as_a_person_reads_them(key: str, value: Any, text: str) -> None:
    assert readable(key, value) == text


def test_sample_rows() -> None:
    heads, cells = sample_table(
        [
            {"question": "<q>", "correct": np.True_, "stated_before": 95.0},
            {"question": "r", "correct": False, "stated_before": float("nan"), "stated_after": 7},
        ]
    ) or ([], [])
    assert heads == ["question", "correct", "stated before", "stated after"]
    assert cells[0] == [
        Cell("<q>", "text"),
        Cell("right", "right"),
        Cell("95", "number"),
        Cell("–", "missing"),
    ]
    assert cells[1] == [
        Cell("r", "text"),
        Cell("wrong", "wrong"),
        Cell("–", "missing"),
        Cell("7", "number"),
    ]
    assert sample_table([]) is None


def test_a_column_of_sentences_is_one_from_top_to_bottom() -> None:
    _, cells = sample_table(
        [{"a": "short", "b": "short"}, {"a": "s" * 36, "b": "s" * 35}, {"a": None, "b": "x"}]
    ) or ([], [])
    assert [[cell.kind for cell in row] for row in cells] == [
        ["prose", "text"],
        ["prose", "text"],
        ["missing", "text"],
    ]


def test_a_column_with_a_sentence_is_prose_and_one_of_intervals_is_not() -> None:
    rows = [
        {"claim": "a", "published": "ECE on PopQA with the intervention: 0.018", "base": "0.1"},
        {"claim": "b", "published": "not known", "base": "0.123 [0.001, 0.456], n 227"},
    ]
    _, cells = sample_table(rows) or ([], [])
    assert [[cell.kind for cell in row] for row in cells] == [["text", "prose", "text"]] * 2
