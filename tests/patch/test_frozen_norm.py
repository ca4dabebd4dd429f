from __future__ import annotations

from collections.abc import Callable

import pytest
import torch

from workbench.errors import WorkbenchError
from workbench.models import LanguageModel
from workbench.patch.frozen_norm import frozen

MakeTiny = Callable[..., LanguageModel]


def states(width: int = 32) -> torch.Tensor:
    return 2 * torch.randn((5, width), generator=torch.Generator().manual_seed(0)) + 0.3


@pytest.mark.parametrize("family", ["llama", "gemma2", "cohere2", "gpt2", "gpt_oss"])
def test_the_frozen_map_is_the_norm_where_it_was_frozen(make_tiny: MakeTiny, family: str) -> None:
    norm = make_tiny(family).final_norm()
    with torch.no_grad():
        for weight in norm.parameters():
            weight.add_(torch.randn(weight.shape, generator=torch.Generator().manual_seed(1)))
    found = frozen(norm, states(), 1e-5)
    assert found.centred == (family in ("cohere2", "gpt2"))
    direction = torch.randn(
        (5, 32), generator=torch.Generator().manual_seed(2), dtype=torch.float64
    )
    by_map = (found.back(direction) * states()).sum(dim=-1) + (direction * found.bias).sum(dim=-1)
    with torch.no_grad():
        torch.testing.assert_close(
            by_map, (direction * norm(states())).sum(dim=-1), rtol=1e-5, atol=1e-4
        )


@pytest.mark.parametrize("width", [7, 32])
def test_gain_bias_and_scale_of_a_layer_norm(width: int) -> None:
    norm = torch.nn.LayerNorm(width)
    with torch.no_grad():
        norm.weight.copy_(torch.linspace(-1, 2, width))
        norm.bias.copy_(torch.linspace(3, 4, width))
    found = frozen(norm, states(width), 1e-5)
    torch.testing.assert_close(found.gain, norm.weight.detach().double(), rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(found.bias, norm.bias.detach().double())
    deviation = (states(width).var(dim=-1, unbiased=False) + norm.eps).sqrt()
    torch.testing.assert_close(found.scale, deviation.double(), rtol=1e-4, atol=1e-5)


def test_a_module_of_another_form_is_refused() -> None:
    with pytest.raises(WorkbenchError, match="Tanh is not a gain"):
        frozen(torch.nn.Tanh(), states(), 1e-4)
