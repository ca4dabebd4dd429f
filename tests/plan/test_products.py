from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from tests.support.tiny_models import build_tiny
from workbench.config import LoraSettings
from workbench.models import LanguageModel
from workbench.plan.products import Pass, ProductShape, triangle, whole_pass
from workbench.teach.adapter import add_adapter

ROWS, TOKENS = 2, 7


def counted(work: Callable[[], Any]) -> dict[str, int]:
    """Operations of what ``work`` computes, by torch's name of the product."""
    with FlopCounterMode(display=False) as counter:
        work()
    return {str(op): count for op, count in counter.get_flop_counts()["Global"].items()}


def plain(found: dict[str, int]) -> int:
    return found.get("aten.mm", 0) + found.get("aten.addmm", 0)


def sizes(lm: LanguageModel) -> ProductShape:
    config = lm.config
    width, inner = config.hidden_size, config.intermediate_size
    heads = config.num_attention_heads * lm.head_size
    keys = config.num_key_value_heads * lm.head_size
    layer = 2 * width * heads + 2 * width * keys + 3 * width * inner
    layers = config.num_hidden_layers
    return ProductShape(layers, layers * layer, heads, width * config.vocab_size)


def embedded(lm: LanguageModel) -> torch.Tensor:
    """States that ask for gradients, in place of tokens, so that none stop at the first layer."""
    ids = torch.arange(ROWS * TOKENS).reshape(ROWS, TOKENS) + 12
    return lm.embedding()(ids).detach().requires_grad_()


def whole(shape: ProductShape, adapter: int = 0, backward: bool = False) -> Pass:
    tokens = ROWS * TOKENS
    pairs = ROWS * triangle(0, TOKENS) * shape.layers
    return Pass(
        "", tokens, tokens, tokens * shape.layers, pairs, tokens, adapter * tokens, backward
    )


def test_the_shape_is_the_configurations(tiny_lm: LanguageModel) -> None:
    assert ProductShape.of(tiny_lm) == sizes(tiny_lm)


def test_a_forward_has_the_operations_that_torch_counts(tiny_lm: LanguageModel) -> None:
    shape, states = ProductShape.of(tiny_lm), embedded(tiny_lm)
    with torch.no_grad():
        found = counted(lambda: tiny_lm.base()(inputs_embeds=states))
    expected = whole(shape).operations(shape)
    assert plain(found) == expected["linear"] + expected["unembedding"]


def test_attention_counts_what_a_token_sees() -> None:
    """Torch counts the whole square of a row; half of it and half of the diagonal are seen. A
    token after a cache sees all of its line.
    """
    lm = build_tiny()
    lm.base().set_attn_implementation("eager")
    shape, ids = ProductShape.of(lm), torch.arange(TOKENS)[None] + 12
    with torch.no_grad():
        found = counted(lambda: lm.base()(input_ids=ids))
        cache = lm.base()(input_ids=ids, use_cache=True).past_key_values
        step = counted(lambda: lm.base()(input_ids=ids[:, :1], past_key_values=cache))
    square = 4 * TOKENS * TOKENS * shape.attention * shape.layers
    assert found["aten.bmm"] == square
    rows = whole_pass("", shape, 1, [(0, TOKENS)])
    assert rows.operations(shape)["attention"] == square * (TOKENS + 1) // (2 * TOKENS)
    one = whole_pass("", shape, 1, [(TOKENS, 1)])
    assert step["aten.bmm"] == one.operations(shape)["attention"]


def test_a_backward_pass_through_frozen_weights_doubles_the_products(
    tiny_lm: LanguageModel,
) -> None:
    shape, states = ProductShape.of(tiny_lm), embedded(tiny_lm)
    for weight in tiny_lm.model.parameters():
        weight.requires_grad_(False)
    found = counted(lambda: tiny_lm.base()(inputs_embeds=states).logits.sum().backward())
    forward, both = (whole(shape, backward=b).operations(shape) for b in (False, True))
    assert plain(found) == both["linear"] + both["unembedding"]
    assert both["linear"] == 2 * forward["linear"]
    assert both["attention"] == 3 * forward["attention"]


def test_an_adapters_weights_are_trained(tiny_lm: LanguageModel) -> None:
    shape = ProductShape.of(tiny_lm)
    tuned = add_adapter(tiny_lm, LoraSettings(rank=4, alpha=8, dropout=0.0), 0)
    weights = sum(w.numel() for n, w in tuned.model.named_parameters() if "lora_" in n)
    states = embedded(tuned)
    found = counted(lambda: tuned.base()(inputs_embeds=states).logits.sum().backward())
    expected = whole(shape, adapter=weights, backward=True).operations(shape)
    assert expected["adapter"] == 6 * weights * ROWS * TOKENS
    assert plain(found) == sum(expected[k] for k in ("linear", "unembedding", "adapter"))


@pytest.mark.parametrize(("before", "new", "pairs"), [(0, 1, 1), (0, 4, 10), (3, 2, 9)])
def test_pairs_of_tokens_are_counted_by_hand(before: int, new: int, pairs: int) -> None:
    assert triangle(before, new) == pairs


def test_nodes_see_their_row_and_their_ancestors() -> None:
    """A row of 3 kept and 2 new tokens, and two nodes, the second after the first: 4 + 5 pairs,
    then 6 and 7.
    """
    found = whole_pass("", ProductShape(2, 10, 1, 1), 1, [(3, 2)], [1, 2], logits_per_row=4)
    assert (found.tokens, found.token_layers, found.pair_layers) == (4, 8, 2 * (4 + 5 + 6 + 7))
    assert found.logits == 4
