from __future__ import annotations

from collections.abc import Callable

import pytest
import torch

from workbench.errors import WorkbenchError
from workbench.models import LanguageModel
from workbench.patch.components import (
    STREAM_AND_HEADS,
    ComponentSet,
    products,
    require_cut,
    states_at,
    whole_model,
)
from workbench.patch.inputs import ModelInputs, batch_of
from workbench.trace.record import record
from workbench.trace.sites import COMPONENTS, Component, Site
from workbench.trace.token_tree import NO_TREE

MakeTiny = Callable[..., LanguageModel]
PROMPTS = [[5, 6, 7, 8, 9, 10, 11, 12], [20, 21, 22, 23], [30, 31, 32, 33, 34, 35]]
POSITIONS = torch.tensor([[2, 7], [0, 3], [1, 5]])


@pytest.mark.parametrize(
    ("layers", "components", "message"),
    [
        ((0, 4), ("resid_pre",), "Layer 4 does not exist"),
        ((1, 1), ("resid_pre",), "ascending order"),
        ((), ("resid_pre",), "at least one"),
        ((0,), ("resid_pre", "resid_pre"), "each component once"),
    ],
)
def test_wrong_cuts_are_named(
    tiny_lm: LanguageModel, layers: tuple[int, ...], components: tuple[Component, ...], message: str
) -> None:
    with pytest.raises(WorkbenchError, match=message):
        require_cut(tiny_lm, ComponentSet(layers, components))


def test_the_cut_of_a_whole_model_leaves_out_what_a_family_lacks(make_tiny: MakeTiny) -> None:
    assert whole_model(make_tiny("llama")) == ComponentSet((0, 1, 2, 3), STREAM_AND_HEADS)
    assert whole_model(make_tiny("mixtral"), COMPONENTS).components == COMPONENTS[:-1]
    assert whole_model(make_tiny("cohere2"), ("resid_mid", "mlp_out")) == ComponentSet(
        (0, 1, 2, 3), ("mlp_out",)
    )


def test_neighbouring_streams_are_one_place() -> None:
    cut = ComponentSet((0, 1, 2), ("resid_pre", "resid_post", "attn_out"))
    residual = [(0, "resid_pre"), (0, "resid_post"), (1, "resid_post"), (2, "resid_post")]
    assert cut.places() == sorted([*residual, *((layer, "attn_out") for layer in range(3))])


@pytest.mark.parametrize("family", ["granite", "olmo2", "gpt2"])
def test_states_are_those_of_a_recording(make_tiny: MakeTiny, family: str) -> None:
    """All components and heads, with a family's multiplier, from one pass."""
    lm = make_tiny(family)
    batch = batch_of(ModelInputs(lm, PROMPTS, POSITIONS), torch.arange(3), NO_TREE)
    _, states = states_at(
        lm, batch, ComponentSet((1, 2), ("resid_mid", "attn_out", "mlp_out", "head_out")).places()
    )
    for (layer, component), found in states.items():
        heads = range(4) if component == "head_out" else [None]
        sites = [Site(layer, component, head) for head in heads]
        expected = record(lm, PROMPTS, POSITIONS.tolist(), sites)
        torch.testing.assert_close(found, expected.transpose(1, 2).flatten(2))


def test_products_by_hand(tiny_lm: LanguageModel) -> None:
    gradient, difference = torch.arange(64.0).reshape(1, 2, 32), torch.ones(1, 2, 32)
    assert products(tiny_lm, (0, "attn_out"), gradient, difference).tolist() == [[496.0, 1520.0]]
    heads = products(tiny_lm, (0, "head_out"), gradient.bfloat16(), difference.bfloat16())
    assert heads.tolist() == [[[28.0, 284.0], [92.0, 348.0], [156.0, 412.0], [220.0, 476.0]]]
    assert heads.dtype == torch.float32


def test_products_of_slices_leave_other_entries_out(make_tiny: MakeTiny) -> None:
    """GPT-NeoX joins queries, keys and values head by head: [4 heads, 3, 8] numbers."""
    lm = make_tiny("gpt_neox")
    gradient, difference = torch.arange(96.0).reshape(1, 1, 96), torch.ones(1, 1, 96)
    keys = gradient.reshape(4, 3, 8)[:, 1].sum(dim=-1)
    assert products(lm, (0, "key"), gradient, difference)[0, :, 0].tolist() == keys.tolist()
