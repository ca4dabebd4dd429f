"""Cells come coarse to fine, each once, and agreement is measured on the true ones."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

from workbench.live.grid import (
    MOST_TOGETHER,
    coarse_to_fine,
    differing,
    grid_lines,
    rank_agreement,
)
from workbench.live.lines import plain
from workbench.live.requests import read_view
from workbench.live.session import Session, align, open_pair

READ = {"kind": "texts", "first": "1", "second": "2"}


@pytest.mark.parametrize("count", [1, 2, 4, 12, 30, 61])
def test_every_layer_comes_once_and_the_ends_come_first(count: int) -> None:
    groups = coarse_to_fine(count)
    flat = [layer for group in groups for layer in group]
    assert sorted(flat) == list(range(count))
    assert {0, count - 1} <= {*groups[0], *groups[min(1, len(groups) - 1)]}
    assert max(map(len, groups)) <= MOST_TOGETHER


def test_layers_of_thirty() -> None:
    assert coarse_to_fine(30)[:3] == [
        [0, 8, 16, 24, 29],
        [4, 12, 20, 28],
        [2, 6, 10, 14, 18, 22, 26],
    ]


def test_agreement_is_of_the_cells_that_are_true() -> None:
    estimate, every = np.array([[1.0, 2.0], [3.0, 4.0]]), np.ones((2, 2), dtype=bool)
    assert np.isnan(rank_agreement(estimate, np.array([[1.0, 2.0], [np.nan, np.nan]]), every))
    true = np.array([[1.0, 5.0], [9.0, np.nan]])
    assert rank_agreement(estimate, true, every) == pytest.approx(1)
    assert rank_agreement(estimate, np.array([[4.0, 3.0], [2.0, 1.0]]), every) == pytest.approx(-1)


def test_tokens_before_the_texts_part_do_not_count() -> None:
    """Zeros on both sides rank first or last together, which is no agreement of estimates."""
    estimate = np.array([[0.0, 3.0], [0.0, 2.0], [0.0, 1.0]])
    true = np.array([[0.0, 1.0], [0.0, 2.0], [0.0, 3.0]])
    apart = np.array([[False, True]] * 3)
    assert rank_agreement(estimate, true, np.ones((3, 2), dtype=bool)) > 0
    assert rank_agreement(estimate, true, apart) == pytest.approx(-1)


def test_cells_count_from_where_the_runs_differ(
    session: Session, run_session: Session, pair: dict[str, Any], asked: dict[str, Any]
) -> None:
    request = {"view": "grid", "pair": pair, "read": READ, "positions": [3, 8, 9, 11]}
    view = read_view(json.dumps(request).encode())
    opened = open_pair(session, view.pair)
    rows = opened.base_tokens.rows[0], opened.donor_tokens.rows[0]
    parted = next(at for at in range(len(rows[0])) if rows[0][at] != rows[1][at])
    assert opened.parted == parted
    assert 3 < parted < 11
    *cells, _ = [line for line in grid_lines(session, view, opened) if line["kind"] != "estimate"]
    counted = np.array(cells[-1]["counted"])
    assert counted.shape == (4, 4)
    assert counted[0].tolist() == [at >= parted for at in (3, 8, 9, 11)]
    true = np.concatenate([np.array(line["values"]) for line in cells])
    assert np.abs(true[:, ~counted[0]]).max(initial=0) < 1e-5
    assert np.abs(true[:, counted[0]]).max() > 1e-3

    length = len(run_session.conversations[3].tokens)
    request |= {"pair": asked, "read": {"kind": "scale", "format": None}}
    request |= {"positions": [2, length - 1]}
    view = read_view(json.dumps(request).encode())
    opened = open_pair(run_session, view.pair)
    assert run_session.tuned is not None
    assert opened.parted == length - (run_session.tuned.invocation_length or length)
    given = {"at": opened.places([2, length - 1])}
    found = differing(run_session, view, opened, given, (4, 2))
    assert found.tolist() == [[False, True]] * 4


def test_texts_of_other_lengths_are_aligned_at_both_ends() -> None:
    assert align([1, 2, 9, 4], [1, 2, 8, 4]) == (0, 1, 2, 3)
    assert align([1, 2, 9, 4, 5], [1, 2, 7, 8, 4, 5]) == (0, 1, 3, 4, 5)
    assert align([1, 2, 7, 8, 4, 5], [1, 2, 9, 4, 5]) == (0, 1, None, 2, 3, 4)


def test_numbers_that_json_lacks_become_null() -> None:
    found = plain({"a": np.array([1.0, np.nan]), "b": (np.float32(0.5), float("inf"), "x", None)})
    assert found == {"a": [1.0, None], "b": [0.5, None, "x", None]}
