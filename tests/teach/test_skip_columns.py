from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch

from workbench.models import LanguageModel
from workbench.teach.skip_columns import skip_unused_columns

MakeTiny = Callable[..., LanguageModel]


@pytest.mark.parametrize(
    "family", ["llama", "gemma2", "gpt2", "gpt_neox", "mixtral", "gpt_oss", "cohere2", "olmo2"]
)
def test_the_last_columns_end_as_they_should_and_the_others_are_spared(
    make_tiny: MakeTiny, family: str
) -> None:
    """The second row's last column is padding behind it, which no other column sees."""
    lm = make_tiny(family)
    tokens = torch.randint(10, 300, (2, 9), generator=torch.Generator().manual_seed(0))
    real = torch.ones(2, 9, dtype=torch.bool)
    real[1, 8] = False
    seen: list[list[Any]] = [[], []]
    handles = [
        lm.layers()[layer]
        .get_submodule(lm.architecture.mlp)
        .register_forward_hook(
            lambda module, args, output, into=into: into.append(args[0].shape[:2].numel())
        )
        for layer, into in zip((0, -1), seen, strict=True)
    ]
    with torch.no_grad():
        whole = lm.base()(input_ids=tokens).logits
        for places in (3, 0):
            with skip_unused_columns(lm, real, places):
                found = lm.base()(input_ids=tokens).logits
            for row, end in ((0, 9), (1, 8)):
                torch.testing.assert_close(
                    found[row, 9 - places : end], whole[row, 9 - places : end], rtol=1e-5, atol=1e-5
                )
        with skip_unused_columns(lm, torch.ones_like(real), 0):
            assert torch.equal(lm.base()(input_ids=tokens).logits, whole)
        assert torch.equal(lm.base()(input_ids=tokens).logits, whole)
    for handle in handles:
        handle.remove()
    assert seen == [[18, 17, 17, 18, 18], [18, 5, 17, 18, 18]]
