from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from tests.support.tiny_models import FAMILIES
from workbench.errors import WorkbenchError
from workbench.models import LanguageModel
from workbench.stream.gates import LayerStream, gate_of
from workbench.stream.spill import held_bytes
from workbench.stream.tasks import Task
from workbench.trace.hooks import bypass_layers

MakeTiny = Callable[..., LanguageModel]
MakeStreamed = Callable[..., tuple[LanguageModel, LayerStream]]
IDS = torch.tensor([[5, 6, 7, 8, 9, 10, 11]])


def logits(lm: LanguageModel) -> Tensor:
    with torch.no_grad():
        return lm.base()(input_ids=IDS, use_cache=False).logits


@pytest.mark.parametrize("family", FAMILIES)
def test_a_plain_forward_reads_every_layer_once(
    make_tiny: MakeTiny, make_streamed: MakeStreamed, family: str
) -> None:
    lm = make_tiny(family)
    streamed, stream = make_streamed(lm)
    assert torch.equal(logits(streamed), logits(lm))
    counts = stream.weights.counts
    assert counts.passes == 1
    assert counts.bytes_read == sum(stream.weights.nbytes(layer) for layer in range(lm.n_layers))


def test_held_layers_stay_in_place(make_tiny: MakeTiny, make_streamed: MakeStreamed) -> None:
    lm = make_tiny()
    streamed, stream = make_streamed(lm)
    with stream.held([0, 1]):
        logits(streamed)
        logits(streamed)
    stream.rest()
    assert [stream.weights.counts.reads[layer] for layer in range(4)] == [1, 1, 2, 2]
    assert not stream.weights.is_filled(0)


def test_layers_are_passed_by_for_one_task_alone(
    make_tiny: MakeTiny, make_streamed: MakeStreamed
) -> None:
    """Those that are bypassed are not read."""
    streamed, stream = make_streamed(make_tiny())
    gate = gate_of(streamed.layers()[0])
    assert gate is not None
    states = torch.ones(1, 2, 32)
    task = Task(lambda: None)
    with bypass_layers(streamed, 2):
        assert torch.equal(streamed.layers()[0](states), states)
        assert torch.equal(streamed.layers()[1](states), states)
    assert stream.weights.counts.reads == {}
    gate._skips[task] = [lambda *_: "passed by"]
    child = Task(lambda: gate(states), parent=task)
    child.resume()
    assert child.result == "passed by"


def test_gradients_are_refused(make_tiny: MakeTiny, make_streamed: MakeStreamed) -> None:
    streamed, _ = make_streamed(make_tiny())
    embedded = torch.randn(1, 3, 32, requires_grad=True)
    with pytest.raises(WorkbenchError, match="gradients need every layer in memory"):
        streamed.base()(inputs_embeds=embedded, use_cache=False)


def test_a_closed_stream_gives_the_layers_back(
    make_tiny: MakeTiny, make_streamed: MakeStreamed
) -> None:
    streamed, stream = make_streamed(make_tiny())
    own = type(streamed.layers()[0]).forward
    stream.close()
    assert gate_of(streamed.layers()[0]) is None
    assert streamed.layers()[0].forward.__func__ is own
    assert gate_of(nn.Linear(1, 1)) is None


def test_shared_memory_is_counted_once(make_tiny: MakeTiny, make_streamed: MakeStreamed) -> None:
    _, stream = make_streamed(make_tiny())
    states = torch.zeros(3, 5)
    assert held_bytes([states, states[0], states.T], stream.spill) == 60
