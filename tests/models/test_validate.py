from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch
from peft import LoraConfig, get_peft_model

from tests.support.tiny_models import FAMILIES
from workbench.errors import WorkbenchError
from workbench.models import LanguageModel
from workbench.models.validate import validate

MakeTiny = Callable[..., LanguageModel]


@pytest.mark.parametrize("family", FAMILIES)
def test_every_row_holds_on_a_real_forward(make_tiny: MakeTiny, family: str) -> None:
    validate(make_tiny(family))


@pytest.mark.parametrize("family", ["gemma2", "granite", "cohere2", "falcon_h1"])
def test_a_forgotten_logit_scaling_is_noticed(make_tiny: MakeTiny, family: str) -> None:
    overrides = {"cohere2": {"logit_scale": 0.25}, "gemma2": {"final_logit_softcapping": 0.5}}
    lm = make_tiny(family, **overrides.get(family, {}))
    validate(lm)
    row = replace(lm.architecture, logit_scale=1.0, logit_softcap=None)
    with pytest.raises(
        WorkbenchError, match="the head's reading of the last layer's output and the logits differ"
    ):
        validate(replace(lm, architecture=row))


def test_paths_hold_inside_an_adapter(make_tiny: MakeTiny) -> None:
    lm = make_tiny()
    adapter = LoraConfig(
        r=2, target_modules=["k_proj", "o_proj", "down_proj"], init_lora_weights=False
    )
    tuned = lm.with_model(get_peft_model(lm.model, adapter))
    validate(tuned)
    assert tuned.base() is lm.model
    assert tuned.n_layers == 4


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"layers": "model.blocks"}, "there is no module 'model.blocks'"),
        ({"mlp": "feed_forward"}, "there is no module 'feed_forward'"),
        ({"final_norm": "model.layers.0.input_layernorm"}, "last hidden state differ"),
    ],
)
def test_a_wrong_path_is_named(make_tiny: MakeTiny, change: dict[str, Any], message: str) -> None:
    lm = make_tiny()
    torch.nn.init.uniform_(lm.base().model.layers[0].input_layernorm.weight)
    with pytest.raises(WorkbenchError, match=message):
        validate(replace(lm, architecture=replace(lm.architecture, **change)))


def test_a_missing_layer_is_counted(tiny_lm: LanguageModel) -> None:
    del tiny_lm.base().model.layers[3]
    row = replace(tiny_lm.architecture, final_norm=None)
    with pytest.raises(WorkbenchError, match="holds 3 layers and the configuration counts 4"):
        validate(replace(tiny_lm, architecture=row))


def test_a_model_that_reads_later_tokens_is_refused(
    tiny_lm: LanguageModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    for layer in tiny_lm.base().model.layers:
        attention = layer.self_attn
        inner = attention.forward

        def forward(inner: Any = inner, **options: Any) -> Any:
            shape = options["hidden_states"].shape
            open_mask = torch.zeros(1, 1, shape[1], shape[1])
            return inner(**{**options, "attention_mask": open_mask})

        monkeypatch.setattr(attention, "forward", forward)
    with pytest.raises(WorkbenchError, match="reads later tokens"):
        validate(tiny_lm)


def test_a_layer_that_runs_twice_is_noticed(tiny_lm: LanguageModel) -> None:
    layers = tiny_lm.base().model.layers
    layers[2] = layers[1]
    with pytest.raises(WorkbenchError, match="fired 2 times"):
        validate(tiny_lm)


def test_a_forward_that_does_not_repeat_itself_is_noticed(tiny_lm: LanguageModel) -> None:
    class Drifting(torch.nn.Module):
        """Return something else at two calls, so that no copy reproduces the logits."""

        def __init__(self, inner: torch.nn.Module) -> None:
            super().__init__()
            self.inner, self.calls = inner, 0
            self.self_attn, self.mlp = inner.self_attn, inner.mlp

        def forward(self, *args: Any, **kwargs: Any) -> torch.Tensor:
            self.calls += 1
            return self.inner(*args, **kwargs) * (1.5 if self.calls in (2, 3) else 1.0)

        def __getattr__(self, name: str) -> Any:
            try:
                return super().__getattr__(name)
            except AttributeError:
                return getattr(super().__getattr__("inner"), name)

    layers = tiny_lm.base().model.layers
    layers[0] = Drifting(layers[0])
    with pytest.raises(WorkbenchError, match="by a copy moved the logits"):
        validate(tiny_lm)


def test_hooks_are_gone_and_mode_is_kept(tiny_lm: LanguageModel) -> None:
    tiny_lm.model.train()
    validate(tiny_lm)
    assert tiny_lm.model.training
    assert not any(layer._forward_hooks for layer in tiny_lm.layers())


def test_weights_that_are_no_numbers_are_seen_after_a_prompt_of_few_tokens(
    make_tiny: MakeTiny, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Attention on a processor drops the NaN of fewer than sixteen tokens."""
    monkeypatch.setattr("workbench.models.validate.PROMPT", "Paris")
    lm = make_tiny("llama")
    validate(lm)
    with torch.no_grad():
        lm.layers()[0].self_attn.q_proj.weight.fill_(float("nan"))
    with pytest.raises(WorkbenchError, match="computes NaN or infinity, because its weights"):
        validate(lm)


def test_a_foreign_tokenizer_is_refused(make_tiny: MakeTiny) -> None:
    with pytest.raises(WorkbenchError, match="use the tokenizer that belongs to the model"):
        validate(make_tiny(vocab_size=64))


def test_a_model_that_changes_what_its_decoder_is_given_is_noticed(
    tiny_lm: LanguageModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Tracing calls the decoder alone, so that must compute what it computes in the model."""
    inner = tiny_lm.base().forward

    def forward(input_ids: torch.Tensor, **options: Any) -> Any:
        return inner(inputs_embeds=3 * tiny_lm.embedding()(input_ids), **options)

    monkeypatch.setattr(tiny_lm.base(), "forward", forward)
    with pytest.raises(WorkbenchError, match="decoder alone and in the model differ"):
        validate(tiny_lm)
