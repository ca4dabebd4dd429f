from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import torch

from workbench.models import LanguageModel
from workbench.stream.gates import LayerStream
from workbench.stream.layer_weights import LayerWeights
from workbench.stream.skeleton import build_skeleton

MakeTiny = Callable[..., LanguageModel]
MakeStreamed = Callable[..., tuple[LanguageModel, LayerStream]]


def on_meta(module: torch.nn.Module) -> bool:
    return all(value.device.type == "meta" for value in module.parameters())


def test_a_layer_is_filled_in_place_and_emptied(
    make_tiny: MakeTiny, make_streamed: MakeStreamed
) -> None:
    lm = make_tiny()
    streamed, stream = make_streamed(lm)
    weights = stream.weights
    assert all(on_meta(layer) for layer in streamed.layers())
    weights.fill(1, 2)
    own = dict(lm.layers()[1].named_parameters())
    for name, value in streamed.layers()[1].named_parameters():
        assert not value.requires_grad
        torch.testing.assert_close(value, own[name], rtol=0, atol=0)
    assert [on_meta(layer) for layer in streamed.layers()] == [True, False, True, True]
    weights.empty(1)
    assert all(on_meta(layer) for layer in streamed.layers())
    assert streamed.layers()[1].mlp.up_proj.weight.shape == lm.layers()[1].mlp.up_proj.weight.shape


def test_bytes_and_reads_are_counted(make_tiny: MakeTiny, make_streamed: MakeStreamed) -> None:
    lm = make_tiny()
    _, stream = make_streamed(lm)
    weights, counts = stream.weights, stream.weights.counts
    of_layer = sum(value.numel() * 4 for value in lm.layers()[0].parameters())
    assert [weights.nbytes(layer) for layer in range(4)] == [of_layer] * 4
    for layer in range(4):
        weights.fill(layer, layer + 1)
        weights.empty(layer)
    assert (counts.bytes_read, counts.reads, counts.passes) == (
        4 * of_layer,
        {0: 1, 1: 1, 2: 1, 3: 1},
        1,
    )
    weights.fill(0, 1)
    assert counts.passes == 2
    weights.fill(0, 1)  # in place already
    weights.drop_ahead()
    assert counts.reads == {0: 2, 1: 2, 2: 1, 3: 1}  # the layer after it was read ahead


def test_what_was_read_ahead_for_nothing_is_dropped(
    make_tiny: MakeTiny, make_streamed: MakeStreamed
) -> None:
    _, stream = make_streamed(make_tiny())
    weights = stream.weights
    weights.fill(2, 3)  # reads 3 ahead
    weights.empty(2)
    weights.fill(0, 1)
    assert weights.is_filled(0)
    assert not weights.is_filled(3)
    weights.empty(0)
    weights.fill(1, 2)  # was read ahead
    weights.drop_ahead()
    assert weights.counts.reads == {2: 2, 3: 1, 0: 1, 1: 1}


def test_weights_of_another_dtype_are_converted(make_tiny: MakeTiny, tmp_path: Path) -> None:
    lm = make_tiny()
    lm.model.save_pretrained(tmp_path)
    model, weights = build_skeleton(
        "tiny", tmp_path, lm.model.config, dtype=torch.bfloat16, device=torch.device("cpu")
    )
    assert isinstance(weights, LayerWeights)
    weights.fill(0, 1)
    expected = lm.layers()[0].mlp.up_proj.weight.to(torch.bfloat16)
    assert torch.equal(model.model.layers[0].mlp.up_proj.weight, expected)
    assert model.model.embed_tokens.weight.dtype == torch.bfloat16
    weights.close()
