from __future__ import annotations

from collections.abc import Callable

import pytest

from workbench.errors import WorkbenchError
from workbench.models import LanguageModel
from workbench.stream.gates import LayerStream
from workbench.stream.model import only_first_layers, require_in_memory, stream_of
from workbench.trace.backends import engine

MakeTiny = Callable[..., LanguageModel]
MakeStreamed = Callable[..., tuple[LanguageModel, LayerStream]]


@pytest.mark.parametrize(
    ("family", "changes", "count"),
    [
        ("llama", {}, 2),
        ("gemma3_text", {"num_hidden_layers": 8}, 6),
        ("gemma2", {}, 2),
        ("qwen3_moe", {"mlp_only_layers": [0, 1]}, 3),
    ],
)
def test_first_layers_show_every_kind(
    make_tiny: MakeTiny, family: str, changes: dict[str, object], count: int
) -> None:
    model = make_tiny(family, **changes).model
    layers = model.model.layers
    with only_first_layers(model, "tiny"):
        assert len(model.model.layers) == model.config.num_hidden_layers == count
        assert list(model.model.layers) == list(layers)[:count]
    assert model.model.layers is layers
    assert model.config.num_hidden_layers == len(layers)


def test_a_streamed_model_knows_its_stream(
    make_tiny: MakeTiny, make_streamed: MakeStreamed
) -> None:
    lm = make_tiny()
    streamed, stream = make_streamed(lm)
    assert stream_of(lm) is None
    assert stream_of(streamed) is stream
    require_in_memory(lm, "an adapter")
    with pytest.raises(WorkbenchError, match=r"set model\.placement=device"):
        require_in_memory(streamed, "an adapter")
    stream.close()
    assert stream_of(streamed) is None


def test_other_libraries_refuse_it(make_tiny: MakeTiny, make_streamed: MakeStreamed) -> None:
    streamed, _ = make_streamed(make_tiny())
    for name in ("nnsight", "transformer-lens"):
        with pytest.raises(WorkbenchError, match=f"The {name} backend needs every layer"):
            engine(name)(streamed)
