from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch

from workbench.errors import WorkbenchError
from workbench.models import LanguageModel
from workbench.trace import Patch, Site, TokenTree, loop_branches, patch_branches

MakeTiny = Callable[..., LanguageModel]
ROWS = [[5, 6, 7, 8], [20, 21]]
END = torch.tensor([3, 1])


def patch(site: Site, positions: Any = END, width: int = 32, rows: int = 2) -> Patch:
    return Patch(site, torch.as_tensor(positions), torch.zeros((rows, width)))


@pytest.mark.parametrize("engine", [patch_branches, loop_branches])
@pytest.mark.parametrize(
    ("family", "site", "positions", "width", "message"),
    [
        (
            "llama",
            Site(1),
            [3, 2],
            32,
            "Position 2 of prompt 1 lies outside its prompt, which has 2 tokens",
        ),
        ("llama", Site(1), [-1, 1], 32, "Position -1 of prompt 0.*padding left out"),
        ("llama", Site(1), [3, 1], 31, "donor and base must come from models of the same width"),
        ("llama", Site(1, "head_out", 0), [3, 1], 32, r"not \[rows, width\] = \(2, 8\)"),
        ("llama", Site(4), [3, 1], 32, "Layer 4 does not exist"),
        ("llama", Site(1, "head_out", 4), [3, 1], 8, "Head 4 does not exist"),
        ("cohere2", Site(1, "resid_mid"), [3, 1], 32, "cohere2 has no resid_mid: .*in parallel"),
        ("falcon_h1", Site(1, "attn_out"), [3, 1], 32, "falcon_h1 has no attn_out"),
        ("qwen3_next", Site(1, "head_out", 0), [3, 1], 8, "qwen3_next has no head_out"),
        ("llama", Site(1), [3.0, 1.0], 32, "whole numbers"),
    ],
)
def test_mistakes_are_named_before_any_forward(
    make_tiny: MakeTiny,
    engine: Any,
    family: str,
    site: Site,
    positions: list[float],
    width: int,
    message: str,
) -> None:
    lm = make_tiny(family)
    ran: list[int] = []
    lm.decoder().register_forward_pre_hook(lambda *_: ran.append(1))
    good = patch(Site(0))
    with pytest.raises(WorkbenchError, match=message):
        engine(
            lm,
            ROWS,
            [[good], [good, patch(site, positions, width)]],
            lambda x: x,
            tokens_per_forward=100,
        )
    assert not ran


@pytest.mark.parametrize("engine", [patch_branches, loop_branches])
def test_donors_of_another_number_of_rows(tiny_lm: LanguageModel, engine: Any) -> None:
    wrong = patch(Site(0), [3, 1, 0], rows=3)
    with pytest.raises(WorkbenchError, match="one row a prompt"):
        engine(tiny_lm, ROWS, [[wrong]], lambda x: x, tokens_per_forward=100)


@pytest.mark.parametrize("engine", [patch_branches, loop_branches])
@pytest.mark.parametrize("branches", [[], [[]], [[patch(Site(0))], []]])
def test_branches_that_do_nothing(tiny_lm: LanguageModel, engine: Any, branches: Any) -> None:
    with pytest.raises(WorkbenchError, match="at least one"):
        engine(tiny_lm, ROWS, branches, lambda x: x, tokens_per_forward=100)


def test_a_node_position_ends_with_the_nodes(tiny_lm: LanguageModel) -> None:
    tree = TokenTree((40,), (-1,))
    inside, outside = patch(Site(0), [4, 2]), patch(Site(0), [5, 2])
    patch_branches(tiny_lm, ROWS, [[inside]], lambda x: x, tokens_per_forward=100, tree=tree)
    with pytest.raises(WorkbenchError, match="Position 5 of prompt 0"):
        patch_branches(tiny_lm, ROWS, [[outside]], lambda x: x, tokens_per_forward=100, tree=tree)


@pytest.mark.parametrize("budget", [0, -5])
def test_a_budget_is_positive(tiny_lm: LanguageModel, budget: int) -> None:
    with pytest.raises(WorkbenchError, match="must be positive"):
        patch_branches(tiny_lm, ROWS, [[patch(Site(0))]], lambda x: x, tokens_per_forward=budget)


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_states_that_are_no_numbers_make_no_patch(bad: float) -> None:
    with pytest.raises(
        WorkbenchError, match=r"The value to write at Site\(layer=2.*NaN or infinite"
    ):
        Patch(Site(2), END, torch.full((2, 32), bad))
