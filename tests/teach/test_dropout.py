from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from peft import LoraConfig, get_peft_model
from torch import nn

from workbench.models import LanguageModel
from workbench.teach.dropout import LEVELS, MaskPool, PooledDropout, use_pooled_dropout

MakeTiny = Callable[..., LanguageModel]
N = 400_000


def dropout_of(p: float) -> PooledDropout:
    return PooledDropout(MaskPool(p))


@pytest.mark.parametrize("p", [0.05, 0.1, 0.5, 0.9])
def test_share_zeroed_and_mean_are_those_of_dropout(p: float) -> None:
    torch.manual_seed(11)
    out = dropout_of(p)(torch.ones(N))
    rounded = round(p * LEVELS) / LEVELS
    zeroed = float((out == 0).double().mean())
    deviation = (rounded * (1 - rounded) / N) ** 0.5
    assert abs(zeroed - rounded) < 4 * deviation
    assert abs(float(out.double().mean()) - 1) < 4 * deviation / (1 - rounded)
    assert out[out != 0].unique().tolist() == pytest.approx([1 / (1 - rounded)])
    assert abs(rounded - p) <= 0.5 / LEVELS


def test_elements_of_a_call_fall_independently() -> None:
    torch.manual_seed(3)
    zero = dropout_of(0.5)(torch.ones(N)) == 0
    assert abs(float((zero[:-1] & zero[1:]).double().mean()) - 0.25) < 4 * (0.25 * 0.75 / N) ** 0.5


def test_torchs_seed_decides_each_pool_and_every_call_takes_another_stretch() -> None:
    pool = MaskPool(0.3)
    dropout, x = PooledDropout(pool), torch.randn(50, 40)
    torch.manual_seed(5)
    pool.renew(N)
    first, second = dropout(x), dropout(x)
    assert not torch.equal(first, second)
    torch.manual_seed(5)
    pool.renew(N)
    assert torch.equal(dropout(x), first)
    assert torch.equal(dropout(x), second)
    pool.renew(N)
    assert not torch.equal(dropout(x), first)


def test_a_pool_too_small_for_a_call_is_drawn_larger() -> None:
    pool = MaskPool(0.3)
    pool.renew(10)
    assert float((PooledDropout(pool)(torch.ones(1000)) == 0).double().mean()) == pytest.approx(0.3, abs=0.06)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_values_and_gradients_are_kept_and_scaled(dtype: torch.dtype) -> None:
    torch.manual_seed(0)
    x = torch.randn(7, 5, 3, dtype=dtype).transpose(0, 2).requires_grad_()
    out = dropout_of(0.25)(x)
    out.sum().backward()
    assert out.dtype == dtype
    assert out.shape == (3, 5, 7)
    kept = out != 0
    torch.testing.assert_close(out[kept], x[kept] * (4 / 3))
    torch.testing.assert_close(x.grad, kept.to(dtype) * torch.tensor(4 / 3, dtype=dtype))


def test_nothing_happens_outside_training_or_at_rate_zero() -> None:
    x = torch.randn(1000)
    assert dropout_of(0.5).eval()(x) is x
    assert dropout_of(0.0)(x) is x


def test_the_dropout_of_every_adapted_module_is_exchanged_and_no_other(make_tiny: MakeTiny) -> None:
    lm = make_tiny("gpt2", attn_pdrop=0.1)
    config = LoraConfig(r=2, lora_dropout=0.2, target_modules=["c_proj"], fan_in_fan_out=True)
    model = get_peft_model(lm.base(), config)
    before = [name for name, module in model.named_modules() if isinstance(module, nn.Dropout)]
    adapted = [name for name in before if "lora_dropout" in name]
    use_pooled_dropout(model, 0.2)
    after = {name: module for name, module in model.named_modules() if isinstance(module, PooledDropout)}
    assert sorted(after) == sorted(adapted)
    assert len(adapted) == 8
    assert {module._pool.threshold for module in after.values()} == {round(0.2 * LEVELS)}
    left = [name for name, module in model.named_modules() if isinstance(module, nn.Dropout)]
    assert left == [name for name in before if name not in adapted]
    assert left


def test_without_dropout_there_is_nothing_to_exchange(make_tiny: MakeTiny) -> None:
    config = LoraConfig(r=2, lora_dropout=0.0, target_modules=["o_proj"])
    model = get_peft_model(make_tiny().base(), config)
    use_pooled_dropout(model, 0.0)
    assert not any(isinstance(module, PooledDropout) for module in model.modules())
