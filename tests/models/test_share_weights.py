from __future__ import annotations

from collections.abc import Callable

import pytest
import torch

from workbench.models import LanguageModel, set_precision
from workbench.models.share_weights import share_weights


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_shared_weights_give_the_same_logits(
    make_tiny: Callable[..., LanguageModel], precision: str
) -> None:
    lm = make_tiny("llama")
    set_precision(lm, precision)  # type: ignore[arg-type]
    other = share_weights(lm)
    tokens = torch.tensor([[5, 6, 7, 8]])
    with torch.no_grad():
        assert torch.equal(lm.base()(tokens).logits, other.base()(tokens).logits)
    assert other.base() is not lm.base()
    assert other.precision == lm.precision == precision
    for one, two in zip(lm.base().parameters(), other.base().parameters(), strict=True):
        assert one is two
