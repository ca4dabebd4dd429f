"""What a knockout of attention edges may name."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from workbench.errors import WorkbenchError
from workbench.trace import AttentionKnockout

QUERIES, KEYS = torch.tensor([[4, 5], [3, 3]]), torch.tensor([[0], [3]])


def test_layers_and_heads_are_kept_in_order() -> None:
    found = AttentionKnockout(QUERIES, KEYS, range(2, 0, -1), [3, 0])  # type: ignore[arg-type]
    assert (found.layers, found.heads, found.rows) == ((1, 2), (0, 3), 2)


def test_rows_are_chosen_together() -> None:
    found = AttentionKnockout(QUERIES, KEYS, (1,)).of_rows(torch.tensor([1, 1, 0]))
    assert found.queries.tolist() == [[3, 3], [3, 3], [4, 5]]
    assert found.keys.tolist() == [[3], [3], [0]]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"keys": torch.tensor([[5], [0]])}, "Token 5 comes after token 4"),
        ({"keys": torch.tensor([[0]])}, "of the same rows"),
        ({"keys": torch.tensor([0, 0])}, "of the same rows"),
        ({"queries": torch.zeros((2, 0), dtype=torch.long)}, "at least one of each"),
        ({"queries": torch.tensor([[4.0], [3.0]])}, "whole numbers"),
        ({"layers": ()}, "at least one layer"),
        ({"layers": (1, 1)}, "each of them once"),
        ({"heads": ()}, "at least one head"),
    ],
)
def test_what_cannot_be_cut_is_refused(change: dict[str, Any], words: str) -> None:
    with pytest.raises(WorkbenchError, match=words):
        AttentionKnockout(**{"queries": QUERIES, "keys": KEYS, "layers": (0,), **change})
