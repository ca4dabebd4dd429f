"""Convert a GGUF file to a plain safetensors folder, once.

The weights are written in float32, which holds each dequantised weight exactly: a block's scale has
up to eleven bits, and its product with the integers under it does not fit the eight bits of
bfloat16 or the eleven of float16. transformers gives configuration, tokenizer and names; the
weights are dequantised and written one after the other (:mod:`workbench.models.gguf_weights`), so
that the model is never whole in memory.

Families whose weights transformers puts together from several tensors, such as experts, are read by
transformers itself. What it returns cannot be saved, because its configuration still declares
quantisation; so a fresh model is built without that entry and takes the weights.

A GGUF file names the split of its byte-level tokenizer (``tokenizer.ggml.pre``); names that
transformers does not map would silently get GPT-2's split. :data:`SPLITS` maps those known here,
after the table in llama.cpp's ``src/llama-vocab.cpp``; any other is refused, because wrong tokens
would make every number of a run meaningless. Tokenizers of the sentencepiece kind are rebuilt after
llama.cpp and compared with it (:mod:`workbench.models.sentencepiece_gguf`).
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import torch
from gguf import GGUFReader
from safetensors import SafetensorError
from tokenizers import pre_tokenizers
from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer

from workbench.compat import opened_once
from workbench.errors import WorkbenchError
from workbench.models.cache import build_folder, cache_root, require_space
from workbench.models.chat_template import said
from workbench.models.fingerprint import fingerprint_files
from workbench.models.gguf_weights import single_tensors, write_weights
from workbench.models.progress_bars import quiet_bars
from workbench.models.sentencepiece_gguf import as_llama_cpp
from workbench.models.weights import read_model
from workbench.progress import task

# Changes whenever the conversion does, so that folders made by an earlier one are not used.
FORMAT = "v2"


def _digits_then_words() -> Any:
    """Return every digit alone, then GPT-2's words: the \\p{N} and GPT-2 cascade of llama.cpp."""
    return pre_tokenizers.Sequence(
        [
            pre_tokenizers.Digits(individual_digits=True),
            pre_tokenizers.ByteLevel(add_prefix_space=False),
        ]
    )


SPLITS = dict.fromkeys(
    ("smollm", "starcoder", "refact", "command-r", "codeshell", "exaone", "minerva-7b"),
    _digits_then_words,
)
_PART = re.compile(r"-\d{5}-of-\d{5}\.gguf$", re.IGNORECASE)
GPT2_SPLITS = ("gpt-2", "gpt2", "phi-2", "mpt", "olmo", "jais", "trillion", "granite-docling")


def dequantised_folder(gguf: Path, cache_dir: Path | None = None) -> Path:
    """Return the cached safetensors folder of a GGUF file, made on first use.

    Raises:
        WorkbenchError: for a file that is not GGUF or that transformers cannot read.
    """
    root = cache_root(cache_dir)
    target = root / f"{gguf.stem[:100]}-{fingerprint_files([gguf], root)[:16]}-{FORMAT}"
    return build_folder(target, lambda folder: dequantise(gguf, folder))


def dequantise(gguf: Path, folder: Path) -> None:
    """Write model, tokenizer and chat template of ``gguf`` into the existing ``folder``.

    Raises:
        WorkbenchError: for a file that transformers cannot read.
    """
    with task(f"reading the vocabulary of {gguf.name}"):
        reader = _open(gguf)
    require_whole(gguf, _number(reader, "split.count"))
    _require_layers(gguf, reader)
    require_space(folder, 4 * sum(int(tensor.n_elements) for tensor in reader.tensors))
    with quiet_bars(True), opened_once(gguf, reader):
        try:
            with task(f"building the tokenizer of {gguf.name}"):
                tokenizer = _tokenizer(gguf, reader)
            _write_model(gguf, reader, folder)
        except (WorkbenchError, SafetensorError):
            raise
        except Exception as error:  # a damaged file can make the host library raise anything
            if getattr(error, "errno", None) is not None:  # the system's own: a full disk
                raise
            raise WorkbenchError(
                f"transformers cannot read {gguf.name} ({said(error)}): download it again, or use "
                "the model's safetensors folder"
            ) from error
        tokenizer.save_pretrained(folder)


def _open(gguf: Path) -> Any:
    try:
        return GGUFReader(gguf)
    except Exception as error:  # numpy, struct and the reader's own, by where the file breaks off
        raise WorkbenchError(
            f"{gguf} is not a readable GGUF file ({said(error)}): download it again"
        ) from error


def require_whole(gguf: Path, parts: int = 0) -> None:
    """Refuse one of several files that only together are a model.

    Raises:
        WorkbenchError: when ``gguf`` is one.
    """
    if parts > 1 or _PART.search(gguf.name):
        raise WorkbenchError(
            f"{gguf.name} is one part of a model that was split into several files: merge them "
            "first (llama.cpp's "
            "llama-gguf-split --merge FIRST-PART WHOLE.gguf) and give the whole file"
        )


def _require_layers(gguf: Path, reader: Any) -> None:
    """Refuse a file that claims more layers than it holds, because building them could take without
    end.

    Raises:
        WorkbenchError: when it does.
    """
    family = _text(reader, "general.architecture")
    claimed = _number(reader, f"{family}.block_count")
    # Layers that predict further tokens are counted, and often left out of the file.
    left_out = _number(reader, f"{family}.nextn_predict_layers")
    held = {
        tensor.name.split(".")[1] for tensor in reader.tensors if tensor.name.startswith("blk.")
    }
    if claimed > len(held) + left_out:
        raise WorkbenchError(
            f"{gguf.name} claims {claimed:,} layers and holds {len(held):,}: download it again"
        )


def _write_model(gguf: Path, reader: Any, folder: Path) -> None:
    """Write configuration and weights into ``folder``, in float32 and without a quantisation
    entry, and check that every weight of the configuration is there.
    """
    config = AutoConfig.from_pretrained(str(gguf.parent), gguf_file=gguf.name)
    with torch.device("meta"):
        model = AutoModelForCausalLM.from_config(config, dtype=torch.float32)
    if not single_tensors(_text(reader, "general.architecture"), model):
        _whole_model(gguf).save_pretrained(folder)
        return
    model.config.architectures = [type(model).__name__]
    model.config.save_pretrained(folder)
    model.generation_config.save_pretrained(folder)
    write_weights(gguf, reader, model, folder)
    read_model(gguf.name, str(folder), quiet=True, dtype=torch.float32, use_safetensors=True)


def _whole_model(gguf: Path) -> Any:
    """Return the model with dense float32 weights and a configuration without a
    quantisation entry.
    """
    with task(f"dequantising {gguf.name}"):
        source = read_model(
            gguf.name, str(gguf.parent), quiet=True, gguf_file=gguf.name, dtype=torch.float32
        )
    settings = source.config.to_dict()
    settings.pop("quantization_config", None)
    config = type(source.config).from_dict(settings)
    with torch.device("meta"):
        model = AutoModelForCausalLM.from_config(config, dtype=torch.float32)
    model.load_state_dict(source.state_dict(), strict=True, assign=True)
    model.tie_weights()
    model.generation_config = source.generation_config
    return model


def _tokenizer(gguf: Path, reader: Any) -> Any:
    tokenizer = AutoTokenizer.from_pretrained(str(gguf.parent), gguf_file=gguf.name)
    kind, split = _text(reader, "tokenizer.ggml.model"), _text(reader, "tokenizer.ggml.pre")
    if kind not in ("gpt2", "llama"):
        raise WorkbenchError(
            f"{gguf.name} has a tokenizer of kind {kind!r}, and the workbench knows those of kinds "
            "gpt2 and llama: use the model's "
            "safetensors folder"
        )
    if kind == "llama":
        return as_llama_cpp(gguf.name, tokenizer, reader)
    backend = tokenizer.backend_tokenizer
    if split in GPT2_SPLITS or not isinstance(backend.pre_tokenizer, pre_tokenizers.ByteLevel):
        return tokenizer
    if split not in SPLITS:
        raise WorkbenchError(
            f"{gguf.name} splits text by {split!r}, which is unknown to the workbench: add it to "
            "SPLITS in "
            "workbench/models/dequantise.py, or use the model's safetensors folder"
        )
    backend.pre_tokenizer = SPLITS[split]()
    return tokenizer


def _text(reader: Any, key: str) -> str:
    field = reader.get_field(key)
    return str(field.contents()) if field is not None else ""


def _number(reader: Any, key: str) -> int:
    field = reader.get_field(key)
    value = 0 if field is None else field.contents()
    if not isinstance(value, int | np.integer):
        raise WorkbenchError(
            f"the GGUF file says {key} = {str(value)[:40]!r}, which must be a whole number: "
            "download it again"
        )
    return int(value)
