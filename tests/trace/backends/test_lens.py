from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import pytest
import torch
from peft import LoraConfig, get_peft_model

from tests.support.tiny_models import WRITTEN_OUT
from workbench.errors import WorkbenchError
from workbench.models import LanguageModel
from workbench.trace.backends.lens import HOOKS, LensBackend, hook_name
from workbench.trace.interventions import Patch
from workbench.trace.sites import COMPONENTS, Site

MakeTiny = Callable[..., LanguageModel]


def tuned(lm: LanguageModel) -> Any:
    torch.manual_seed(5)
    model = get_peft_model(
        lm.model, LoraConfig(r=4, target_modules=["q_proj", "o_proj", "down_proj"])
    )
    for name, parameter in model.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(parameter, std=0.3)
    return model.eval().requires_grad_(False)


@pytest.mark.parametrize("family", WRITTEN_OUT)
def test_same_sites_same_answers(
    make_tiny: MakeTiny, agree: Callable[..., None], family: str
) -> None:
    lm = make_tiny(family)
    agree(LensBackend(lm), lm)


def test_a_window_shorter_than_the_prompts(make_tiny: MakeTiny, agree: Callable[..., None]) -> None:
    lm = make_tiny("gemma2", sliding_window=4)
    agree(LensBackend(lm), lm)


def test_the_loaded_model_is_not_touched(make_tiny: MakeTiny) -> None:
    lm = make_tiny("llama")
    modules = {name: type(module) for name, module in lm.model.named_modules()}
    weights = {name: parameter.data_ptr() for name, parameter in lm.model.named_parameters()}
    backend = LensBackend(lm)
    backend.record([[5, 6]], [[1]], [Site(1)])
    assert {name: type(module) for name, module in lm.model.named_modules()} == modules
    assert {
        name: parameter.data_ptr() for name, parameter in lm.model.named_parameters()
    } == weights
    assert lm.model.config._attn_implementation == "sdpa"
    assert backend.bridge.original_model is not lm.model


def test_a_model_of_its_own_is_used_and_the_loaded_one_refused(make_tiny: MakeTiny) -> None:
    lm = make_tiny("llama")
    own = copy.deepcopy(lm.model)
    assert LensBackend(lm, model=own).bridge.original_model is own
    with pytest.raises(WorkbenchError, match="one of its own"):
        LensBackend(lm, model=lm.model)


def test_the_bridge_reads_text_with_the_models_tokenizer(tiny_lm: LanguageModel) -> None:
    bridge = LensBackend(tiny_lm).bridge
    ids = tiny_lm.tokenizer("What is the")["input_ids"]
    assert bridge.to_tokens("What is the").tolist() == [ids]
    assert bridge.to_str_tokens("What is the") == ["What", " is", " the"]
    assert bridge.to_single_token("What") == ids[0]
    assert tiny_lm.tokenizer.padding_side == "left"


def test_no_hook_stays_on_the_bridge_even_when_the_readout_fails(tiny_lm: LanguageModel) -> None:
    backend = LensBackend(tiny_lm)

    def broken(logits: torch.Tensor) -> torch.Tensor:
        raise KeyError("no such token")

    patch = Patch(Site(1), torch.tensor([1]), torch.ones(1, 32))
    backend.record([[5, 6]], [[1]], [Site(1)])
    with pytest.raises(KeyError):
        backend.patch([[5, 6]], [[patch]], broken, tokens_per_forward=9)
    assert not [name for name, point in backend.bridge.hook_dict.items() if point.fwd_hooks]


def test_hooks_of_the_bridges_owner_stay(tiny_lm: LanguageModel) -> None:
    backend = LensBackend(tiny_lm)
    seen: list[str] = []
    backend.bridge.add_hook("blocks.0.hook_resid_post", lambda state, hook: seen.append(hook.name))
    backend.record([[5, 6]], [[1]], [Site(0)])
    backend.record([[5, 6]], [[1]], [Site(1)])
    assert len(seen) == 2


def test_an_adapter_is_merged_before_the_bridge_is_built(
    make_tiny: MakeTiny, agree: Callable[..., None]
) -> None:
    lm = make_tiny("llama")
    adapted = lm.with_model(tuned(lm))
    backend = LensBackend(adapted)
    agree(backend, adapted)
    layer = adapted.layers()[2].self_attn.o_proj
    assert layer.base_layer.weight.equal(make_tiny("llama").layers()[2].self_attn.o_proj.weight)
    whole = (layer.base_layer.weight + layer.get_delta_weight("default")).T
    torch.testing.assert_close(
        backend.bridge.blocks[2].attn.W_O.reshape(32, 32), whole, rtol=1e-5, atol=1e-6
    )


def test_an_adapter_on_a_tied_head_is_merged_into_the_head_alone(
    make_tiny: MakeTiny, agree: Callable[..., None]
) -> None:
    lm = make_tiny("llama", tie_word_embeddings=True)
    config = LoraConfig(
        r=4, target_modules=["lm_head", "o_proj"], init_lora_weights=False, task_type="CAUSAL_LM"
    )
    adapted = lm.with_model(get_peft_model(lm.base(), config).eval())
    agree(LensBackend(adapted), adapted)
    assert adapted.base().lm_head.base_layer.weight is adapted.embedding().weight


def test_an_adapter_that_is_off_is_left_out(
    make_tiny: MakeTiny, agree: Callable[..., None]
) -> None:
    lm = make_tiny("llama")
    adapted = lm.with_model(tuned(lm))
    with adapted.model.disable_adapter():
        agree(LensBackend(adapted), make_tiny("llama"))


def test_names_are_transformer_lens_own() -> None:
    assert tuple(sorted(HOOKS)) == tuple(sorted(COMPONENTS))
    assert hook_name(Site(3, "resid_mid")) == "blocks.3.hook_resid_mid"
    assert (
        hook_name(Site(3, "head_out", 1))
        == hook_name(Site(3, "head_out", 0))
        == "blocks.3.attn.hook_z"
    )


def test_a_site_the_bridge_lacks_is_refused_before_a_forward(
    tiny_lm: LanguageModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    backend = LensBackend(tiny_lm)
    monkeypatch.setitem(HOOKS, "resid_mid", "blocks.{layer}.hook_between")
    patch = Patch(Site(1, "resid_mid"), torch.tensor([1]), torch.ones(1, 32))
    message = r"transformer-lens backend cannot reach resid_mid of layer 1: .* llama has no .*hook_between; use the 'packed'"
    with pytest.raises(WorkbenchError, match=message):
        backend.record([[5, 6]], [[1]], [Site(1, "resid_mid")])
    with pytest.raises(WorkbenchError, match=message):
        backend.patch([[5, 6]], [[patch]], lambda logits: logits, tokens_per_forward=9)
