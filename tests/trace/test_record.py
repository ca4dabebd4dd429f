from __future__ import annotations

import warnings
from collections.abc import Callable
from importlib import import_module
from typing import Any

import pytest
import torch

from tests.support.tiny_models import EAGER
from workbench.errors import WorkbenchError
from workbench.models import LanguageModel
from workbench.trace import Site, TokenTree, record, record_states
from workbench.trace.masks import model_mask

MakeTiny = Callable[..., LanguageModel]
ROWS = [[5, 6, 7, 8, 9, 10], [20, 21, 22], [30, 31, 32, 33]]
POSITIONS = [[5, 0, 2], [1, 2, 1], [3, 3, 0]]


def test_states_are_the_rows_own_at_the_positions_asked_for(tiny_lm: LanguageModel) -> None:
    """The last layer's before the final norm; positions in the order asked for, repeats
    included.
    """
    states = record_states(tiny_lm, ROWS, POSITIONS)
    for row, ids in enumerate(ROWS):
        with torch.no_grad():
            own = tiny_lm.base()(
                input_ids=torch.tensor([ids]), output_hidden_states=True
            ).hidden_states
        for layer in range(3):
            torch.testing.assert_close(
                states[row, layer], own[layer + 1][0, POSITIONS[row]], rtol=1e-4, atol=1e-5
            )
        normed = tiny_lm.final_norm()(states[row, 3])
        torch.testing.assert_close(normed, own[4][0, POSITIONS[row]], rtol=1e-4, atol=1e-5)


MIXED = {"sliding_window": 3, "layer_types": ["sliding_attention", "full_attention"] * 2}
UNMASKED: list[tuple[str, dict[str, Any]]] = [
    ("llama", {}),
    ("mistral", {"sliding_window": 3}),
    ("qwen3_moe", {}),
    ("gemma2", {"sliding_window": 3}),
    ("gemma3_text", MIXED),
    ("gpt_oss", MIXED),
    ("gpt2", {}),
    ("gpt_neox", {}),
]
KERNELS = [
    (family, overrides, attention)
    for family, overrides in UNMASKED
    for attention in ("sdpa", "eager")
    if attention == "eager" or family not in EAGER
]


@pytest.mark.parametrize(("family", "overrides", "attention"), KERNELS)
def test_no_mask_is_made_where_causality_hides_the_padding(
    make_tiny: MakeTiny,
    monkeypatch: pytest.MonkeyPatch,
    family: str,
    overrides: dict[str, Any],
    attention: str,
) -> None:
    """Rows of different lengths have the states each has alone, and those of the masked pass
    over left padding.
    """
    lm = make_tiny(family, **overrides)
    lm.base().set_attn_implementation(attention)
    made: list[int] = []
    monkeypatch.setattr(
        import_module("workbench.trace.forward"),
        "model_mask",
        lambda *given: made.append(1) or model_mask(*given),
    )
    every = tuple(Site(layer) for layer in range(lm.n_layers))
    states = record(lm, ROWS, POSITIONS, every)
    assert not made
    for row, ids in enumerate(ROWS):
        alone = record(lm, [ids], [POSITIONS[row]], every)
        torch.testing.assert_close(states[row], alone[0], rtol=1e-4, atol=1e-5)
    assert not made
    masked = record(lm, ROWS, POSITIONS, every, tree=TokenTree((7,), (-1,)))
    assert made
    torch.testing.assert_close(states, masked, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("family", "overrides"),
    [
        ("llama", {}),
        ("gemma2", {}),
        ("granite", {"residual_multiplier": 0.3}),
        ("gpt2", {}),
        ("mixtral", {}),
    ],
)
def test_components_add_up(make_tiny: MakeTiny, family: str, overrides: dict[str, Any]) -> None:
    lm = make_tiny(family, **overrides)
    sites = [Site(2, c) for c in ("resid_pre", "attn_out", "resid_mid", "mlp_out", "resid_post")]
    pre, attn, mid, mlp, post = record(lm, ROWS, POSITIONS, sites).unbind(1)
    torch.testing.assert_close(pre + attn, mid, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(mid + mlp, post, rtol=1e-4, atol=1e-5)
    before = record(lm, ROWS, POSITIONS, [Site(1)])[:, 0]
    assert torch.equal(before, pre)


@pytest.mark.parametrize("family", ["llama", "gpt2"])
def test_heads_through_the_output_projection_are_what_attention_adds(
    make_tiny: MakeTiny, family: str
) -> None:
    """Four query heads over two key-value heads; the order asked for is the order returned."""
    lm = make_tiny(family)
    heads = record(lm, ROWS, POSITIONS, [Site(1, "head_out", head) for head in (3, 1, 0, 2)])
    assert heads.shape == (3, 4, 3, 8)
    joined = torch.cat([heads[:, place] for place in (2, 1, 3, 0)], dim=-1)
    projection = lm.layers()[1].get_submodule(lm.architecture.attention_output)
    added = record(lm, ROWS, POSITIONS, [Site(1, "attn_out")])[:, 0]
    torch.testing.assert_close(projection(joined), added, rtol=1e-4, atol=1e-5)


def test_the_embedding_is_the_first_layers_input(tiny_lm: LanguageModel) -> None:
    states = record(tiny_lm, ROWS, POSITIONS, [Site(0, "resid_pre")])[:, 0]
    tokens = [[row[p] for p in at] for row, at in zip(ROWS, POSITIONS, strict=True)]
    assert torch.equal(states, tiny_lm.embedding().weight[torch.tensor(tokens)])


def test_positions_behind_the_prompt_are_nodes(tiny_lm: LanguageModel) -> None:
    tree = TokenTree((40, 41, 42), (-1, 0, -1))
    at = [[len(row) + 1, len(row) + 2, len(row) - 1] for row in ROWS]
    states = record(tiny_lm, ROWS, at, [Site(2)], tree=tree)[:, 0]
    for row, ids in enumerate(ROWS):
        for place, extra in enumerate(([40, 41], [42], [])):
            expected = record(tiny_lm, [[*ids, *extra]], [[len(ids) + len(extra) - 1]], [Site(2)])[
                0, 0, 0
            ]
            torch.testing.assert_close(states[row, place], expected, rtol=1e-4, atol=1e-5)


def test_layers_above_the_highest_site_do_not_run(tiny_lm: LanguageModel) -> None:
    ran: list[int] = []
    for number, layer in enumerate(tiny_lm.layers()):
        layer.mlp.register_forward_hook(lambda *_, n=number: ran.append(n))
    record(tiny_lm, ROWS, POSITIONS, [Site(1, "attn_out"), Site(0)])
    assert ran == [0, 1]
    record(tiny_lm, ROWS, POSITIONS, [Site(2, "resid_pre"), Site(1)])
    assert ran[2:] == [0, 1, 2]
    assert not any(layer._forward_hooks or layer._forward_pre_hooks for layer in tiny_lm.layers())


def test_what_is_kept_is_no_larger_than_what_was_asked_for(tiny_lm: LanguageModel) -> None:
    states = record(tiny_lm, ROWS, POSITIONS, [Site(0), Site(1)])
    assert states.untyped_storage().nbytes() == 3 * 2 * 3 * 32 * 4
    head = record(tiny_lm, ROWS, POSITIONS, [Site(1, "head_out", 2)])
    assert head.untyped_storage().nbytes() == 3 * 3 * 8 * 4


@pytest.mark.parametrize("family", ["falcon_h1", "qwen3_next"])
def test_recurrent_families_are_recorded_without_padding(make_tiny: MakeTiny, family: str) -> None:
    lm = make_tiny(family)
    tree = TokenTree((40, 41), (-1, 0))
    rows = [*ROWS, [50, 51, 52]]
    at = [[len(row) - 1, 0, len(row) + 1] for row in rows]
    with pytest.warns(UserWarning, match="rows of equal length"):
        states = record(lm, rows, at, [Site(1), Site(2, "mlp_out")], tree=tree)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for row, ids in enumerate(rows):
            own = record(
                lm,
                [[*ids, 40, 41]],
                [[len(ids) - 1, 0, len(ids) + 1]],
                [Site(1), Site(2, "mlp_out")],
            )
            torch.testing.assert_close(states[row], own[0], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("positions", "sites", "message"),
    [
        (
            [[5], [3], [0]],
            [Site(0)],
            "Position 3 of prompt 1 lies outside its prompt, which has 3 tokens",
        ),
        ([[5], [-1], [0]], [Site(0)], "Position -1 of prompt 1"),
        ([[5], [0]], [Site(0)], "positions for every prompt"),
        ([[5], [0], [0, 1]], [Site(0)], "as many for one"),
        ([[0], [0], [0]], [Site(4)], "Layer 4 does not exist; the model has layers 0 to 3"),
        (
            [[0], [0], [0]],
            [Site(0, "head_out", 4)],
            "Head 4 does not exist; the model has query heads 0 to 3",
        ),
        ([[0], [0], [0]], [Site(0, "head_out", 1), Site(0)], "states of different widths"),
        ([[0], [0], [0]], [], "at least one site"),
    ],
)
def test_mistakes_are_named_before_the_forward(
    tiny_lm: LanguageModel, positions: list[list[int]], sites: list[Site], message: str
) -> None:
    ran: list[int] = []
    tiny_lm.decoder().register_forward_pre_hook(lambda *_: ran.append(1))
    with pytest.raises(WorkbenchError, match=message):
        record(tiny_lm, ROWS, positions, sites)
    assert not ran


def test_flash_attention_is_refused(tiny_lm: LanguageModel) -> None:
    """Also for one prompt without padding, which is there to be patched in a packed pass."""
    tiny_lm.base().config._attn_implementation = "flash_attention_2"
    with pytest.raises(WorkbenchError, match="takes no 4-D mask"):
        record(tiny_lm, ROWS[:1], [[0]], [Site(0)])
