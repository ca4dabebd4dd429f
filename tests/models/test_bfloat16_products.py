"""Products in bfloat16 emulated in float32: the numbers of torch's own kernels up to one rounding."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from workbench.models import bfloat16_products
from workbench.models.bfloat16_products import EmulatedProducts, bfloat16_arithmetic

ROUNDING = 2**-7
"""Distance between two neighbouring bfloat16 numbers, as a share of them, at most."""


def products(emulated: bool) -> list[Tensor]:
    """A linear map with a frozen rounded matrix, one with a trained matrix and a bias, and a
    product of two states, with their gradients.
    """
    draw = torch.Generator().manual_seed(0)
    states = torch.randn(7, 24, generator=draw).requires_grad_()
    frozen = torch.randn(16, 24, generator=draw).bfloat16()
    trained = torch.randn(5, 16, generator=draw).requires_grad_()
    bias = torch.randn(5, generator=draw).requires_grad_()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        if emulated:
            with EmulatedProducts():
                out = functional.linear(functional.linear(states, frozen), trained, bias)
                both = out @ out.T
        else:
            out = functional.linear(functional.linear(states, frozen), trained, bias)
            both = out @ out.T
    assert out.dtype == both.dtype == torch.bfloat16
    both.float().square().mean().backward()
    assert states.grad is not None
    assert trained.grad is not None
    assert bias.grad is not None
    return [out.detach().float(), both.detach().float(), states.grad, trained.grad, bias.grad]


def test_products_and_gradients_are_those_of_the_kernels_up_to_rounding() -> None:
    for emulated, own in zip(products(True), products(False), strict=True):
        assert emulated.dtype == own.dtype
        assert (emulated - own).abs().max() <= 3 * ROUNDING * own.abs().max()
        assert (emulated == own).float().mean() > 0.5


def test_a_product_is_rounded_once_and_by_hand() -> None:
    # 1 + 2^-8 rounds to 1 (ties to even), 3 + 3 * 2^-8 to 3.015625; 256 + 1 rounds to 256.
    factors = torch.tensor([[1 + 2**-8, 3 + 3 * 2**-8]])
    matrix = torch.tensor([[256.0, 0.0], [1.0, 1.0], [256.0, 1.0]])
    with torch.autocast("cpu", dtype=torch.bfloat16), EmulatedProducts():
        out = functional.linear(factors, matrix)
    assert out.tolist() == [[256.0, 4.0, 260.0]]


def test_outside_autocast_and_of_other_numbers_nothing_is_rounded() -> None:
    draw = torch.Generator().manual_seed(1)
    one, other = torch.randn(4, 4, generator=draw), torch.randn(4, 4, generator=draw)
    whole = torch.arange(4)
    with EmulatedProducts():
        assert torch.equal(one @ other, torch.mm(one, other))
        assert (one @ other).dtype == torch.float32
        with torch.autocast("cpu", dtype=torch.bfloat16):
            assert (whole @ whole).item() == 14
            with torch.autocast("cpu", enabled=False):
                assert (one @ other).dtype == torch.float32


def test_a_product_into_a_given_place_is_filled_as_autocast_fills_it() -> None:
    draw = torch.Generator().manual_seed(2)
    one, other = torch.randn(3, 4, generator=draw), torch.randn(4, 5, generator=draw)
    places = torch.zeros(3, 5), torch.zeros(3, 5)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        torch.mm(one, other, out=places[0])
        with EmulatedProducts():
            torch.mm(one, other, out=places[1])
    assert torch.equal(*places)
    assert torch.equal(places[1], one @ other)


@pytest.mark.parametrize("units", [True, False])
def test_only_processors_without_units_are_emulated(
    monkeypatch: pytest.MonkeyPatch, units: bool
) -> None:
    monkeypatch.setattr(bfloat16_products, "has_bfloat16_units", lambda: units)
    looked: list[Tensor] = []
    plain = bfloat16_products._rounded

    def rounded(factor: Tensor) -> Tensor:
        looked.append(factor)
        return plain(factor)

    monkeypatch.setattr(bfloat16_products, "_rounded", rounded)
    with bfloat16_arithmetic("cpu"):
        out = functional.linear(torch.ones(2, 3), torch.ones(4, 3))
    assert out.dtype == torch.bfloat16
    assert bool(looked) is not units
