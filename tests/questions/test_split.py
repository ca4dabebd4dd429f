from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from workbench.errors import WorkbenchError
from workbench.questions.schema import Question
from workbench.questions.split import sample_questions, split_questions


def make(number: int, domain: str, text: str | None = None) -> Question:
    return Question(f"{domain}-{number}", text or f"What is fact {number} of {domain}?", ("x",), domain, "s", "")


SET = [make(i, domain) for domain, count in (("a", 400), ("b", 400), ("c", 30)) for i in range(count)]


def test_each_domain_gets_its_share() -> None:
    sides = split_questions(SET, 0.7, seed=0)
    share = {d: sum(sides[q.id] == "train" for q in SET if q.domain == d) / 400 for d in "ab"}
    # four standard deviations of a share of 400
    assert all(abs(value - 0.7) < 4 * (0.7 * 0.3 / 400) ** 0.5 for value in share.values())


def test_side_depends_on_text_and_seed_alone() -> None:
    sides = split_questions(SET, 0.5, seed=3)
    part = split_questions(SET[::-3], 0.5, seed=3)
    assert part == {q.id: sides[q.id] for q in SET[::-3]}
    assert split_questions(SET, 0.5, seed=4) != sides


def test_larger_share_only_adds_to_train() -> None:
    small, large = split_questions(SET, 0.3, seed=1), split_questions(SET, 0.6, seed=1)
    assert {i for i, side in small.items() if side == "train"} < {i for i, side in large.items() if side == "train"}


def test_copies_never_straddle() -> None:
    copies = [make(i, "d", f"Which  CITÉ is number {i}") for i in range(60)]
    originals = [make(i, "e", f"which cite is number {i}?") for i in range(60)]
    sides = split_questions([*copies, *originals], 0.5, seed=0)
    assert [sides[q.id] for q in copies] == [sides[q.id] for q in originals]
    assert set(sides.values()) == {"train", "test"}


@pytest.mark.parametrize("fraction", [0.0, 1.0, -1.0, 70])
def test_bad_share(fraction: float) -> None:
    with pytest.raises(WorkbenchError, match="train_fraction"):
        split_questions(SET, fraction, seed=0)


def test_repeated_ids_and_empty_side() -> None:
    with pytest.raises(WorkbenchError, match="same id"):
        split_questions([SET[0], SET[0]], 0.5, seed=0)
    with pytest.raises(WorkbenchError, match="side"):
        split_questions(SET[:1], 0.5, seed=0)


def test_sample_is_even_while_supply_lasts() -> None:
    assert Counter(q.domain for q in sample_questions(SET, 60, seed=0)) == {"a": 20, "b": 20, "c": 20}
    assert Counter(q.domain for q in sample_questions(SET, 230, seed=0)) == {"a": 100, "b": 100, "c": 30}
    assert sorted(Counter(q.domain for q in sample_questions(SET, 31, seed=0)).values()) == [10, 10, 11]


def test_sample_limits() -> None:
    assert sample_questions(SET, None, seed=0) == SET
    assert sample_questions(SET, len(SET) + 1, seed=0) == SET
    with pytest.raises(WorkbenchError, match="limit"):
        sample_questions(SET, 0, seed=0)


@settings(max_examples=20, deadline=None)
@given(st.integers(1, 829), st.integers(0, 5))
def test_sample_is_deterministic_ordered_and_nested(limit: int, seed: int) -> None:
    sample = sample_questions(SET, limit, seed)
    assert len(sample) == limit
    drawn = {question.id for question in sample}
    assert [q.id for q in sample] == [q.id for q in SET if q.id in drawn]
    assert drawn == {q.id for q in sample_questions(SET[::-1], limit, seed)}
    assert drawn < {q.id for q in sample_questions(SET, limit + 1, seed)}
