"""Load a causal language model from the hub, a folder, a GGUF file, or the small default.

The configuration is read first, so that an unknown family or a base model without chat template is
refused before any weights move. Weights are read from safetensors only, never through pickle; GGUF
files are dequantised once into a cached safetensors folder. Models come back in evaluation mode
with frozen parameters, tokenizers pad on the left, and :func:`workbench.models.validate.validate`
has checked the architecture's row on a real forward.

``revision`` of the result fingerprints the weights: the hub's commit, the default's SHA-256, or for
local files a SHA-256 over configuration, names, sizes and all bytes of the weights, which is kept
until a file is written to.

Any fault of a model becomes a :class:`WorkbenchError` that names the file and the mend. The host
libraries' exceptions are caught, and the folder's files are then checked one by one.
"""

from __future__ import annotations

import warnings
from datetime import date
from pathlib import Path
from typing import Any, Literal

import torch
from transformers import AutoConfig, AutoTokenizer

from workbench.errors import WorkbenchError
from workbench.models.architectures import Architecture, architecture_of
from workbench.models.chat import require_chat_template
from workbench.models.chat_template import (
    DEFAULT_DATE,
    chosen_template,
    name_template,
    said,
    set_day,
)
from workbench.models.diagnose import configuration_fault
from workbench.models.fingerprint import fingerprint_files
from workbench.models.language_model import LanguageModel
from workbench.models.local import short_name
from workbench.models.opening import opening_of
from workbench.models.plain_turns import use_plain_turns
from workbench.models.precision import Precision, resolve_precision, set_precision
from workbench.models.source import explain_errors, find_source, hub_commit, is_cached
from workbench.models.validate import validate
from workbench.models.weights import read_model
from workbench.progress import task

Attention = Literal["sdpa", "eager"]
Template = Literal["chat", "plain"]
DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}


def load_model(
    spec: str,
    *,
    dtype: str = "float32",
    precision: Precision = "float32",
    device: str = "auto",
    attention: Attention = "sdpa",
    cache_dir: Path | None = None,
    chat_template: Path | None = None,
    template: Template = "chat",
    trust_remote_code: bool = False,
    revision: str | None = None,
    day: date = DEFAULT_DATE,
) -> LanguageModel:
    """Load, freeze and validate a model.

    Args:
        spec: "default", a folder (safetensors, or one GGUF file), a ``.gguf`` file, or a hub id.
        dtype: "float32", "bfloat16" or "float16".
        precision: of the matrix products of every pass: "float32", "bfloat16" or "auto" (see
            :mod:`workbench.models.precision`).
        device: "auto" (a GPU when there is one) or a torch device.
        attention: kernel; families whose attention is wrong or missing under sdpa always run eager.
        cache_dir: where the default and dequantised GGUF files are kept (see
            :mod:`workbench.models.cache`).
        chat_template: a Jinja file used in place of the tokenizer's own template, or the name of
            one of the tokenizer's several templates.
        template: "chat" to write turns by a chat template, "plain" to write them as plain text
            (:mod:`workbench.models.plain_turns`), whether the model has a template or not.
        trust_remote_code: run code that comes with the model.
        revision: branch, tag or commit on the hub; meaningless for local files.
        day: the date that a chat template writes where it writes today's.

    Raises:
        WorkbenchError: anything the person can mend: unknown id or family, damaged files, no
            network, no chat template or one that opens replies elsewhere than it writes them
            (:mod:`workbench.models.opening`), ...
    """
    torch_dtype = _torch_dtype(dtype)
    torch_device = _torch_device(device)
    resolve_precision(precision, torch_device)
    source = find_source(spec, revision, cache_dir)
    with explain_errors(spec, source), task(f"loading {short_name(spec)}"):
        options: dict[str, Any] = {
            "trust_remote_code": trust_remote_code,
            "revision": source.revision,
        }
        config = AutoConfig.from_pretrained(source.place, **options)
        architecture = architecture_of(config)
        _check_counts(spec, config)
        tokenizer = _tokenizer(source.place, spec, chat_template, template, options)
        set_day(tokenizer, day)
        notes = opening_of(tokenizer).notes
        for note in notes:
            warnings.warn(f"{short_name(spec)}: {note}", stacklevel=2)
        model = read_model(
            spec,
            source.place,
            quiet=source.local or is_cached(source),
            config=config,
            dtype=torch_dtype,
            attn_implementation=_kernel(architecture, attention),
            use_safetensors=True,
            **options,
        )
        model = model.to(torch_device).eval().requires_grad_(False)
    fingerprint = source.fingerprint or hub_commit(source)
    lm = LanguageModel(
        model,
        tokenizer,
        architecture,
        spec,
        fingerprint + _template_mark(chat_template, template),
        notes=notes,
    )
    validate(lm)
    set_precision(lm, precision)
    return lm


def _tokenizer(
    place: str,
    spec: str,
    chat_template: Path | None,
    template: Template,
    options: dict[str, Any],
) -> Any:
    tokenizer = AutoTokenizer.from_pretrained(place, padding_side="left", **options)
    name_template(tokenizer, spec if chat_template is None else str(chat_template))
    if template == "plain":
        use_plain_turns(tokenizer)
    elif chat_template is not None:
        tokenizer.chat_template = chosen_template(tokenizer, spec, chat_template)
    require_chat_template(tokenizer, spec)
    if tokenizer.pad_token is None:
        if tokenizer.eos_token is None:
            raise WorkbenchError(
                f"the tokenizer of {spec!r} has neither a pad nor an end token: set one in its "
                "folder"
            )
        tokenizer.pad_token = tokenizer.eos_token
    return tokenizer


def _kernel(architecture: Architecture, attention: Attention) -> Attention:
    return attention if architecture.sdpa else "eager"


def _torch_dtype(name: str) -> torch.dtype:
    if name not in DTYPES:
        raise WorkbenchError(f"unknown dtype {name!r}: use one of {', '.join(DTYPES)}")
    return DTYPES[name]


def _torch_device(name: str) -> torch.device:
    if name == "auto":
        if torch.cuda.is_available():
            return torch.device("cuda")
        return torch.device("mps" if torch.backends.mps.is_available() else "cpu")
    try:
        device = torch.device(name)
    except (RuntimeError, ValueError, TypeError) as error:
        raise WorkbenchError(
            f"unknown device {name!r}: use auto, cpu, cuda, cuda:1, mps, ..."
        ) from error
    try:
        torch.ones(1, device=device).item()
    except (
        Exception
    ) as error:  # AssertionError, NotImplementedError, RuntimeError: each back end has its own
        raise WorkbenchError(
            f"the device {name!r} cannot be used on this machine ({said(error)}): set model.device "
            "to auto or cpu"
        ) from error
    return device


def _check_counts(spec: str, config: Any) -> None:
    """Refuse impossible counts in a configuration of any origin, before anything is built from
    them.

    Raises:
        WorkbenchError: for such a count.
    """
    text = config.get_text_config()
    fault = configuration_fault(
        {
            name: getattr(text, name, None)
            for name in ("num_hidden_layers", "hidden_size", "num_attention_heads", "vocab_size")
        }
    )
    if fault:
        raise WorkbenchError(f"the configuration of {spec!r} is none of a model: {fault}")


def _template_mark(chat_template: Path | None, template: Template) -> str:
    if template == "plain":
        return "+plain"
    if chat_template is None:
        return ""
    given = fingerprint_files([chat_template])[:12] if chat_template.is_file() else chat_template
    return f"+template-{given}"
