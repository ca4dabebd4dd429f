from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from peft import LoraConfig, get_peft_model

from workbench.errors import WorkbenchError
from workbench.models import LanguageModel
from workbench.patch.branches import head_sites, layer_sites
from workbench.patch.maps import (
    Reading,
    component_map,
    component_sites,
    head_map,
    layer_sweep,
    logit_difference,
    position_map,
    spans,
    token_log_probabilities,
    token_logits,
    window_sweep,
)
from workbench.teach.adapter import adapter_off
from workbench.trace import Component, TokenTree, record
from workbench.trace.backends import engine

MakeTiny = Callable[..., LanguageModel]
ROWS = [[5, 6, 7, 8, 9, 10, 11], [20, 21, 22, 23], [30, 31, 32, 33, 34]]
END = torch.tensor([6, 3, 4])
LAYERS = [0, 1, 2, 3]
LOGITS = token_logits([11, 12, 13])


def random(*shape: int) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(1))


def calls(lm: LanguageModel, reading: Reading) -> dict[str, torch.Tensor]:
    last_three = END[:, None] - torch.tensor([2, 1, 0])
    components: list[Component] = ["attn_out", "resid_mid", "mlp_out"]
    return {
        "layers": layer_sweep(lm, ROWS, END, LAYERS, random(3, 4, 32), reading).patched,
        "attention": layer_sweep(
            lm, ROWS, END, [1, 3], random(3, 2, 32), reading, "attn_out"
        ).patched,
        "positions": position_map(
            lm, ROWS, last_three, LAYERS, random(3, 4, 3, 32), reading
        ).patched,
        "heads": head_map(lm, ROWS, END - 1, [0, 2], [0, 1, 3], random(3, 6, 8), reading).patched,
        "components": component_map(
            lm, ROWS, END, [1, 2], components, random(3, 6, 32), reading
        ).patched,
        "windows": window_sweep(
            lm, ROWS, END, LAYERS, 3, random(3, 4, 32), reading, "mlp_out"
        ).patched,
    }


def test_every_map_is_that_of_the_loop_with_its_axes(tiny_lm: LanguageModel) -> None:
    packed = calls(tiny_lm, Reading(LOGITS, 200))
    loop = calls(tiny_lm, Reading(LOGITS, 1000, engine=engine("loop")))
    shapes = {
        "layers": (4,),
        "attention": (2,),
        "positions": (4, 3),
        "heads": (2, 3),
        "components": (3, 2),
        "windows": (2,),
    }
    for name, axes in shapes.items():
        assert packed[name].shape == (3, *axes, 3)
        torch.testing.assert_close(packed[name], loop[name], rtol=1e-4, atol=1e-5)


def test_nodes_come_behind_the_axes(tiny_lm: LanguageModel) -> None:
    reading = Reading(LOGITS, 200, TokenTree((40, 41), (-1, 0)))
    assert layer_sweep(tiny_lm, ROWS, END, LAYERS, random(3, 4, 32), reading).patched.shape == (
        3,
        4,
        3,
        3,
    )


def test_readouts_by_hand() -> None:
    logits = torch.tensor([[0.0, 1.0, 3.0], [2.0, 2.0, 2.0]]).double().log_softmax(dim=-1) + 5
    assert token_logits([2, 0])(logits).shape == (2, 2)
    assert logit_difference(2, 1)(logits).tolist() == pytest.approx([2, 0])
    assert token_log_probabilities([0, 1, 2])(logits).exp().sum(dim=-1).tolist() == pytest.approx(
        [1, 1]
    )


def test_spans_are_aligned_at_their_ends() -> None:
    positions, inside = spans([2, 0], [5, 1])
    assert positions.tolist() == [[2, 3, 4, 5], [0, 0, 0, 1]]
    assert inside.tolist() == [[True] * 4, [False, False, True, True]]
    for starts, ends in (([3], [2]), ([-1], [2]), ([0, 1], [2])):
        with pytest.raises(WorkbenchError, match="Every span"):
            spans(starts, ends)


# Planted mechanisms. Everything but the named parts is silenced, so the right map is known.

SUBJECT, END_OF_ALL = 2, 6
BASE = [[5, 6, 40, 8, 9, 10, 11], [5, 6, 41, 8, 9, 10, 11]]
DONOR = [[5, 6, 50, 8, 9, 10, 11], [5, 6, 51, 8, 9, 10, 11]]
OUTPUTS = {"llama": ("self_attn.o_proj", "mlp.down_proj"), "gpt2": ("attn.c_proj", "mlp.c_proj")}


def only_head(lm: LanguageModel, layer: int, head: int) -> None:
    """Silence every MLP and every head but one."""
    attention, mlp = OUTPUTS[lm.architecture.family]
    with torch.no_grad():
        for number, block in enumerate(lm.layers()):
            block.get_submodule(mlp).weight.zero_()
            weight = block.get_submodule(attention).weight
            by_head = weight if lm.architecture.family == "gpt2" else weight.T
            for other in range(4):
                if (number, other) != (layer, head):
                    by_head[other * 8 : (other + 1) * 8] = 0


def shift(lm: LanguageModel, patched: torch.Tensor, reading: Reading) -> torch.Tensor:
    """Per row and cell; base and donor readouts from runs of their own."""
    at = torch.full((2,), END_OF_ALL)
    noop = record(lm, BASE, at[:, None].tolist(), layer_sites([0]))[:, :, 0]
    base = layer_sweep(lm, BASE, at, [0], noop, reading).base
    donor = layer_sweep(lm, DONOR, at, [0], noop, reading).base
    assert (donor - base).abs().min() > 1e-2
    axes = [1] * (patched.dim() - 1)
    return (patched - base.reshape(-1, *axes)) / (donor - base).reshape(-1, *axes)


@pytest.mark.parametrize("family", ["llama", "gpt2"])
@pytest.mark.parametrize(("layer", "head"), [(2, 3), (0, 0), (3, 1)])
def test_the_head_that_moves_the_readout_from_an_earlier_token_is_found(
    make_tiny: MakeTiny, family: str, layer: int, head: int
) -> None:
    """Prompts differ in one early token; one head carries that to the end.

    So the stream at that token matters below the head's layer and the stream at the end from there
    on, no other token ever matters, and of all heads and components the one that moved it does.
    """
    lm = make_tiny(family)
    only_head(lm, layer, head)
    reading = Reading(logit_difference(60, 70), 300)
    places = torch.arange(END_OF_ALL + 1).expand(2, -1)
    stream = record(lm, DONOR, places.tolist(), layer_sites(LAYERS))
    found = shift(lm, position_map(lm, BASE, places, LAYERS, stream, reading).patched, reading)
    expected = torch.zeros((4, 7))
    expected[:layer, SUBJECT] = 1
    expected[layer:, END_OF_ALL] = 1
    torch.testing.assert_close(found, expected.expand(2, -1, -1), rtol=0, atol=1e-3)

    end = torch.full((2,), END_OF_ALL)
    heads = record(lm, DONOR, end[:, None].tolist(), head_sites(LAYERS, range(4)))[:, :, 0]
    found = shift(lm, head_map(lm, BASE, end, LAYERS, range(4), heads, reading).patched, reading)
    expected = torch.zeros((4, 4))
    expected[layer, head] = 1
    torch.testing.assert_close(found, expected.expand(2, -1, -1), rtol=0, atol=1e-3)

    parts: list[Component] = ["attn_out", "mlp_out"]
    states = record(lm, DONOR, end[:, None].tolist(), component_sites(LAYERS, parts))[:, :, 0]
    found = shift(lm, component_map(lm, BASE, end, LAYERS, parts, states, reading).patched, reading)
    expected = torch.zeros((2, 4))
    expected[0, layer] = 1
    torch.testing.assert_close(found, expected.expand(2, -1, -1), rtol=0, atol=1e-3)


@pytest.mark.parametrize("writer", [0, 2, 3])
def test_the_mlp_that_tuning_changed_is_found_in_both_directions(
    make_tiny: MakeTiny, writer: int
) -> None:
    """An adapter on one layer's MLP, all else silent: base <- tuned and tuned <- base find that
    MLP and nothing else.
    """
    lm = make_tiny("llama")
    with torch.no_grad():
        for number, block in enumerate(lm.layers()):
            block.self_attn.o_proj.weight.zero_()
            if number != writer:
                block.mlp.down_proj.weight.zero_()
    config = LoraConfig(
        r=4, target_modules=["down_proj"], layers_to_transform=[writer], init_lora_weights=False
    )
    with torch.random.fork_rng():
        torch.manual_seed(5)
        tuned = lm.with_model(get_peft_model(lm.base(), config).eval())
    reading = Reading(logit_difference(60, 70), 300)
    parts: list[Component] = ["attn_out", "mlp_out", "resid_post"]
    at = END[:, None].tolist()

    def swept(donors: torch.Tensor) -> Any:
        return component_map(tuned, ROWS, END, LAYERS, parts, donors, reading)

    high = record(tuned, ROWS, at, component_sites(LAYERS, parts))[:, :, 0]
    with adapter_off(tuned):
        low = record(tuned, ROWS, at, component_sites(LAYERS, parts))[:, :, 0]
        up = swept(high)
    down = swept(low)
    distance = (down.base - up.base)[:, None, None]
    assert distance.abs().min() > 1e-2
    expected = torch.zeros((3, 4))
    expected[1, writer] = 1
    expected[2, writer:] = 1
    for found in (
        (up.patched - up.base[:, None, None]) / distance,
        (down.base[:, None, None] - down.patched) / distance,
    ):
        torch.testing.assert_close(found, expected.expand(3, -1, -1), rtol=0, atol=1e-3)


def test_a_window_finds_what_two_layers_write_together(make_tiny: MakeTiny) -> None:
    """Two MLPs write; single layers bring their parts, and only the window over both brings
    everything.
    """
    lm = make_tiny("llama")
    with torch.no_grad():
        for block in lm.layers():
            block.self_attn.o_proj.weight.zero_()
        for number in (0, 3):
            lm.layers()[number].mlp.down_proj.weight.zero_()
    reading = Reading(LOGITS, 300)
    at = torch.full((2,), END_OF_ALL)
    other = [[*row[:-1], 90] for row in BASE]
    states = record(lm, other, at[:, None].tolist(), layer_sites(LAYERS, "mlp_out"))[:, :, 0]
    window = window_sweep(lm, BASE, at, LAYERS, 2, states, reading, "mlp_out").patched
    single = layer_sweep(lm, BASE, at, LAYERS, states, reading, "mlp_out").patched
    torch.testing.assert_close(window[:, 0], single[:, 1], rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(window[:, 2], single[:, 2], rtol=1e-4, atol=1e-5)
    assert (window[:, 1] - single[:, 1]).abs().min() > 1e-4
    pre = record(lm, BASE, at[:, None].tolist(), layer_sites([1], "resid_pre"))[:, 0, 0]
    whole = lm.head()(lm.final_norm()(pre + states[:, 1] + states[:, 2]))[:, [11, 12, 13]]
    torch.testing.assert_close(window[:, 1], whole, rtol=1e-4, atol=1e-4)
