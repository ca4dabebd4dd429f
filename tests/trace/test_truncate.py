from __future__ import annotations

import torch

from workbench.trace.truncate import truncate_columns

HIDDEN = torch.zeros((2, 5, 3))
MASK = torch.arange(25.0).reshape(1, 1, 5, 5)


def test_everything_is_cut_to_the_columns_that_exist() -> None:
    given = {
        "attention_mask": MASK,
        "position_ids": torch.arange(5)[None],
        "position_embeddings": (HIDDEN, HIDDEN),
    }
    (hidden,), found = truncate_columns(2, 5)((HIDDEN,), {**given, "use_cache": True})
    assert hidden.shape == (2, 2, 3)
    assert found["attention_mask"][0, 0].tolist() == [[0, 1], [5, 6]]
    assert found["position_ids"].tolist() == [[0, 1]]
    assert [part.shape for part in found["position_embeddings"]] == [(2, 2, 3)] * 2
    assert found["use_cache"] is True


def test_keys_of_a_cache_stay() -> None:
    mask = torch.arange(8.0).reshape(1, 1, 2, 4)
    _, found = truncate_columns(1, 2, cached=2)((HIDDEN[:, :2],), {"attention_mask": mask})
    assert found["attention_mask"][0, 0].tolist() == [[0, 1, 2]]


def test_hidden_states_by_name_and_a_mask_by_place() -> None:
    args, found = truncate_columns(2, 5)((), {"hidden_states": HIDDEN})
    assert args == ()
    assert found["hidden_states"].shape == (2, 2, 3)
    (_, mask, nothing), _ = truncate_columns(2, 5)((HIDDEN, MASK, None), {})
    assert mask.shape == (1, 1, 2, 2)
    assert nothing is None
