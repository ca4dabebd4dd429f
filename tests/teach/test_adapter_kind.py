"""Adapters of every kind PEFT writes: each is the base model when it is off and itself when it is
on and merged, or refused.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import IA3Config, LoraConfig, get_peft_model

from workbench.errors import WorkbenchError
from workbench.models import LanguageModel
from workbench.models.adapter_switch import adapter_off
from workbench.teach.adapter import load_adapter, remove_adapter
from workbench.teach.merged_adapter import adapter_merged
from workbench.trace.backends import engine

MakeTiny = Callable[..., LanguageModel]
IDS = torch.arange(5, 17).reshape(2, 6)
TIED = pytest.mark.parametrize("tied", [True, False])
SWITCHED: dict[str, tuple[dict[str, Any], str]] = {
    "plain": ({"target_modules": ["q_proj", "down_proj"]}, ""),
    "rank-stabilised": ({"target_modules": ["q_proj"], "use_rslora": True}, ""),
    "head": ({"target_modules": ["lm_head", "q_proj"]}, "adapts lm_head, whose weights another"),
    "embedding": ({"target_modules": ["embed_tokens"]}, "embed_tokens, whose|module Embedding"),
    "DoRA": ({"target_modules": ["q_proj"], "use_dora": True}, "variant DoraLinearVariant"),
    "bias": ({"target_modules": ["q_proj"], "lora_bias": True}, "has a bias in q_proj"),
}
REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "whole head": ({"modules_to_save": ["lm_head"]}, r"modules_to_save to \['lm_head'\]"),
    "whole embedding": ({"modules_to_save": ["embed_tokens"]}, "modules_to_save"),
    "rows": ({"trainable_token_indices": [5, 6]}, "trainable_token_indices"),
    "biases": ({"bias": "all"}, "sets bias to all, .* with bias at none"),
    "changed weights": ({"init_lora_weights": "pissa"}, "init_lora_weights to pissa"),
    "doubled layers": ({"layer_replication": [[0, 4], [2, 4]]}, "layer_replication"),
}


def logits(model: Any) -> torch.Tensor:
    with torch.no_grad():
        found: torch.Tensor = model(IDS, use_cache=False).logits
    return found


def saved(lm: LanguageModel, config: Any, folder: Path) -> torch.Tensor:
    """Saves a random adapter, and returns the logits of the model with it."""
    tuned = get_peft_model(lm.model, config).eval()
    generator = torch.Generator().manual_seed(0)
    for weight in tuned.parameters():
        if weight.requires_grad:
            weight.data = torch.randn(weight.shape, generator=generator) * 0.1
    tuned.save_pretrained(folder)
    return logits(tuned)


@TIED
@pytest.mark.parametrize("name", SWITCHED)
def test_an_adapter_is_itself_on_merged_and_off(
    make_tiny: MakeTiny, tmp_path: Path, name: str, tied: bool
) -> None:
    changes, refused = SWITCHED[name]
    if name == "head" and not tied:
        refused = ""
    config = LoraConfig(r=4, init_lora_weights=False, task_type="CAUSAL_LM", **changes)
    wanted = saved(make_tiny(tie_word_embeddings=tied), config, tmp_path)
    lm = make_tiny(tie_word_embeddings=tied)
    base = logits(lm.model)
    tuned = load_adapter(lm, tmp_path)
    assert torch.equal(logits(tuned.model), wanted)
    assert (wanted - base).abs().max() > 1e-2
    with adapter_off(tuned):
        assert torch.equal(logits(tuned.model), base)
    if refused:
        with pytest.raises(WorkbenchError, match=refused), adapter_merged(tuned):
            pass
    else:
        with adapter_merged(tuned):
            assert logits(tuned.model) == pytest.approx(wanted, abs=1e-4)
    assert torch.equal(logits(tuned.model), wanted)
    assert torch.equal(logits(remove_adapter(tuned).model), base)


@TIED
@pytest.mark.parametrize("name", REFUSED)
def test_what_stays_when_it_is_off_is_refused(
    make_tiny: MakeTiny, tmp_path: Path, name: str, tied: bool
) -> None:
    changes, said = REFUSED[name]
    config = LoraConfig(r=4, target_modules=["q_proj"], task_type="CAUSAL_LM", **changes)
    saved(make_tiny(tie_word_embeddings=tied), config, tmp_path)
    lm = make_tiny(tie_word_embeddings=tied)
    base = logits(lm.model)
    with pytest.raises(WorkbenchError, match=said):
        load_adapter(lm, tmp_path)
    assert torch.equal(logits(lm.model), base)


def test_another_kind_of_adapter_is_refused(make_tiny: MakeTiny, tmp_path: Path) -> None:
    config = IA3Config(target_modules=["k_proj", "down_proj"], feedforward_modules=["down_proj"])
    saved(make_tiny(), config, tmp_path)
    with pytest.raises(WorkbenchError, match=r"of PEFT's kind .*IA3; the workbench switches LoRA"):
        load_adapter(make_tiny(), tmp_path)


def test_transformer_lens_says_what_it_cannot_merge(make_tiny: MakeTiny, tmp_path: Path) -> None:
    config = LoraConfig(r=4, target_modules=["q_proj"], lora_bias=True, task_type="CAUSAL_LM")
    saved(make_tiny(), config, tmp_path)
    tuned = load_adapter(make_tiny(), tmp_path)
    with pytest.raises(WorkbenchError, match=r"PEFT cannot merge this one .*'packed' engine"):
        engine("transformer-lens")(tuned)
