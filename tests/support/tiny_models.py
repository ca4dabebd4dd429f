"""Tiny random models with tiny tokenizers, built in code: no downloads, the same on every
machine.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, pre_tokenizers
from transformers import AutoConfig, AutoModelForCausalLM, PreTrainedTokenizerFast

from workbench.loading import verify
from workbench.models import Architecture, LanguageModel, derive_architecture
from workbench.models.weights import kernel_for

VOCABULARY = 384

SPECIAL = ("<|endoftext|>", "<|im_start|>", "<|im_end|>")

WORDS = ("Ġthe", "Ġis", "What", "Confidence", "Answer")

CHAT_TEMPLATE = (
    "{% for message in messages %}{% if loop.first and messages[0]['role'] != 'system' %}"
    "{{ '<|im_start|>system\nYou are a tiny model<|im_end|>\n' }}{% endif %}"
    "{{ '<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>' + '\n' }}{% "
    "endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)

COMMON = {
    "vocab_size": VOCABULARY,
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 4,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 8,
    "max_position_embeddings": 512,
    "initializer_range": 0.2,
    "bos_token_id": 1,
    "eos_token_id": 2,
    "pad_token_id": 0,
}

EXPERTS = {"num_experts": 4, "num_experts_per_tok": 2, "moe_intermediate_size": 32}

PECULIAR: dict[str, dict[str, Any]] = {
    "mistral": {"sliding_window": 8},
    "mixtral": {"num_local_experts": 4},
    "qwen3_moe": EXPERTS,
    "gemma2": {"sliding_window": 8, "query_pre_attn_scalar": 8},
    "gemma3_text": {"sliding_window": 8, "query_pre_attn_scalar": 8},
    "gpt_oss": {"num_local_experts": 4, "num_experts_per_tok": 2, "sliding_window": 8},
    "cohere2": {"sliding_window": 8},
    "granite": {"logits_scaling": 4.0},
    "falcon_h1": {
        "mamba_d_ssm": 32,
        "mamba_n_heads": 4,
        "mamba_d_head": 8,
        "mamba_d_state": 8,
        "mamba_n_groups": 1,
        "lm_head_multiplier": 0.5,
    },
    "qwen3_next": {
        **EXPERTS,
        "shared_expert_intermediate_size": 32,
        "linear_num_key_heads": 2,
        "linear_num_value_heads": 4,
        "linear_key_head_dim": 8,
        "linear_value_head_dim": 8,
    },
}


FAMILIES = (
    "llama",
    "mistral",
    "mixtral",
    "qwen2",
    "qwen3",
    "qwen3_moe",
    "gemma2",
    "gemma3_text",
    "phi3",
    "olmo2",
    "gpt_oss",
    "cohere2",
    "granite",
    "smollm3",
    "gpt_neox",
    "gpt2",
    "falcon_h1",
    "qwen3_next",
)
"""The families that tests of rooms above the models go over; tests of loading go over all."""

WRITTEN_OUT = (
    "llama",
    "mistral",
    "mixtral",
    "qwen2",
    "qwen3",
    "smollm3",
    "starcoder2",
    "gpt_oss",
    "gemma2",
    "gemma3_text",
    "olmo2",
    "olmo3",
    "granite",
)
"""The families whose layers the backends' oracle writes out."""

LOOPED = ("falcon_h1", "qwen3_next")
PACKABLE = tuple(family for family in FAMILIES if family not in LOOPED)
EAGER = ("gemma2", "gpt_oss")
"""Families whose attention has no scaled dot product kernel."""

_verified: dict[str, Architecture] = {}


def _split(kind: str) -> Any:
    byte_level = pre_tokenizers.ByteLevel(add_prefix_space=False)
    if kind == "digits":
        return pre_tokenizers.Sequence([pre_tokenizers.Digits(individual_digits=True), byte_level])
    if kind == "whole_numbers":
        return pre_tokenizers.Sequence(
            [pre_tokenizers.Split(Regex(r"\p{N}{1,3}"), "isolated"), byte_level]
        )
    return byte_level


def _number_merges(kind: str) -> list[tuple[str, str]]:
    if kind == "whole_numbers":
        return [(tens, ones) for tens in "123456789" for ones in "0123456789"] + [("10", "0")]
    return [("Ġ", digit) for digit in "0123456789"] if kind == "merged_space" else []


def build_tokenizer(kind: str, words: Sequence[str] = ()) -> PreTrainedTokenizerFast:
    """Byte-level BPE with a chat template.

    ``digits``: every digit its own token; ``whole_numbers``: 0 to 100 are single tokens;
    ``merged_space``: a digit merges with the space before it, and digits never with each other.
    Each of ``words``, with "Ġ" for a space before it, is one token as well.
    """
    if kind not in ("digits", "whole_numbers", "merged_space"):
        raise ValueError(kind)
    merges = [
        (word[:end], word[end]) for word in (*WORDS, *words) for end in range(1, len(word))
    ] + _number_merges(kind)
    pieces = [
        *SPECIAL,
        *sorted(pre_tokenizers.ByteLevel.alphabet()),
        *dict.fromkeys(a + b for a, b in merges),
    ]
    backend = Tokenizer(
        models.BPE(vocab={piece: index for index, piece in enumerate(pieces)}, merges=merges)
    )
    backend.pre_tokenizer = _split(kind)
    backend.decoder = decoders.ByteLevel()
    backend.add_special_tokens(
        [AddedToken(text, special=True, normalized=False) for text in SPECIAL]
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=backend,
        unk_token=SPECIAL[0],
        pad_token=SPECIAL[0],
        bos_token=SPECIAL[1],
        eos_token=SPECIAL[2],
        padding_side="left",
        chat_template=CHAT_TEMPLATE,
    )


def build_tiny(
    family: str = "llama", tokenizer: str = "digits", seed: int = 0, **overrides: Any
) -> LanguageModel:
    """A seeded random model of a family: width 32, four layers, four heads, two key-value heads,
    384 tokens.
    """
    config = AutoConfig.for_model(family, **{**COMMON, **PECULIAR.get(family, {}), **overrides})
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model = AutoModelForCausalLM.from_config(
            config, attn_implementation=kernel_for(config, "sdpa")
        )
    model.eval().requires_grad_(False)
    key = config.to_json_string(use_diff=False)
    known = _verified.get(key)
    lm = LanguageModel(
        model,
        build_tokenizer(tokenizer),
        known or derive_architecture(model),
        f"tiny-{family}",
        f"{family}-{tokenizer}-{seed}",
    )
    if known is None:
        lm = verify(lm)
        _verified[key] = lm.architecture
    return lm
