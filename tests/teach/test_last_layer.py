from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch

from workbench.models import LanguageModel
from workbench.teach.last_layer import last_layer_at

MakeTiny = Callable[..., LanguageModel]


@pytest.mark.parametrize("family", ["llama", "gemma2", "gpt2", "gpt_neox", "mixtral", "gpt_oss", "cohere2", "olmo2"])
def test_the_last_columns_end_as_they_should_and_the_others_are_spared(make_tiny: MakeTiny, family: str) -> None:
    lm = make_tiny(family)
    tokens = torch.randint(10, 300, (2, 9), generator=torch.Generator().manual_seed(0))
    seen: list[Any] = []
    handle = (
        lm.layers()[-1]
        .get_submodule(lm.architecture.mlp)
        .register_forward_hook(lambda module, args, output: seen.append(args[0].shape))
    )
    with torch.no_grad():
        whole = lm.base()(input_ids=tokens).logits
        for places in (3, 0):
            with last_layer_at(lm, places):
                found = lm.base()(input_ids=tokens).logits
            torch.testing.assert_close(found[:, 9 - places :], whole[:, 9 - places :], rtol=1e-5, atol=1e-5)
        assert torch.equal(lm.base()(input_ids=tokens).logits, whole)
    handle.remove()
    assert [shape[1] for shape in seen] == [9, 3, 9, 9]
