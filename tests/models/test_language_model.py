from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from peft import LoraConfig, get_peft_model

from workbench.models import LanguageModel
from workbench.models.unembed import unembed


def test_properties_come_from_the_model(tiny_lm: LanguageModel) -> None:
    assert (tiny_lm.n_layers, tiny_lm.width) == (4, 32)
    assert (tiny_lm.device, tiny_lm.dtype) == (torch.device("cpu"), torch.float32)
    tiny_lm.model.to(torch.bfloat16)
    assert tiny_lm.dtype == torch.bfloat16


def test_gpt2_names_are_mapped(make_tiny: Callable[..., LanguageModel]) -> None:
    lm = make_tiny("gpt2", num_hidden_layers=3, hidden_size=48)
    assert (lm.n_layers, lm.width, len(lm.layers())) == (3, 48, 3)


@pytest.mark.parametrize("family", ["llama", "gemma2", "granite", "gpt_neox"])
def test_the_last_layer_read_through_norm_and_head_gives_the_logits(
    make_tiny: Callable[..., LanguageModel], family: str
) -> None:
    lm = make_tiny(family)
    ids = torch.tensor([[5, 6, 7]])
    kept = []
    handle = lm.layers()[-1].register_forward_hook(lambda _m, _a, output: kept.append(output))
    with torch.no_grad():
        logits = lm.base()(input_ids=ids).logits
        read = unembed(lm, lm.final_norm()(kept[0]))
        decoded = lm.decoder()(input_ids=ids).last_hidden_state
    handle.remove()
    torch.testing.assert_close(read, logits)
    torch.testing.assert_close(unembed(lm, decoded), logits)


def test_an_adapter_is_seen_through(tiny_lm: LanguageModel) -> None:
    adapter = LoraConfig(r=2, target_modules=["o_proj"], init_lora_weights=False)
    tuned = tiny_lm.with_model(get_peft_model(tiny_lm.model, adapter))
    assert tuned.base() is tiny_lm.base()
    assert tuned.layers()[0] is tiny_lm.layers()[0]
    assert (tuned.name, tuned.revision, tuned.tokenizer) == (
        tiny_lm.name,
        tiny_lm.revision,
        tiny_lm.tokenizer,
    )
    ids = torch.tensor([[5, 6, 7]])
    with torch.no_grad():
        on = tuned.model(input_ids=ids).logits
        with tuned.model.disable_adapter():
            off = tuned.base()(input_ids=ids).logits
        torch.testing.assert_close(tuned.base()(input_ids=ids).logits, on)
    assert (on - off).abs().max() > 1e-3
