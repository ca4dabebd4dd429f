from __future__ import annotations

import copy
from collections.abc import Callable

import pytest
import torch
from torch import nn

from workbench.models import LanguageModel, in_float32, set_precision
from workbench.models.bfloat16_products import bfloat16_arithmetic
from workbench.models.tied_head import ATTRIBUTE
from workbench.models.unembed import unembed

MakeTiny = Callable[..., LanguageModel]
STATES = torch.linspace(-2, 2, 5 * 32).reshape(5, 32)


@pytest.fixture
def tied(make_tiny: MakeTiny) -> LanguageModel:
    lm = make_tiny("llama", tie_word_embeddings=True)
    set_precision(lm, "bfloat16")
    return lm


def by_autocast(lm: LanguageModel, states: torch.Tensor = STATES) -> torch.Tensor:
    """Return the logits of autocast's own product with the weight as it is now."""
    head = lm.head()
    assert isinstance(head, nn.Linear)
    with bfloat16_arithmetic("cpu"):
        return nn.functional.linear(states, head.weight, head.bias).float()


def test_logits_are_autocasts_own_to_the_bit_and_the_weight_stays_tied(tied: LanguageModel) -> None:
    for _ in range(2):
        assert torch.equal(unembed(tied, STATES), by_autocast(tied))
    assert torch.equal(tied.head()(input=STATES).float(), by_autocast(tied))
    head = tied.head()
    assert head.weight is tied.embedding().weight
    assert head.weight.dtype == torch.float32
    assert getattr(head, ATTRIBUTE).rounded.dtype == torch.bfloat16
    kept = {value.dtype for name, value in tied.base().state_dict().items() if "head" in name}
    assert kept == {torch.float32}


def test_gradients_of_states_are_autocasts_own(tied: LanguageModel) -> None:
    def gradient(logits_of: Callable[[torch.Tensor], torch.Tensor]) -> torch.Tensor:
        states = STATES.clone().requires_grad_(True)
        logits_of(states).square().sum().backward()
        assert states.grad is not None
        return states.grad

    found = gradient(lambda states: unembed(tied, states))
    assert torch.equal(found, gradient(lambda states: by_autocast(tied, states)))


CHANGES: dict[str, Callable[[nn.Linear], object]] = {
    "in place": lambda head: head.weight.mul_(2),
    "other numbers": lambda head: setattr(head.weight, "data", head.weight.data * 2),
    "another weight": lambda head: setattr(
        head, "weight", nn.Parameter(head.weight.detach() * 2, requires_grad=False)
    ),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_a_weight_that_changes_is_cast_anew(
    tied: LanguageModel, change: Callable[[nn.Linear], object]
) -> None:
    before = unembed(tied, STATES)
    head = tied.head()
    assert isinstance(head, nn.Linear)
    with torch.no_grad():
        change(head)
    assert torch.equal(unembed(tied, STATES), by_autocast(tied))
    assert torch.equal(unembed(tied, STATES), 2 * before)


def test_a_copy_has_a_cast_of_its_own(tied: LanguageModel) -> None:
    before = unembed(tied, STATES)
    other = tied.with_model(copy.deepcopy(tied.model))
    with torch.no_grad():
        other.embedding().weight.mul_(2)
    assert torch.equal(unembed(other, STATES), 2 * before)
    assert torch.equal(unembed(tied, STATES), before)


def test_a_weight_that_is_trained_gets_its_gradient(tied: LanguageModel) -> None:
    unembed(tied, STATES)
    weight = tied.embedding().weight.requires_grad_(True)
    unembed(tied, STATES).sum().backward()
    assert weight.grad is not None
    assert weight.grad.abs().sum() > 0


def test_float32_uses_no_cast_and_releases_it(tied: LanguageModel) -> None:
    lower = unembed(tied, STATES)
    with in_float32(tied):
        assert not hasattr(tied.head(), ATTRIBUTE)
        exact = unembed(tied, STATES)
        torch.testing.assert_close(exact, STATES @ tied.embedding().weight.T)
    assert torch.equal(unembed(tied, STATES), lower)
    set_precision(tied, "float32")
    assert not hasattr(tied.head(), ATTRIBUTE)
    assert torch.equal(unembed(tied, STATES), exact)


def test_a_head_with_a_matrix_of_its_own_is_rounded_in_place(make_tiny: MakeTiny) -> None:
    lm = make_tiny("llama")
    set_precision(lm, "bfloat16")
    unembed(lm, STATES)
    assert not hasattr(lm.head(), ATTRIBUTE)
    assert lm.head().weight.dtype == torch.bfloat16
