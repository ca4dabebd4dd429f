from __future__ import annotations

import pytest
import torch

from workbench.errors import WorkbenchError
from workbench.models import LanguageModel
from workbench.trace.heads import HeadShard, head_shard


def test_one_process_has_all_heads(tiny_lm: LanguageModel) -> None:
    shard = head_shard(tiny_lm)
    assert (shard.size, shard.first, shard.count, shard.group) == (8, 0, 4, None)


def test_heads_are_consecutive_slices() -> None:
    hidden = torch.arange(6.0).reshape(1, 1, 6)
    assert HeadShard(2, 0, 3).split(hidden)[0, 0].tolist() == [[0, 1], [2, 3], [4, 5]]
    with pytest.raises(WorkbenchError, match="reads 6 numbers a token where 2 heads of 2"):
        HeadShard(2, 0, 2).split(hidden)


def test_a_share_of_the_heads_takes_what_is_its_own() -> None:
    """Heads 4 to 7 are here: of the list 1, 5, 7, 8 the second and third, as numbers 1 and 3."""
    places, numbers = HeadShard(2, 4, 4).local(torch.tensor([1, 5, 7, 8]))
    assert places.tolist() == [1, 2]
    assert numbers.tolist() == [1, 3]
