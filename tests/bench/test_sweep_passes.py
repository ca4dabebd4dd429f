from __future__ import annotations

import numpy as np

from workbench.bench.sweep_passes import (
    SweptAdapter,
    computed_rows,
    copied_tokens,
    sweep_pass,
)
from workbench.patch.controls import CONDITIONS, layers_run
from workbench.plan.products import ProductShape

BY_NAME = {condition.name: condition for condition in CONDITIONS}
SHAPE = ProductShape(layers=4, linear=400, attention=8, unembedding=50)
ADAPTER = SweptAdapter(weights=30, first=2, acted=[3, 3])
LENGTHS = [10, 12]


def test_the_reply_alone_is_computed_unless_a_position_precedes_it() -> None:
    late, early = np.array([[7, 9], [10, 11]]), np.array([[7, 9], [8, 11]])
    assert computed_rows(LENGTHS, late, 3) == [(7, 3), (9, 3)]
    assert computed_rows(LENGTHS, early, 3) == [(0, 10), (0, 12)]
    assert computed_rows(LENGTHS, early[:, 1], 3) == [(7, 3), (9, 3)]
    assert computed_rows(LENGTHS, late, None) == [(0, 10), (0, 12)]


def test_layers_below_the_adapter_are_run_where_the_donor_is_another_question_or_noise() -> None:
    swept = [0, 1, 2, 3]
    run = {name: layers_run(condition, swept, 2) for name, condition in BY_NAME.items()}
    for name in ("own_tuned", "random_vector", "reverse", "random_position"):
        assert run[name] == [2, 3]
    for name in ("other_tuned", "other_base", "own_base"):
        assert run[name] == swept
    assert layers_run(BY_NAME["own_tuned"], [0, 1], 2) == [1]


def test_a_branch_copies_the_tokens_from_its_patch_on() -> None:
    positions = np.array([[7, 9], [10, 11]])
    assert copied_tokens(BY_NAME["random_position"], LENGTHS, positions) == [3, 2]
    assert copied_tokens(BY_NAME["own_tuned"], LENGTHS, positions) == [1, 1]


def test_a_sweep_on_kept_beginnings_by_hand() -> None:
    """Two replies of three tokens with one node each; branches of two tokens after layers 1 and 2,
    which pass through two layers and one.
    """
    rows, one = [(7, 3), (9, 3)], [1, 1]
    found = sweep_pass(BY_NAME["own_tuned"], SHAPE, rows, one, [1, 2], [1], ADAPTER)
    assert found.tokens == 2 * 4 + 2 * 2 * 2
    assert found.token_layers == 8 * 4 + 4 * (2 + 1)
    prompts = (8 + 9 + 10 + 11) + (10 + 11 + 12 + 13)
    branches = (10 + 11) + (12 + 13)
    assert found.pair_layers == prompts * 4 + branches * 3
    assert found.logits == 2 * 2 * 3
    assert found.adapter == 0


def test_the_adapter_acts_on_what_is_patched_into_the_tuned_model() -> None:
    """Its weights lie in layers 2 and 3 alike: the replies pass through both, the branches after
    layer 1 through both and those after layer 2 through one.
    """
    rows, one = [(7, 3), (9, 3)], [1, 1]
    found = sweep_pass(BY_NAME["reverse"], SHAPE, rows, one, [1, 2], [1], ADAPTER)
    assert found.adapter == 30 * 8 + 15 * 4 * (2 + 1)
