from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from transformers.masking_utils import create_sliding_window_causal_mask

from workbench.models import LanguageModel
from workbench.trace.layout import FIRST_LAYER, Prompts, Tail, empty_tail, pad_prompts
from workbench.trace.masks import additive, model_mask, visibility, within_window

MakeTiny = Callable[..., LanguageModel]
CPU = torch.device("cpu")


def branching() -> tuple[Prompts, Tail]:
    """Rows of 2 and 1 tokens; tail: a copy of the last token, its child, and a twin of the copy
    that sees no one.
    """
    prompts = pad_prompts([[5, 6], [7]], 0, CPU)
    tail = Tail(
        tokens=torch.tensor([[6, 8, 6], [7, 8, 7]]),
        positions=torch.tensor([[1, 2, 1], [0, 1, 0]]),
        prefix_end=torch.tensor([[1, 1, 2], [1, 1, 2]]),
        attends_to=torch.tensor([[[1, 0, 0], [1, 1, 0], [0, 0, 1]]], dtype=torch.bool),
        first_layer=(FIRST_LAYER,) * 3,
        source_column=torch.ones((2, 3), dtype=torch.long),
    )
    return prompts, tail


def test_visibility_by_hand() -> None:
    """Padding (row 1, column 0) sees itself and is seen by nobody else."""
    prompts, tail = branching()
    expected = [
        [[1, 0, 0, 0, 0], [1, 1, 0, 0, 0], [1, 0, 1, 0, 0], [1, 0, 1, 1, 0], [1, 1, 0, 0, 1]],
        [[1, 0, 0, 0, 0], [0, 1, 0, 0, 0], [0, 0, 1, 0, 0], [0, 0, 1, 1, 0], [0, 1, 0, 0, 1]],
    ]
    assert visibility(prompts, tail).int().tolist() == expected


def test_the_window_counts_positions_and_not_columns() -> None:
    """Columns hold positions 0 1 2 3 | 1 3 2: with a window of 2 a query sees its own position
    and the one before.
    """
    positions = torch.tensor([[0, 1, 2, 3, 1, 3, 2]])
    see = within_window(torch.ones((1, 7, 7), dtype=torch.bool), positions, positions, 2)
    assert see[0, 3].tolist() == [False, False, True, True, False, True, True]
    assert see[0, 4].tolist() == [True] * 7
    assert see[0, 6].tolist() == [False, True, True, True, True, True, True]


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_hidden_keys_get_no_weight(dtype: torch.dtype) -> None:
    mask = additive(torch.tensor([[[True, False], [True, True]]]), dtype)
    assert mask.shape == (1, 1, 2, 2)
    assert mask.dtype == dtype
    assert torch.isfinite(mask).all()
    weights = (mask + torch.tensor([[0.0, 40.0], [0.0, 0.0]], dtype=dtype)).softmax(dim=-1)
    assert weights[0, 0].tolist() == [[1.0, 0.0], [0.5, 0.5]]


def test_a_sliding_mask_is_the_host_librarys(make_tiny: MakeTiny) -> None:
    """Where nothing is packed, the mask lets through what transformers' own sliding mask does."""
    lm = make_tiny("mistral", sliding_window=3)
    prompts = pad_prompts([[5, 6, 7, 8, 9, 10], [7, 8, 9, 10]], 0, CPU)
    ours: Any = model_mask(
        lm, visibility(prompts, empty_tail(prompts)), prompts.positions, prompts.positions
    )
    host = create_sliding_window_causal_mask(
        config=lm.config,
        inputs_embeds=torch.zeros((2, 6, 32)),
        attention_mask=prompts.valid.long(),
        past_key_values=None,
        position_ids=prompts.positions,
    )
    assert torch.equal((ours == 0)[0], host[0])
    assert torch.equal((ours == 0)[1, :, 2:], host[1, :, 2:])


def test_each_layer_type_gets_its_mask(make_tiny: MakeTiny) -> None:
    kinds = ["full_attention", "sliding_attention"] * 2
    lm = make_tiny("gemma3_text", sliding_window=2, layer_types=kinds)
    prompts = pad_prompts([[5, 6, 7, 8]], 0, CPU)
    see = visibility(prompts, empty_tail(prompts))
    mask: Any = model_mask(lm, see, prompts.positions, prompts.positions)
    assert sorted(mask) == ["full_attention", "sliding_attention"]
    assert torch.equal(mask["full_attention"] == 0, see[:, None])
    band = torch.tensor([[1, 0, 0, 0], [1, 1, 0, 0], [0, 1, 1, 0], [0, 0, 1, 1]], dtype=torch.bool)
    assert torch.equal(mask["sliding_attention"][0, 0] == 0, band)


def test_a_family_without_layer_types_gets_one_mask(make_tiny: MakeTiny) -> None:
    prompts = pad_prompts([[5, 6, 7]], 0, CPU)
    see = visibility(prompts, empty_tail(prompts))
    mask = model_mask(make_tiny("llama"), see, prompts.positions, prompts.positions)
    assert isinstance(mask, torch.Tensor)
    assert torch.equal(mask == 0, see[:, None])
