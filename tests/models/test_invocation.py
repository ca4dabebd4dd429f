from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from peft import LoraConfig, get_peft_model
from peft.tuners.lora import LoraLayer
from torch import nn

from workbench.errors import WorkbenchError
from workbench.models import LanguageModel
from workbench.models.invocation import active_invocation, invoke_adapter_from

MakeTiny = Callable[..., LanguageModel]
IDS = torch.arange(5, 35).reshape(2, 15)


def with_invocation(
    lm: LanguageModel, length: int, modules: list[str] | None = None
) -> LanguageModel:
    """A random activated adapter."""
    config = LoraConfig(
        r=4,
        target_modules=modules or ["q_proj", "v_proj", "down_proj"],
        task_type="CAUSAL_LM",
        alora_invocation_tokens=list(range(length)),
    )
    model = get_peft_model(lm.base(), config).eval()
    generator = torch.Generator().manual_seed(4)
    for name, parameter in model.named_parameters():
        if "lora_" in name:
            parameter.data = torch.randn(parameter.shape, generator=generator) * 0.2
    return lm.with_model(model, length)


def hidden(lm: LanguageModel) -> torch.Tensor:
    with torch.no_grad():
        return lm.decoder()(input_ids=IDS, use_cache=False).last_hidden_state


def hooks(lm: LanguageModel) -> int:
    return sum(
        len(module._forward_pre_hooks) + len(module._forward_hooks) for module in lm.model.modules()
    )


@pytest.mark.parametrize("column", [0, 1, 9, 14, 15, 40])
def test_it_acts_from_the_column_on(make_tiny: MakeTiny, column: int) -> None:
    """The same as an ordinary adapter whose product is cut off before the column, by a hook of
    our own.
    """
    base = hidden(make_tiny())
    lm = with_invocation(make_tiny(), 3)
    with invoke_adapter_from(lm, column):
        found = hidden(lm)
    plain = make_tiny()
    names = {n for n, m in lm.base().named_modules() if isinstance(m, LoraLayer)}
    layers: dict[str, Any] = {n: m for n, m in lm.base().named_modules() if n in names}

    def cut(layer: Any) -> Callable[..., torch.Tensor]:
        a, b, scale = (
            layer.lora_A["default"].weight,
            layer.lora_B["default"].weight,
            layer.scaling["default"],
        )

        def hook(module: nn.Module, args: tuple[Any, ...], output: torch.Tensor) -> torch.Tensor:
            acts = (torch.arange(args[0].shape[1]) >= column).float()[None, :, None]
            return output + acts * (args[0] @ a.T @ b.T) * scale

        return hook

    for name, layer in layers.items():
        plain.base().get_submodule(name).register_forward_hook(cut(layer))
    torch.testing.assert_close(found, hidden(plain), rtol=1e-5, atol=1e-5)
    assert torch.equal(found[:, : min(column, 15)], base[:, : min(column, 15)])
    assert column >= 15 or (found[:, column:] - base[:, column:]).abs().max() > 1e-2


def test_it_leaves_no_hooks_behind_also_after_an_error(tiny_lm: LanguageModel) -> None:
    base = hidden(tiny_lm)
    lm = with_invocation(tiny_lm, 3)
    assert hooks(lm) == 0
    with invoke_adapter_from(lm, 9):
        assert hooks(lm) == 4 * 3
        with invoke_adapter_from(lm, 0):
            pass
        assert hooks(lm) == 4 * 3
    assert hooks(lm) == 0
    with pytest.raises(KeyError), invoke_adapter_from(lm, 9):
        raise KeyError
    assert hooks(lm) == 0
    assert torch.equal(hidden(lm), base)


def test_other_models_are_left_alone(make_tiny: MakeTiny) -> None:
    plain, whole = make_tiny(), make_tiny()
    whole = whole.with_model(get_peft_model(whole.base(), LoraConfig(r=4, task_type="CAUSAL_LM")))
    for lm in (plain, whole):
        before, count = hidden(lm), hooks(lm)
        with invoke_adapter_from(lm, 5):
            assert hooks(lm) == count
            assert torch.equal(hidden(lm), before)
        assert active_invocation(lm) is None


def test_off_it_is_the_base_model_and_has_no_reach(tiny_lm: LanguageModel) -> None:
    base = hidden(tiny_lm)
    lm = with_invocation(tiny_lm, 3)
    assert active_invocation(lm) == lm.invocation_length == 3
    with lm.model.disable_adapter(), invoke_adapter_from(lm, 0):
        assert torch.equal(hidden(lm), base)
        assert active_invocation(lm) is None
    assert active_invocation(lm) == 3


def test_modules_that_see_tokens_without_their_place_are_refused(make_tiny: MakeTiny) -> None:
    """The gate of a shared expert gets all tokens of all rows as one list."""
    lm = with_invocation(make_tiny("qwen3_next"), 3, ["shared_expert_gate"])
    refused = r"without their place, such as experts; .*teach\.lora\.target_modules"
    with pytest.raises(WorkbenchError, match=refused), invoke_adapter_from(lm, 3):
        hidden(lm)
    assert hooks(lm) == 0
