from __future__ import annotations

from dataclasses import replace
from datetime import date
from typing import Any

import pytest
import torch

import workbench.loading
from workbench.config import RunConfig
from workbench.elicit import conversation
from workbench.elicit.formats import FORMATS
from workbench.errors import WorkbenchError
from workbench.loading.remote import RemoteAccess
from workbench.loop.confidence import confidence_conversations
from workbench.loop.run import ModelHolder, Run
from workbench.models import LanguageModel
from workbench.models.adapter_switch import adapter_off
from workbench.models.unembed import unembed
from workbench.trace.forward import forward
from workbench.trace.layout import empty_tail, pad_prompts

IDS = torch.tensor([[5, 6, 7, 20]])


def logits(lm: LanguageModel) -> torch.Tensor:
    """Next-token logits as the passes of the workbench give them, an adapter's reach included."""
    prompts = pad_prompts(IDS.tolist(), 0, lm.device)
    read = torch.tensor([[prompts.columns - 1]])
    return unembed(lm, forward(lm, prompts, empty_tail(prompts), read).final)


def test_the_model_is_loaded_once_as_configured(
    writable: Run, tiny_lm: LanguageModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[tuple[Any, ...]] = []

    def load(*args: Any, **kwargs: Any) -> LanguageModel:
        asked.append((args, kwargs))
        return tiny_lm

    monkeypatch.setattr(workbench.loading, "load_model", load)
    assert writable.lm is tiny_lm
    assert writable.lm is tiny_lm
    options = {
        "dtype": "auto",
        "quantize": "none",
        "precision": "float32",
        "device": "cpu",
        "chat_template": None,
        "template": "chat",
        "trust_remote_code": False,
        "day": date(2025, 1, 1),
        "placement": "device",
        "max_memory": None,
        "most_waiting_bytes": 4_000_000_000,
        "spill_folder": None,
        "resume_passes": "auto",
        "resume_bytes": 50_000_000_000,
        "remote": RemoteAccess(),
    }
    assert asked == [((writable.config.model.name,), options)]


def test_the_adapter_is_on_inside_and_gone_behind(writable: Run) -> None:
    base = logits(writable.lm)
    with writable.with_adapter("teach") as tuned:
        assert (logits(tuned) - base).abs().max() > 1e-3
        with adapter_off(tuned):
            assert torch.equal(logits(tuned), base)
    assert torch.equal(logits(writable.lm), base)
    with pytest.raises(KeyboardInterrupt), writable.with_adapter("teach_control"):
        raise KeyboardInterrupt
    assert torch.equal(logits(writable.lm), base)
    assert not [name for name, _ in writable.lm.base().named_modules() if "lora" in name]


def test_a_stage_is_found_with_the_key_the_run_gave_it(context: Run) -> None:
    store = context.stage("elicit")
    assert store.folder == context.store.folder / "elicit"
    assert store.key == context.keys["elicit"]
    with pytest.raises(KeyError):
        context.stage("unheard of")


def test_settings_are_the_named_parts_alone(context: Run) -> None:
    assert context.settings("patch", "seed") == {
        "patch": {
            "n_questions": 8,
            "share": 0.0,
            "layers": None,
            "control_layers": 2,
            "n_reference": 1,
        },
        "seed": 0,
    }
    assert isinstance(context.settings("questions")["questions"]["source"], str)


def test_format_and_numbers_are_the_configured_ones(context: Run) -> None:
    assert context.fmt == FORMATS["percent"]
    assert context.scale_tokens.trie.values == tuple(range(101))
    config = RunConfig.model_validate({"elicit": {"format": "tarot"}})
    with pytest.raises(
        WorkbenchError, match="Unknown elicitation format 'tarot'; choose one of delegate"
    ):
        _ = Run(config, context.store, context.figures).fmt


def test_the_scale_is_tokenised_once(context: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every stage reads the tokens of 101 numbers, some of them for every batch."""
    fresh = replace(context, loaded=ModelHolder(lm=context.lm))
    calls: list[object] = []
    inner = conversation.scale_tokens
    monkeypatch.setattr(
        conversation, "scale_tokens", lambda *given: calls.append(given) or inner(*given)
    )
    assert fresh.scale_tokens is fresh.scale_tokens
    assert len(calls) == 1
    assert fresh.scale_tokens.trie.values == context.scale_tokens.trie.values


def test_the_reply_is_what_every_conversation_ends_in(
    context: Run, conversation_context: Run
) -> None:
    reply = context.reply
    assert reply is not None
    assert context.lm.tokenizer.decode(reply) == "<|im_start|>assistant\nConfidence: "
    assert all(c.tokens[-len(reply) :] == reply for c in confidence_conversations(context))
    assert conversation_context.reply is None


def test_prefixes_are_bounded_as_configured_and_kept_between_stages(context: Run) -> None:
    model = context.config.model.model_copy(update={"kv_cache_bytes": 77, "tokens_per_forward": 99})
    for precision, dtype in (("float32", None), ("bfloat16", torch.bfloat16)):
        config = context.config.model_copy(update={"model": model})
        fresh = replace(context, config=config).in_precision(precision)
        prefixes = fresh.reply_cache
        assert fresh.lm.precision == precision
        assert fresh.stage("elicit") == context.stage("elicit")
        assert (prefixes.most_bytes, prefixes.tokens_per_pass, prefixes.dtype) == (77, 99, dtype)
        assert fresh.reply_cache is prefixes
