from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from peft import LoraConfig, get_peft_model
from torch import nn

from workbench.models import LanguageModel
from workbench.teach.dropout import LEVELS, MaskPool, PooledDropout, pooled_dropout

MakeTiny = Callable[..., LanguageModel]
N = 400_000
POOL = 1 << 12


@pytest.mark.parametrize("p", [0.05, 0.1, 0.5, 0.9])
def test_share_zeroed_and_mean_are_those_of_dropout(p: float) -> None:
    torch.manual_seed(11)
    out = PooledDropout(MaskPool(p))(torch.ones(N))
    rounded = round(p * LEVELS) / LEVELS
    zeroed = float((out == 0).double().mean())
    deviation = (rounded * (1 - rounded) / N) ** 0.5
    assert abs(zeroed - rounded) < 4 * deviation
    assert abs(float(out.double().mean()) - 1) < 4 * deviation / (1 - rounded)
    assert out[out != 0].unique().tolist() == pytest.approx([1 / (1 - rounded)])
    assert abs(rounded - p) <= 0.5 / LEVELS


def test_elements_fall_independently() -> None:
    """Neighbours, and the same places of two calls, share zeros as often as chance has it."""
    torch.manual_seed(3)
    dropout = PooledDropout(MaskPool(0.5))
    first, second = dropout(torch.ones(N)) == 0, dropout(torch.ones(N)) == 0
    for a, b in ((first, second), (first[:-1], first[1:])):
        assert abs(float((a & b).double().mean()) - 0.25) < 4 * (0.25 * 0.75 / N) ** 0.5


def test_torchs_state_when_a_pool_begins_decides_every_call_after() -> None:
    pool = MaskPool(0.3)
    dropout = PooledDropout(pool)
    x = torch.randn(10, 40)
    torch.manual_seed(5)
    state = torch.get_rng_state()
    pool.renew(POOL)
    steps = [dropout(x) for _ in range(3)]
    pool.renew(POOL)
    later = dropout(x)
    assert not any(torch.equal(a, b) for a, b in zip([*steps[1:], later], steps, strict=False))
    fresh = MaskPool(0.3)
    torch.set_rng_state(state)
    fresh.renew(POOL)
    assert all(torch.equal(PooledDropout(fresh)(x), step) for step in steps)
    fresh.renew(POOL)
    assert torch.equal(PooledDropout(fresh)(x), later)


def test_a_pool_that_was_not_begun_or_is_too_small_begins_by_itself() -> None:
    pool = MaskPool(0.5)
    torch.manual_seed(1)
    first = pool.mask(torch.ones(100))
    torch.manual_seed(1)
    assert torch.equal(MaskPool(0.5).mask(torch.ones(100)), first)
    pool.renew(50)
    assert (pool.mask(torch.ones(300, 7)) == 0).double().mean() == pytest.approx(
        0.5, abs=4 * 0.5 / 2100**0.5
    )


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_values_and_gradients_are_kept_and_scaled(dtype: torch.dtype) -> None:
    torch.manual_seed(0)
    x = torch.randn(7, 5, 3, dtype=dtype).transpose(0, 2).requires_grad_()
    pool = MaskPool(0.25)
    pool.renew(POOL)
    out = PooledDropout(pool)(x)
    out.sum().backward()
    assert out.dtype == dtype
    assert out.shape == (3, 5, 7)
    kept = out != 0
    assert 0 < int(kept.sum()) < out.numel()
    torch.testing.assert_close(out[kept], x[kept] * (4 / 3))
    torch.testing.assert_close(x.grad, kept.to(dtype) * torch.tensor(4 / 3, dtype=dtype))


def test_nothing_happens_outside_training_or_at_rate_zero() -> None:
    x = torch.randn(1000)
    before = torch.get_rng_state()
    assert PooledDropout(MaskPool(0.5)).eval()(x) is x
    assert PooledDropout(MaskPool(0.0))(x) is x
    assert torch.equal(torch.get_rng_state(), before)


def test_the_dropout_of_every_adapted_module_is_exchanged_and_no_other(make_tiny: MakeTiny) -> None:
    lm = make_tiny("gpt2", attn_pdrop=0.1)
    config = LoraConfig(r=2, lora_dropout=0.2, target_modules=["c_proj"], fan_in_fan_out=True)
    model = get_peft_model(lm.base(), config)
    before = [name for name, module in model.named_modules() if isinstance(module, nn.Dropout)]
    adapted = [name for name in before if "lora_dropout" in name]
    own = {name: module for name, module in model.named_modules() if name in adapted}
    with pooled_dropout(model, 0.2) as pool:
        after = {
            name: module
            for name, module in model.named_modules()
            if isinstance(module, PooledDropout)
        }
        assert sorted(after) == sorted(adapted)
        assert len(adapted) == 8
        assert pool.threshold == round(0.2 * LEVELS)
        left = [name for name, module in model.named_modules() if isinstance(module, nn.Dropout)]
        assert left == [name for name in before if name not in adapted]
        assert left
        model.train()
        torch.manual_seed(2)
        pool.renew(POOL)
        x = torch.randn(3, 32)
        torch.manual_seed(2)
        twin = MaskPool(0.2)
        twin.renew(POOL)
        assert torch.equal(after[adapted[0]](x), PooledDropout(twin)(x))
    assert {name: module for name, module in model.named_modules() if name in adapted} == own
    assert all(module.training for module in own.values())


def test_without_dropout_there_is_nothing_to_exchange(make_tiny: MakeTiny) -> None:
    config = LoraConfig(r=2, lora_dropout=0.0, target_modules=["o_proj"])
    model = get_peft_model(make_tiny().base(), config)
    with pooled_dropout(model, 0.0):
        assert not any(isinstance(module, PooledDropout) for module in model.modules())
