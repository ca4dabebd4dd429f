from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from peft import LoraConfig, get_peft_model

from workbench.errors import WorkbenchError
from workbench.models import LanguageModel
from workbench.models.adapter_switch import adapter_off
from workbench.patch.branches import Cell
from workbench.patch.effect_map import Axis
from workbench.patch.inputs import ModelInputs, Reading
from workbench.patch.maps import (
    Cells,
    PatchedMap,
    component_cells,
    head_cells,
    layer_cells,
    logit_difference,
    patch_map,
    position_cells,
    spans,
    token_log_probabilities,
    token_logits,
    window_cells,
)
from workbench.patch.metrics import Metric
from workbench.trace import Component, Site, TokenTree, record
from workbench.trace.backends import engine

MakeTiny = Callable[..., LanguageModel]
ROWS = [[5, 6, 7, 8, 9, 10, 11], [20, 21, 22, 23], [30, 31, 32, 33, 34]]
END = torch.tensor([6, 3, 4])
LAYERS = [0, 1, 2, 3]
LOGITS = Metric(token_logits([11, 12, 13]))


def random(*shape: int) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(1))


def calls(lm: LanguageModel, reading: Reading) -> dict[str, PatchedMap]:
    end, last_three = END[:, None], END[:, None] - torch.tensor([2, 1, 0])
    grids: dict[str, tuple[Cells, torch.Tensor, torch.Tensor]] = {
        "layers": (layer_cells(LAYERS), end, random(3, 4, 1, 32)),
        "attention": (layer_cells([1, 3], "attn_out"), end, random(3, 2, 1, 32)),
        "positions": (position_cells(LAYERS, 3), last_three, random(3, 4, 3, 32)),
        "heads": (head_cells([0, 2], [0, 1, 3]), end - 1, random(3, 6, 1, 8)),
        "components": (
            component_cells([1, 2], ["attn_out", "resid_mid", "mlp_out"]),
            end,
            random(3, 6, 1, 32),
        ),
        "windows": (window_cells(LAYERS, 3, "mlp_out"), end, random(3, 4, 1, 32)),
    }
    return {
        name: patch_map(ModelInputs(lm, ROWS, at), cells, donors, reading)
        for name, (cells, at, donors) in grids.items()
    }


def test_every_map_is_that_of_the_loop_with_its_axes(tiny_lm: LanguageModel) -> None:
    packed = calls(tiny_lm, Reading(LOGITS, 200))
    loop = calls(tiny_lm, Reading(LOGITS, 1000, engine("loop")))
    axes = {
        "layers": {"layer": (0, 1, 2, 3)},
        "attention": {"layer": (1, 3)},
        "positions": {"layer": (0, 1, 2, 3), "position": (0, 1, 2)},
        "heads": {"layer": (0, 2), "head": (0, 1, 3)},
        "components": {"component": ("attn_out", "resid_mid", "mlp_out"), "layer": (1, 2)},
        "windows": {"first layer": (0, 1)},
    }
    for name, expected in axes.items():
        assert {axis.name: axis.labels for axis in packed[name].axes} == expected
        assert packed[name].patched.shape == (3, *map(len, expected.values()), 3)
        torch.testing.assert_close(packed[name].patched, loop[name].patched, rtol=1e-4, atol=1e-5)


def test_nodes_come_behind_the_axes(tiny_lm: LanguageModel) -> None:
    """Each node's readout is that of a prompt which goes on with the node's path, patched at the
    same token, the layer first.
    """
    tree = TokenTree((40, 41), (-1, 0))
    donors = random(3, 8, 1, 32)
    cells = component_cells(LAYERS, ["resid_post", "mlp_out"])
    at = END[:, None]
    found = patch_map(
        ModelInputs(tiny_lm, ROWS, at),
        cells,
        donors,
        Reading(Metric(LOGITS.readout, tree=tree), 200),
    )
    assert found.patched.shape == (3, 2, 4, 3, 3)
    for node, path in enumerate(([], [40], [40, 41])):
        longer = ModelInputs(tiny_lm, [[*row, *path] for row in ROWS], at)
        alone = patch_map(longer, cells, donors, Reading(LOGITS, 200, engine("loop")))
        torch.testing.assert_close(found.base[:, node], alone.base, rtol=1e-4, atol=1e-5)
        torch.testing.assert_close(found.patched[..., node, :], alone.patched, rtol=1e-4, atol=1e-5)


def test_windows_slide_by_one() -> None:
    cells = window_cells([0, 2, 5], 2).cells
    assert [[site.layer for site in cell.sites] for cell in cells] == [[0, 2], [2, 5]]
    with pytest.raises(WorkbenchError, match="spans 1 to 3 of the layers given, not 4"):
        window_cells([0, 2, 5], 4)


def test_a_grid_has_a_cell_for_every_label() -> None:
    cell = Cell((Site(0),), (0,))
    with pytest.raises(WorkbenchError, match="A grid of layer x head has 4 cells, got 1"):
        Cells((cell,), (Axis("layer", (0, 1)), Axis("head", (0, 1))))


def test_donors_of_another_grid_are_refused(tiny_lm: LanguageModel) -> None:
    inputs = ModelInputs(tiny_lm, ROWS, END[:, None])
    for shape in ((3, 4, 32), (3, 4, 2, 32), (2, 4, 1, 32), (3, 3, 1, 32)):
        with pytest.raises(WorkbenchError, match="record them at the same sites and positions"):
            patch_map(inputs, layer_cells(LAYERS), torch.zeros(shape), Reading(LOGITS, 200))


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
    base, donor = (reading.unpatched(ModelInputs(lm, prompts)) for prompts in (BASE, DONOR))
    assert (donor - base).abs().min() > 1e-2
    axes = [1] * (patched.dim() - 1)
    return (patched - base.reshape(-1, *axes)) / (donor - base).reshape(-1, *axes)


def from_donor(
    lm: LanguageModel, positions: torch.Tensor, cells: Cells, reading: Reading
) -> torch.Tensor:
    states = record(lm, DONOR, positions.tolist(), cells.sites)
    return patch_map(ModelInputs(lm, BASE, positions), cells, states, reading).patched


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
    reading = Reading(Metric(logit_difference(60, 70)), 300)
    places = torch.arange(END_OF_ALL + 1).expand(2, -1)
    found = shift(lm, from_donor(lm, places, position_cells(LAYERS, 7), reading), reading)
    expected = torch.zeros((4, 7))
    expected[:layer, SUBJECT] = 1
    expected[layer:, END_OF_ALL] = 1
    torch.testing.assert_close(found, expected.expand(2, -1, -1), rtol=0, atol=1e-3)

    end = torch.full((2, 1), END_OF_ALL)
    found = shift(lm, from_donor(lm, end, head_cells(LAYERS, range(4)), reading), reading)
    expected = torch.zeros((4, 4))
    expected[layer, head] = 1
    torch.testing.assert_close(found, expected.expand(2, -1, -1), rtol=0, atol=1e-3)

    parts: list[Component] = ["attn_out", "mlp_out"]
    found = shift(lm, from_donor(lm, end, component_cells(LAYERS, parts), reading), reading)
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
    reading = Reading(Metric(logit_difference(60, 70)), 300)
    parts: list[Component] = ["attn_out", "mlp_out", "resid_post"]
    at, cells = END[:, None], component_cells(LAYERS, parts)
    on = ModelInputs(tuned, ROWS, at)
    off = ModelInputs(tuned, ROWS, at, lambda: adapter_off(tuned))
    high = record(tuned, ROWS, at.tolist(), cells.sites)
    with adapter_off(tuned):
        low = record(tuned, ROWS, at.tolist(), cells.sites)
    up, down = patch_map(off, cells, high, reading), patch_map(on, cells, low, reading)
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
    at = torch.full((2, 1), END_OF_ALL)
    other = [[*row[:-1], 90] for row in BASE]
    inputs, windows = ModelInputs(lm, BASE, at), window_cells(LAYERS, 2, "mlp_out")
    states = record(lm, other, at.tolist(), windows.sites)
    window = patch_map(inputs, windows, states, reading).patched
    single = patch_map(inputs, layer_cells(LAYERS, "mlp_out"), states, reading).patched
    torch.testing.assert_close(window[:, 0], single[:, 1], rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(window[:, 2], single[:, 2], rtol=1e-4, atol=1e-5)
    assert (window[:, 1] - single[:, 1]).abs().min() > 1e-4
    pre = record(lm, BASE, at.tolist(), [Site(1, "resid_pre")])[:, 0, 0]
    whole = lm.head()(lm.final_norm()(pre + states[:, 1, 0] + states[:, 2, 0]))[:, [11, 12, 13]]
    torch.testing.assert_close(window[:, 1], whole, rtol=1e-4, atol=1e-4)
