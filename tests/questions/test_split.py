from __future__ import annotations

import hashlib
from collections import Counter
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from workbench.errors import WorkbenchError
from workbench.questions.schema import Question
from workbench.questions.split import check_disjoint, sample_questions, side_of, split_questions


def make(number: int, domain: str, text: str | None = None) -> Question:
    return Question(
        f"{domain}-{number}", text or f"What is fact {number} of {domain}?", ("x",), domain, "s", ""
    )


SET = [
    make(i, domain) for domain, count in (("a", 400), ("b", 400), ("c", 30)) for i in range(count)
]


def test_each_domain_gets_its_share() -> None:
    sides = split_questions(SET, 0.7)
    share = {d: sum(sides[q.id] == "train" for q in SET if q.domain == d) / 400 for d in "ab"}
    # four standard deviations of a share of 400
    assert all(abs(value - 0.7) < 4 * (0.7 * 0.3 / 400) ** 0.5 for value in share.values())


def test_side_depends_on_the_text_alone() -> None:
    sides = split_questions(SET, 0.5)
    part = split_questions(SET[::-3], 0.5)
    assert part == {q.id: sides[q.id] for q in SET[::-3]}
    elsewhere = [
        Question(f"other-{i}", q.text.upper(), ("y",), "z", "t", "") for i, q in enumerate(SET)
    ]
    assert list(split_questions(elsewhere, 0.5).values()) == list(sides.values())


def test_sides_are_fixed_for_all_time() -> None:
    """First six bytes of SHA-256("split:0:who") are 8c 0e 2a 2e 71 97: 0.547 of the way."""
    place = int.from_bytes(hashlib.sha256(b"split:0:who").digest()[:6], "big") / 2**48
    assert side_of("Who?", place + 1e-9) == "train"
    assert side_of("Who?", place - 1e-9) == "test"
    assert side_of("WHO", place / 2, place / 2 + 1e-9) == "validation"


def test_larger_shares_take_nothing_from_training() -> None:
    small, large = split_questions(SET, 0.3), split_questions(SET, 0.6)
    assert {i for i, side in small.items() if side == "train"} < {
        i for i, side in large.items() if side == "train"
    }
    three = split_questions(SET, 0.3, 0.2)
    assert {i for i, side in three.items() if side == "train"} == {
        i for i, side in small.items() if side == "train"
    }
    counts = Counter(three.values())
    # four standard deviations of a share of 830
    assert all(
        abs(counts[side] / 830 - share) < 4 * (0.25 / 830) ** 0.5
        for side, share in (("train", 0.3), ("validation", 0.2), ("test", 0.5))
    )


def test_copies_never_straddle() -> None:
    copies = [make(i, "d", f"Which  CITÉ is number {i}") for i in range(60)]
    originals = [make(i, "e", f"which cite is number {i}?") for i in range(60)]
    sides = split_questions([*copies, *originals], 0.5)
    assert [sides[q.id] for q in copies] == [sides[q.id] for q in originals]
    assert set(sides.values()) == {"train", "test"}


def test_both_variants_of_an_item_fall_on_one_side() -> None:
    choices = [
        replace(q, id=f"c-{q.id}", kind="choice", answers=("A",), options=("x", "y")) for q in SET
    ]
    sides = split_questions([*SET, *choices], 0.5)
    assert all(sides[q.id] == sides[f"c-{q.id}"] for q in SET)


def test_split_sets_are_disjoint_and_a_shared_question_is_named() -> None:
    sides = split_questions(SET, 0.4, 0.2)
    parts = {side: [q for q in SET if sides[q.id] == side] for side in set(sides.values())}
    check_disjoint(parts)
    twin = Question("elsewhere-1", f"{SET[0].text.upper()}!", ("y",), "z", "other set", "")
    with pytest.raises(
        WorkbenchError,
        match=r"WHAT IS FACT 0 OF A\?!' is in train \(id 'a-0'\) and in held out \(id 'els",
    ):
        check_disjoint({"train": SET, "held out": [twin]})
    check_disjoint({"train": [*SET, *SET], "held out": SET[:0]})


@pytest.mark.parametrize("fraction", [0.0, 1.0, -1.0, 70])
def test_bad_share(fraction: float) -> None:
    with pytest.raises(WorkbenchError, match="train_fraction"):
        split_questions(SET, fraction)
    with pytest.raises(WorkbenchError, match="validation_fraction"):
        split_questions(SET, 0.5, fraction or 0.5)


def test_repeated_ids_and_empty_side() -> None:
    with pytest.raises(WorkbenchError, match="same id"):
        split_questions([SET[0], SET[0]], 0.5)
    with pytest.raises(WorkbenchError, match="side"):
        split_questions(SET[:1], 0.5)
    with pytest.raises(WorkbenchError, match="validation side"):
        split_questions(SET[:40], 0.5, 1e-6)


def test_sample_is_even_while_supply_lasts() -> None:
    assert Counter(q.domain for q in sample_questions(SET, 60, seed=0)) == {
        "a": 20,
        "b": 20,
        "c": 20,
    }
    assert Counter(q.domain for q in sample_questions(SET, 230, seed=0)) == {
        "a": 100,
        "b": 100,
        "c": 30,
    }
    assert sorted(Counter(q.domain for q in sample_questions(SET, 31, seed=0)).values()) == [
        10,
        10,
        11,
    ]


def test_sample_limits() -> None:
    assert sample_questions(SET, None, seed=0) == SET
    assert sample_questions(SET, len(SET) + 1, seed=0) == SET
    with pytest.raises(WorkbenchError, match="limit"):
        sample_questions(SET, 0, seed=0)
    with pytest.raises(WorkbenchError, match=r"questions\.skip"):
        sample_questions(SET, 5, seed=0, skip=len(SET))


@pytest.mark.parametrize("limit", [40, None])
def test_skipping_draws_what_the_shorter_draw_leaves(limit: int | None) -> None:
    first = {q.id for q in sample_questions(SET, 50, seed=0)}
    others = [q.id for q in sample_questions(SET, limit, seed=0, skip=50)]
    both = {q.id for q in sample_questions(SET, None if limit is None else 90, seed=0)}
    assert set(others) == both - first
    assert others == [q.id for q in SET if q.id in others]


@settings(max_examples=20, deadline=None)
@given(st.integers(1, 829), st.integers(0, 5))
def test_sample_is_deterministic_ordered_and_nested(limit: int, seed: int) -> None:
    sample = sample_questions(SET, limit, seed)
    assert len(sample) == limit
    drawn = {question.id for question in sample}
    assert [q.id for q in sample] == [q.id for q in SET if q.id in drawn]
    assert drawn == {q.id for q in sample_questions(SET[::-1], limit, seed)}
    assert drawn < {q.id for q in sample_questions(SET, limit + 1, seed)}
