"""Passes by hand."""

from __future__ import annotations

from workbench.plan.forwards import (
    branch_forward,
    count_products,
    generation_forwards,
    prompt_forwards,
    reading_forwards,
    rounds_of,
    whole_forward,
)
from workbench.plan.products import ProductShape

SHAPE = ProductShape(layers=2, linear=200, attention=8, unembedding=60)


def test_operations_of_two_layers_by_hand() -> None:
    """3 rows of 4 columns after 5 kept ones: 12 columns in each of 2 layers of 100 weights, each
    seeing 9 keys of width 8, and 3 states unembedded by 60 weights. An adapter of 10 weights in the
    second layer.
    """
    one = whole_forward("", 2, 3, 4, kept=5, logits=3, adapted=12)
    assert (one.token_layers, one.keys, one.pair_layers, one.per_layer) == (24, 9, 216, 12)
    assert count_products(SHAPE, [one], 10) == {
        "linear": 2 * 24 * 100,
        "attention": 4 * 216 * 8,
        "unembedding": 2 * 3 * 60,
        "adapter": 2 * 12 * 10,
    }


def test_what_prompts_begin_with_is_one_row() -> None:
    prompts = [(1, 2, 3, 4, 5, 6), (1, 2, 3, 4, 7, 8, 9)]
    shared, rests = prompt_forwards("prompts", 2, prompts)
    assert (shared.rows, shared.columns) == (1, 4)
    assert (rests.rows, rests.columns, rests.keys, rests.held) == (2, 3, 7, 7)
    (alone,) = prompt_forwards("prompts", 2, [(1, 2), (3, 4, 5)])
    assert (alone.rows, alone.columns, alone.logits) == (2, 3, 2)


def test_ended_rows_stay_until_they_are_half() -> None:
    """Rows write 1, 3, 3 and 4 tokens: of 4 rows 3 go on, which is too few to drop one; then the
    same, and at last 1 of 4.
    """
    found = generation_forwards("", 2, 10, [1, 3, 3, 4])
    assert [(each.rows, each.keys) for each in found] == [(4, 11), (4, 12), (1, 13)]
    assert generation_forwards("", 2, 10, [1, 1]) == []


def test_a_reading_is_what_follows_and_the_nodes() -> None:
    first, second = reading_forwards("", 2, [5, 6], [4, 3], 2, [2, 1], adapted=1, recorded=3)
    assert (first.columns, first.keys, first.logits, first.adapted) == (6, 12, 8, 12)
    assert (second.rows, second.columns, second.keys) == (1, 1, 13)


def test_a_branch_passes_through_the_layers_after_its_patch() -> None:
    """Of 4 layers: 5 columns through all, branches of 2 columns after layers 0 and 3."""
    found = branch_forward("", 4, 1, 5, 0, [2, 2], [0, 3], 3, 2)
    assert found.token_layers == 5 + 3 * 7
    assert found.adapted == 2 * 7
    alone = branch_forward("", 4, 2, 0, 9, [2, 2], [1, 3], 3, None)
    assert (alone.layers, alone.token_layers) == (2, 2 * 2 * 2)
    assert alone.pair_layers == 2 * 2 * 2 * 11


def test_batches_share_each_going_through() -> None:
    one, part = whole_forward("", 4, 1, 1), whole_forward("", 2, 1, 1)
    assert rounds_of([[[one, one], [one, part, part]], [[one]]]) == [4, 4, 2, 4]
