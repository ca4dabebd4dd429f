"""Tiny llamas as GGUF files."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import gguf

from tests.support.tiny_models import CHAT_TEMPLATE, SPECIAL
from workbench.models import LanguageModel


def write_gguf(
    path: Path,
    lm: LanguageModel,
    split: str = "smollm",
    vocabulary: Callable[[Any, LanguageModel], None] | None = None,
) -> Path:
    """A llama as a GGUF file, linear layers quantised to eight bits, for reading quantised
    checkpoints in tests.
    """
    config, state = (
        lm.config,
        {name: tensor.numpy() for name, tensor in lm.base().state_dict().items()},
    )
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_block_count(config.num_hidden_layers)
    writer.add_context_length(config.max_position_embeddings)
    writer.add_embedding_length(config.hidden_size)
    writer.add_feed_forward_length(config.intermediate_size)
    writer.add_head_count(config.num_attention_heads)
    writer.add_head_count_kv(config.num_key_value_heads)
    writer.add_rope_freq_base(config.rope_parameters["rope_theta"])
    writer.add_layer_norm_rms_eps(config.rms_norm_eps)
    writer.add_rope_dimension_count(config.head_dim)
    writer.add_vocab_size(config.vocab_size)
    if vocabulary is None:
        _write_vocabulary(writer, lm, split)
    else:
        vocabulary(writer, lm)
    names = gguf.get_tensor_name_map(gguf.MODEL_ARCH.LLAMA, config.num_hidden_layers)
    heads = {"q_proj": config.num_attention_heads, "k_proj": config.num_key_value_heads}
    for name, tensor in state.items():
        target = names.get_name(name, try_suffixes=(".weight",))
        for part, count in heads.items():
            if part in name:
                pairs = tensor.reshape(count, 2, -1, tensor.shape[-1])
                tensor = pairs.swapaxes(1, 2).reshape(tensor.shape)
        if name.endswith("proj.weight"):
            kind = gguf.GGMLQuantizationType.Q8_0
            writer.add_tensor(target, gguf.quants.quantize(tensor, kind), raw_dtype=kind)
        else:
            writer.add_tensor(target, tensor)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def _write_vocabulary(writer: Any, lm: LanguageModel, split: str) -> None:
    vocabulary = sorted(lm.tokenizer.get_vocab().items(), key=lambda item: item[1])
    tokens = [token for token, _ in vocabulary]
    tokens += [f"[PAD{index}]" for index in range(len(tokens), lm.config.vocab_size)]
    merges = json.loads(lm.tokenizer.backend_tokenizer.to_str())["model"]["merges"]
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre(split)
    writer.add_token_list(tokens)
    control, normal, unused = gguf.TokenType.CONTROL, gguf.TokenType.NORMAL, gguf.TokenType.UNUSED
    kinds = [
        control if token in SPECIAL else unused if token.startswith("[PAD") else normal
        for token in tokens
    ]
    writer.add_token_types(kinds)
    writer.add_token_merges([" ".join(merge) for merge in merges])
    writer.add_unk_token_id(0)
    writer.add_pad_token_id(0)
    writer.add_bos_token_id(1)
    writer.add_eos_token_id(2)
    writer.add_add_bos_token(False)
    writer.add_chat_template(CHAT_TEMPLATE)
