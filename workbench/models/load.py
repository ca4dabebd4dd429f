"""Loading a causal language model from the hub, a folder, a GGUF file, or the small default.

The configuration is read first, so that an unknown family or a base model without chat template is refused before any
weights move. Weights are read from safetensors only, never through pickle; GGUF files are dequantised once into a
cached safetensors folder. Models come back in evaluation mode with frozen parameters, tokenizers pad on the left, and
:func:`workbench.models.validate.validate` has checked the architecture's row on a real forward.

``revision`` of the result fingerprints the weights: the hub's commit, the default's SHA-256, or for local files a
SHA-256 over configuration, names, sizes and all bytes of the weights, which is kept until a file is written to.

Whatever is wrong with a model is one :class:`WorkbenchError` that names the file and the mend: the host libraries' exceptions are
caught, and the folder's files are then looked at one by one.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any, Literal

import torch
from huggingface_hub import errors as hub_errors
from huggingface_hub import try_to_load_from_cache
from transformers import AutoConfig, AutoTokenizer

from workbench.errors import WorkbenchError
from workbench.models.architectures import Architecture, architecture_of
from workbench.models.cache import hashes_folder
from workbench.models.chat import require_chat_template
from workbench.models.chat_template import DEFAULT_DATE, name_template, said, set_day
from workbench.models.dequantise import dequantised_folder, require_whole
from workbench.models.diagnose import configuration_fault, configuration_of, folder_fault
from workbench.models.embedded import DEFAULT_SPEC, embedded_folder, embedded_revision
from workbench.models.fingerprint import fingerprint_files, fingerprint_folder
from workbench.models.language_model import LanguageModel
from workbench.models.local import local_path, short_name, unknown_model
from workbench.models.opening import opening_of
from workbench.models.precision import Precision, resolve_precision, set_precision
from workbench.models.validate import validate
from workbench.models.weights import read_model
from workbench.progress import task

Attention = Literal["sdpa", "eager"]
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
    trust_remote_code: bool = False,
    revision: str | None = None,
    day: date = DEFAULT_DATE,
) -> LanguageModel:
    """Load, freeze and validate a model.

    Args:
        spec: "default", a folder (safetensors, or one GGUF file), a ``.gguf`` file, or a hub id.
        dtype: "float32", "bfloat16" or "float16".
        precision: of the matrix products of every pass: "float32", "bfloat16" or "auto" (see :mod:`workbench.models.precision`).
        device: "auto" (a GPU when there is one) or a torch device.
        attention: kernel; families whose attention is wrong or missing under sdpa always run eager.
        cache_dir: where the default and dequantised GGUF files are kept (see :mod:`workbench.models.cache`).
        chat_template: a Jinja file used in place of the tokenizer's own template.
        trust_remote_code: run code that comes with the model.
        revision: branch, tag or commit on the hub; meaningless for local files.
        day: the date that a chat template writes where it writes today's.

    Raises:
        WorkbenchError: anything the person can mend: unknown id or family, damaged files, no network, no chat template or one
            that opens replies elsewhere than it writes them (:mod:`workbench.models.opening`), ...
    """
    torch_dtype = _torch_dtype(dtype)
    torch_device = _torch_device(device)
    resolve_precision(precision, torch_device)
    source = _find(spec, revision, cache_dir)
    with _explained(spec, source), task(f"loading {short_name(spec)}"):
        options: dict[str, Any] = {"trust_remote_code": trust_remote_code, "revision": source.revision}
        config = AutoConfig.from_pretrained(source.place, **options)
        architecture = architecture_of(config)
        _check_counts(spec, config)
        tokenizer = _tokenizer(source.place, spec, chat_template, options)
        set_day(tokenizer, day)
        notes = opening_of(tokenizer).notes
        for note in notes:
            warnings.warn(f"{short_name(spec)}: {note}", stacklevel=2)
        model = read_model(
            spec,
            source.place,
            quiet=source.local or _cached(source),
            config=config,
            dtype=torch_dtype,
            attn_implementation=_kernel(architecture, attention),
            use_safetensors=True,
            **options,
        )
        model = model.to(torch_device).eval().requires_grad_(False)
    fingerprint = source.fingerprint or str(getattr(config, "_commit_hash", None) or source.revision)
    lm = LanguageModel(model, tokenizer, architecture, spec, fingerprint + _template_mark(chat_template), notes=notes)
    validate(lm)
    set_precision(lm, precision)
    return lm


@dataclass(frozen=True)
class _Source:
    """What transformers is pointed at: a local folder with its fingerprint, or a hub id with a revision."""

    place: str
    local: bool
    fingerprint: str = ""
    revision: str = "main"


def _find(spec: str, revision: str | None, cache_dir: Path | None) -> _Source:
    path = local_path(spec)
    if path is None:
        if spec == DEFAULT_SPEC:
            return _Source(str(embedded_folder(cache_dir)), True, embedded_revision())
        return _Source(spec, False, revision=revision or "main")
    if revision is not None:
        raise WorkbenchError(f"{spec!r} is local and has no revision {revision!r}: leave the revision out")
    if path.is_file() or not (path / "config.json").exists():
        gguf = _gguf_in(path)
        require_whole(gguf)
        folder = dequantised_folder(gguf, cache_dir)
        return _Source(str(folder), True, fingerprint_files([gguf], hashes_folder(cache_dir)))
    _, fault = configuration_of(path)
    if fault:
        raise WorkbenchError(f"the model {spec!r} cannot be loaded: {fault}")
    return _Source(str(path), True, fingerprint_folder(path, hashes_folder(cache_dir)))


def _gguf_in(path: Path) -> Path:
    """The GGUF file at ``path`` or the only one in that folder."""
    if path.is_file():
        if path.suffix.lower() != ".gguf":
            raise WorkbenchError(f"{path} is not a .gguf file: give a model's folder, a .gguf file or a hub id")
        return path
    if (path / "adapter_config.json").exists():
        raise WorkbenchError(f"{path} holds an adapter, not a model: give the model it was trained on")
    files = sorted(path.glob("*.gguf"))
    if not files:
        raise WorkbenchError(f"the folder {path} holds neither config.json nor a .gguf file: give a model's folder")
    for file in files:
        require_whole(file)
    if len(files) > 1:
        names = ", ".join(file.name for file in files)
        raise WorkbenchError(f"the folder {path} holds several GGUF files ({names}): give the path of one")
    return files[0]


def _tokenizer(place: str, spec: str, chat_template: Path | None, options: dict[str, Any]) -> Any:
    tokenizer = AutoTokenizer.from_pretrained(place, padding_side="left", **options)
    if chat_template is not None:
        if not chat_template.is_file():
            raise WorkbenchError(f"there is no chat template at {chat_template}: give the path of a Jinja file")
        try:
            tokenizer.chat_template = chat_template.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise WorkbenchError(f"the chat template {chat_template} cannot be read as UTF-8 text ({error})") from error
    name_template(tokenizer, spec if chat_template is None else str(chat_template))
    require_chat_template(tokenizer, spec)
    if tokenizer.pad_token is None:
        if tokenizer.eos_token is None:
            raise WorkbenchError(f"the tokenizer of {spec!r} has neither a pad nor an end token: set one in its folder")
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
        raise WorkbenchError(f"unknown device {name!r}: use auto, cpu, cuda, cuda:1, mps, ...") from error
    try:
        torch.ones(1, device=device).item()
    except Exception as error:  # AssertionError, NotImplementedError, RuntimeError: each back end has its own
        raise WorkbenchError(
            f"the device {name!r} cannot be used on this machine ({said(error)}): set model.device to auto or cpu"
        ) from error
    return device


def _check_counts(spec: str, config: Any) -> None:
    """Refuse counts that no model has before anything is built from them; for configurations of any origin."""
    text = config.get_text_config()
    fault = configuration_fault(
        {
            name: getattr(text, name, None)
            for name in ("num_hidden_layers", "hidden_size", "num_attention_heads", "vocab_size")
        }
    )
    if fault:
        raise WorkbenchError(f"the configuration of {spec!r} is none of a model: {fault}")


def _template_mark(chat_template: Path | None) -> str:
    return "" if chat_template is None else f"+template-{fingerprint_files([chat_template])[:12]}"


def _cached(source: _Source) -> bool:
    """Whether the hub's weights are on this machine already, so that no download bar is missed."""
    names = ("model.safetensors", "model.safetensors.index.json")
    found = (try_to_load_from_cache(source.place, name, revision=source.revision) for name in names)
    return any(isinstance(path, str) for path in found)


@contextmanager
def _explained(spec: str, source: _Source | None = None) -> Iterator[None]:
    """Turn the loaders' exceptions into sentences that name the mend."""
    try:
        yield
    except (WorkbenchError, KeyboardInterrupt, SystemExit, GeneratorExit):
        raise
    except BaseException as error:  # damaged files make the loaders raise anything, and the tokenizers panic
        raise WorkbenchError(_explanation(spec, source, error)) from error


def _explanation(spec: str, source: _Source | None, error: BaseException) -> str:
    chain, text = list(_causes(error)), said(error)
    if isinstance(error, (OSError, ValueError)):
        text = text.partition(": ")[2] or text
    if any(isinstance(cause, hub_errors.GatedRepoError) for cause in chain):
        return f"the model {spec!r} is gated: accept its terms on its hub page, then run `hf auth login`"
    if any(isinstance(cause, hub_errors.RevisionNotFoundError) for cause in chain):
        return f"the model {spec!r} has no such revision on the hub: check the revision's name"
    if any(isinstance(cause, (hub_errors.RepositoryNotFoundError, hub_errors.HFValidationError)) for cause in chain):
        return str(unknown_model(spec))
    if any(isinstance(cause, (hub_errors.LocalEntryNotFoundError, hub_errors.OfflineModeIsEnabled)) for cause in chain):
        return (
            f"the hub cannot be reached and {spec!r} is not in the local cache: give a local folder, run once online, "
            "or set HF_HOME to a cache that holds the model"
        )
    if "trust_remote_code" in str(error):
        return (
            f"the model {spec!r} brings its own code: read it, then say that you trust it (--set model.trust_remote_code=true; in "
            "Python trust_remote_code=True)"
        )
    if "does not recognize this architecture" in str(error):
        return f"the installed transformers does not know the family of {spec!r}: upgrade transformers ({text})"
    fault = folder_fault(Path(source.place)) if source is not None and source.local else ""
    if fault:
        return f"the model {spec!r} cannot be loaded: {fault}"
    if any(isinstance(cause, (MemoryError, torch.OutOfMemoryError)) for cause in chain) or "not enough memory" in str(
        error
    ):
        return f"the model {spec!r} does not fit into memory ({text}): take a smaller one, or model.dtype=bfloat16"
    if "no file named" in str(error).lower():
        return f"the model {spec!r} has no safetensors weights (pickled ones are never read): convert it first ({text})"
    return f"the model {spec!r} cannot be loaded: {text}"


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__
