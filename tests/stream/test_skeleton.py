from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import nn

from workbench.errors import WorkbenchError
from workbench.models import LanguageModel
from workbench.stream.gates import LayerStream
from workbench.stream.skeleton import layers_path

MakeTiny = Callable[..., LanguageModel]
MakeStreamed = Callable[..., tuple[LanguageModel, LayerStream]]


@pytest.mark.parametrize(
    ("family", "path"), [("llama", "model.layers"), ("gpt2", "transformer.h"), ("gemma2", None)]
)
def test_only_the_layers_are_empty(
    make_tiny: MakeTiny, make_streamed: MakeStreamed, family: str, path: str | None
) -> None:
    lm = make_tiny(family)
    path = path or "model.layers"
    streamed, _ = make_streamed(lm)
    assert layers_path(lm.model, "tiny") == path
    own = dict([*lm.model.named_parameters(), *lm.model.named_buffers()])
    for name, value in [*streamed.model.named_parameters(), *streamed.model.named_buffers()]:
        inside = name.startswith(f"{path}.") and isinstance(value, nn.Parameter)
        assert (value.device.type == "meta") == inside
        if not inside:
            torch.testing.assert_close(value, own[name], rtol=0, atol=0)
    assert not streamed.model.training


def test_a_tied_head_is_the_embedding(make_tiny: MakeTiny, make_streamed: MakeStreamed) -> None:
    streamed, _ = make_streamed(make_tiny(tie_word_embeddings=True))
    assert streamed.head().weight is streamed.embedding().weight


def test_a_model_with_two_such_lists_is_refused(make_tiny: MakeTiny) -> None:
    model = make_tiny().model
    model.other = nn.ModuleList([nn.Linear(1, 1) for _ in range(4)])
    with pytest.raises(WorkbenchError, match="has 2 lists of 4 layers"):
        layers_path(model, "tiny")
