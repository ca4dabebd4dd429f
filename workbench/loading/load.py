"""Load a causal language model from the hub, a folder, a GGUF file, or an embedded one.

The configuration is read first, so that an impossible one or a base model without chat template is
refused before any weights move. Weights are read from safetensors only, never through pickle; GGUF
files are dequantised once into a cached safetensors folder. A checkpoint that is quantised is read
as it is (:mod:`workbench.models.quantisation`), a plain one can be quantised on the way
(:mod:`workbench.models.quantise`). Models come back in evaluation mode with frozen parameters, and
tokenizers pad on the left. The model's parts are read off the model
(:mod:`workbench.models.structure`) and verified on real forwards (:mod:`workbench.loading.verify`).

``revision`` of the result fingerprints the weights: the hub's commit, an embedded model's SHA-256,
or for local files a SHA-256 over configuration, names, sizes and all bytes of the weights, which is
kept until a file is written to; a scheme of quantising at load is added to it.

Any fault of a model becomes a :class:`WorkbenchError` that names the file and the mend. The host
libraries' exceptions are caught, and the folder's files are then checked one by one.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from contextlib import nullcontext
from datetime import date
from pathlib import Path
from typing import Any, Literal

from transformers import AutoConfig

from workbench.errors import WorkbenchError
from workbench.files.processes import is_first_process
from workbench.loading.certificate import certificate_path, read_certificate, write_certificate
from workbench.loading.devices import named_device, placing_options, process_device
from workbench.loading.in_memory import read_in_memory
from workbench.loading.remote import (
    NDIF_ACCESS,
    RemoteAccess,
    build_without_weights,
    connect,
    require_remote,
)
from workbench.loading.stand_in import stand_in_architecture
from workbench.loading.streamed import FIRST_LAYERS, Resume, open_streamed, require_streamable
from workbench.loading.tensor_parallel import all_agree, require_whole_states
from workbench.loading.tokenizer import Template, open_tokenizer
from workbench.loading.verify import verify
from workbench.models.chat_template import DEFAULT_DATE
from workbench.models.diagnose import configuration_fault
from workbench.models.dtype import AUTO, resolve_dtype
from workbench.models.fingerprint import fingerprint_files
from workbench.models.kernel_caches import bound_kernel_caches
from workbench.models.language_model import LanguageModel
from workbench.models.local import short_name
from workbench.models.opening import opening_of
from workbench.models.precision import Precision, resolve_precision, set_precision
from workbench.models.quantisation import NONE, checkpoint_method, prepare_quantised
from workbench.models.quantise import require_plain_checkpoint, scheme_named
from workbench.models.source import explain_errors, find_source, hub_commit
from workbench.models.structure import derive_architecture
from workbench.models.vocabulary import require_vocabulary
from workbench.models.weights import Kernel, class_of
from workbench.progress import task
from workbench.settings.defaults import MOST_WAITING_BYTES, RESUME_BYTES
from workbench.stream.model import only_first_layers

Attention = Kernel
Placement = Literal["device", "auto", "tensor", "stream", "ndif"]


def load_model(
    spec: str,
    *,
    dtype: str = AUTO,
    quantize: str = NONE,
    precision: Precision = "float32",
    device: str = "auto",
    attention: Attention = "sdpa",
    cache_dir: Path | None = None,
    chat_template: Path | None = None,
    template: Template = "chat",
    trust_remote_code: bool = False,
    revision: str | None = None,
    day: date = DEFAULT_DATE,
    anew: bool = False,
    placement: Placement = "device",
    max_memory: Mapping[str, str] | None = None,
    most_waiting_bytes: int = MOST_WAITING_BYTES,
    spill_folder: Path | None = None,
    resume_passes: Resume = "auto",
    resume_bytes: int = RESUME_BYTES,
    remote: RemoteAccess = NDIF_ACCESS,
) -> LanguageModel:
    """Load, freeze and validate a model.

    Args:
        spec: "default" or another embedded model (:mod:`workbench.models.embedded_models`), a
            folder (safetensors, or one GGUF file), a ``.gguf`` file, or a hub id.
        dtype: of the weights: "float32", "bfloat16", "float16", or "auto", what suits the device
            (see :mod:`workbench.models.dtype`).
        quantize: "none", or the scheme in which the layers' matrices are quantised while they are
            read: "int8", "int4", "nf4", ... (see :mod:`workbench.models.quantise`).
        precision: of the matrix products of every pass: "float32", "bfloat16" or "auto" (see
            :mod:`workbench.models.precision`).
        device: "auto" (a GPU when there is one) or a torch device.
        attention: kernel; families whose attention is wrong or missing under sdpa always run eager.
        cache_dir: where embedded models and dequantised GGUF files are kept (see
            :mod:`workbench.models.cache`).
        chat_template: a Jinja file used in place of the tokenizer's own template, or the name of
            one of the tokenizer's several templates.
        template: "chat" to write turns by a chat template, "plain" to write them as plain text
            (:mod:`workbench.models.plain_turns`), whether the model has a template or not.
        trust_remote_code: run code that comes with the model.
        revision: branch, tag or commit on the hub; meaningless for local files.
        day: the date that a chat template writes where it writes today's.
        anew: verify the model even if it was verified before.
        placement: "device" to hold the whole model on one device, "auto" to spread its layers over
            all (:mod:`workbench.loading.device_map`), "tensor" to split its matrices over the
            processes of torchrun (:mod:`workbench.loading.tensor_parallel`), "stream" to read one
            layer after another when passes need it (:mod:`workbench.loading.streamed`).
        max_memory: with "auto", the most that weights may take on a device, as {"0": "20GiB"}; None
            for what is free.
        most_waiting_bytes: what the batches that wait for a layer of a streamed model may hold in
            memory; beyond it they wait in files.
        spill_folder: of these files; None for the system's temporary ones.
        resume_passes: whether what layers of a streamed model return is kept there until passes
            end, at most ``resume_bytes``, so that a killed process goes on after its last finished
            layer; "auto" for layers of more than 8 GB (:mod:`workbench.stream.pass_log`).
        remote: how the server is reached.

    Raises:
        WorkbenchError: anything the person can mend: unknown id or family, damaged files, no
            network, no chat template or one that opens replies elsewhere than it writes them
            (:mod:`workbench.models.opening`), ...
    """
    bound_kernel_caches()
    torch_device = process_device() if placement == "tensor" else named_device(device)
    resolve_dtype(dtype, torch_device)
    streamed, split = placement == "stream", placement == "tensor"
    served = placement == "ndif"
    as_weights = precision == "auto" and placement not in ("device", "auto")
    computed = resolve_precision("float32" if as_weights else precision, torch_device)
    scheme = scheme_named(quantize)
    source = find_source(spec, revision, cache_dir)
    with explain_errors(spec, source), task(f"loading {short_name(spec)}"):
        options: dict[str, Any] = {
            "trust_remote_code": trust_remote_code,
            "revision": source.revision,
        }
        config = AutoConfig.from_pretrained(source.place, **options)
        class_of(config)
        _check_counts(spec, config)
        method = checkpoint_method(spec, config)
        if method is not None:
            require_plain_checkpoint(spec, method, scheme)
            prepare_quantised(spec, config, method, torch_device)
        torch_dtype = resolve_dtype(dtype, torch_device, config, method is not None)
        tokenizer = open_tokenizer(source.place, spec, chat_template, template, day, options)
        notes = opening_of(tokenizer).notes
        for note in notes:
            warnings.warn(f"{short_name(spec)}: {note}", stacklevel=2)
        wanted: dict[str, Any] = {
            "dtype": torch_dtype,
            "device": torch_device,
            "attention": attention,
            "trust_remote_code": trust_remote_code,
        }
        resident: dict[str, Any] = {"scheme": scheme, "method": method, "precision": computed}
        if served:
            require_remote(spec, source, remote, quantised=scheme is not None, precision=computed)
            model = build_without_weights(config, torch_dtype, attention, trust_remote_code)
        elif streamed:
            require_streamable(spec, method, scheme, computed)
            model = open_streamed(
                spec,
                source,
                config,
                **wanted,
                most_waiting_bytes=most_waiting_bytes,
                spill_folder=spill_folder,
                resume_passes=resume_passes,
                resume_bytes=resume_bytes,
                scheme=scheme,
            )
        else:
            resident |= placing_options(spec, config, torch_dtype, placement, max_memory, resident)
            model = read_in_memory(spec, source, config, **wanted, **resident)
    fingerprint = source.fingerprint or hub_commit(source)
    marks = _template_mark(chat_template, template) + ("" if scheme is None else f"+{quantize}")
    whole, first_layers = (
        certificate_path(model, tokenizer, fingerprint and fingerprint + marks + seen, cache_dir)
        for seen in ("", FIRST_LAYERS)
    )
    row = None if anew else read_certificate(whole)
    if row is None and streamed and not anew:
        row = read_certificate(first_layers)
    if split and not all_agree(row is not None, torch_device):
        row = None
    if row is None and served:
        with explain_errors(spec, source), task(f"verifying {short_name(spec)}"):
            row = stand_in_architecture(spec, model, attention)
        write_certificate(whole, row)
    told: dict[str, Any] = {"name": spec, "revision": fingerprint + marks, "notes": notes}
    if row is not None:
        lm = LanguageModel(model, tokenizer, row, **told)
        require_vocabulary(lm)
    else:
        with (
            explain_errors(spec, source),
            task(f"verifying {short_name(spec)}"),
            only_first_layers(model, spec) if streamed else nullcontext(),
        ):
            lm = LanguageModel(model, tokenizer, derive_architecture(model), **told)
            require_vocabulary(lm)  # the checks pad
            row = verify(lm).architecture
        lm = LanguageModel(model, tokenizer, row, **told)
        if is_first_process():
            write_certificate(first_layers if streamed else whole, row)
    if split:
        require_whole_states(lm)
    if served:
        with explain_errors(spec, source):
            connect(
                lm,
                remote,
                revision,
                lambda: read_in_memory(spec, source, config, **wanted, **resident),
            )
        return lm
    set_precision(lm, computed)
    return lm


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
