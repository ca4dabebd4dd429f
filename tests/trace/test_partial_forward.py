from __future__ import annotations

from collections.abc import Callable

import pytest
import torch

from workbench.errors import WorkbenchError
from workbench.models import LanguageModel
from workbench.trace.partial_forward import forward_from_layer, forward_to_layer

MakeTiny = Callable[..., LanguageModel]
TOKENS = torch.randint(10, 300, (2, 7), generator=torch.Generator().manual_seed(0))
POSITIONS = torch.arange(7).expand(2, -1)


@pytest.mark.parametrize("family", ["llama", "gemma2", "gpt2", "gpt_neox", "granite"])
@pytest.mark.parametrize("first", [1, 3])
def test_a_pass_from_a_layer_on_ends_as_the_whole_one(
    make_tiny: MakeTiny, family: str, first: int
) -> None:
    lm = make_tiny(family)
    counted: list[int] = []
    handles = [
        layer.register_forward_pre_hook(lambda module, args, n=n: counted.append(n))
        for n, layer in enumerate(lm.layers())
    ]
    states = forward_to_layer(lm, first - 1, TOKENS, POSITIONS, None)
    assert counted == list(range(first))
    for handle in handles:
        handle.remove()
    with torch.no_grad():
        whole = lm.base()(input_ids=TOKENS).logits
        with forward_from_layer(lm, first, states):
            # Other tokens: nothing of them may reach the layers above.
            begun = lm.base()(input_ids=TOKENS.flip(1)).logits
        torch.testing.assert_close(begun, whole, rtol=1e-5, atol=1e-5)
        assert torch.equal(lm.base()(input_ids=TOKENS).logits, whole)


def test_layer_0_starts_with_the_tokens(tiny_lm: LanguageModel) -> None:
    """From the first layer on there is nothing to leave out, whatever states are at hand."""
    with torch.no_grad():
        whole = tiny_lm.base()(input_ids=TOKENS).logits
        for states in (None, torch.randn(2, 7, tiny_lm.width)):
            with forward_from_layer(tiny_lm, 0, states):
                assert torch.equal(tiny_lm.base()(input_ids=TOKENS).logits, whole)


def test_a_layer_the_model_lacks_is_refused(tiny_lm: LanguageModel) -> None:
    with pytest.raises(WorkbenchError, match="Layer 4 does not exist"):
        forward_to_layer(tiny_lm, 4, TOKENS, POSITIONS, None)
    with (
        pytest.raises(WorkbenchError, match="Layer 9 does not exist"),
        forward_from_layer(tiny_lm, 9, torch.zeros(2, 7, 32)),
    ):
        pass
