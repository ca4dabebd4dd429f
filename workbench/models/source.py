"""Find a model's files, and explain their loaders' exceptions in sentences that name the mend."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import torch
from huggingface_hub import errors as hub_errors
from huggingface_hub import try_to_load_from_cache

from workbench.errors import WorkbenchError
from workbench.models.cache import hashes_folder
from workbench.models.chat_template import said
from workbench.models.dequantise import dequantised_folder, require_whole
from workbench.models.diagnose import configuration_of, folder_fault
from workbench.models.embedded import embedded_folder
from workbench.models.embedded_models import EMBEDDED
from workbench.models.fingerprint import fingerprint_files, fingerprint_folder
from workbench.models.local import local_path, unknown_model


@dataclass(frozen=True)
class ModelSource:
    """The place transformers loads from: a local folder with its fingerprint, or a hub id with a
    revision.
    """

    place: str
    local: bool
    fingerprint: str = ""
    revision: str = "main"


def find_source(spec: str, revision: str | None, cache_dir: Path | None) -> ModelSource:
    """Find the files that ``spec`` names: an embedded model, a folder, a GGUF file or a hub id.

    Raises:
        WorkbenchError: for a damaged folder, and a revision of a local model.
    """
    path, row = local_path(spec), EMBEDDED.get(spec)
    if path is None and row is None:
        return ModelSource(spec, False, revision=revision or "main")
    if revision is not None:
        raise WorkbenchError(
            f"{spec!r} is local and has no revision {revision!r}: leave the revision out"
        )
    if row is not None:
        return ModelSource(str(embedded_folder(row, cache_dir)), True, row.sha256)
    assert path is not None
    if path.is_file() or not (path / "config.json").exists():
        gguf = _gguf_in(path)
        require_whole(gguf)
        folder = dequantised_folder(gguf, cache_dir)
        return ModelSource(str(folder), True, fingerprint_files([gguf], hashes_folder(cache_dir)))
    _, fault = configuration_of(path)
    if fault:
        raise WorkbenchError(f"the model {spec!r} cannot be loaded: {fault}")
    return ModelSource(str(path), True, fingerprint_folder(path, hashes_folder(cache_dir)))


def _gguf_in(path: Path) -> Path:
    """Return the GGUF file at ``path`` or the only one in that folder.

    Raises:
        WorkbenchError: for a folder without a model or with several, another file, and an adapter.
    """
    if path.is_file():
        if path.suffix.lower() != ".gguf":
            raise WorkbenchError(
                f"{path} is not a .gguf file: give a model's folder, a .gguf file or a hub id"
            )
        return path
    if (path / "adapter_config.json").exists():
        raise WorkbenchError(
            f"{path} holds an adapter, not a model: give the model it was trained on"
        )
    files = sorted(path.glob("*.gguf"))
    if not files:
        raise WorkbenchError(
            f"the folder {path} holds neither config.json nor a .gguf file: give a model's folder"
        )
    for file in files:
        require_whole(file)
    if len(files) > 1:
        names = ", ".join(file.name for file in files)
        raise WorkbenchError(
            f"the folder {path} holds several GGUF files ({names}): give the path of one"
        )
    return files[0]


def is_cached(source: ModelSource) -> bool:
    """Return whether the hub's weights are on this machine already. Then no download bar is
    needed.
    """
    names = ("model.safetensors", "model.safetensors.index.json")
    found = (try_to_load_from_cache(source.place, name, revision=source.revision) for name in names)
    return any(isinstance(path, str) for path in found)


def hub_commit(source: ModelSource, hub_cache: Path | None = None) -> str:
    """Name the commit whose configuration is in the hub's cache on this machine; the requested
    revision where there is none.

    Args:
        hub_cache: the cache of huggingface_hub; None for its default.
    """
    found = try_to_load_from_cache(
        source.place, "config.json", cache_dir=hub_cache, revision=source.revision
    )
    return Path(found).parent.name if isinstance(found, str) else source.revision


@contextmanager
def explain_errors(spec: str, source: ModelSource | None = None) -> Iterator[None]:
    """Turn the loaders' exceptions into sentences that name the mend.

    Raises:
        WorkbenchError: in place of any exception inside the block.
    """
    try:
        yield
    except (WorkbenchError, KeyboardInterrupt, SystemExit, GeneratorExit):
        raise
    except (
        BaseException
    ) as error:  # damaged files make the loaders raise anything, and the tokenizers panic
        raise WorkbenchError(_explanation(spec, source, error)) from error


def _explanation(spec: str, source: ModelSource | None, error: BaseException) -> str:
    chain, text = list(_causes(error)), said(error)
    if isinstance(error, (OSError, ValueError)):
        text = text.partition(": ")[2] or text
    if any(isinstance(cause, hub_errors.GatedRepoError) for cause in chain):
        return (
            f"the model {spec!r} is gated: accept its terms on its hub page, then run `hf auth "
            "login`"
        )
    if any(isinstance(cause, hub_errors.RevisionNotFoundError) for cause in chain):
        return f"the model {spec!r} has no such revision on the hub: check the revision's name"
    if any(
        isinstance(cause, (hub_errors.RepositoryNotFoundError, hub_errors.HFValidationError))
        for cause in chain
    ):
        return str(unknown_model(spec))
    if any(
        isinstance(cause, (hub_errors.LocalEntryNotFoundError, hub_errors.OfflineModeIsEnabled))
        for cause in chain
    ):
        return (
            f"the hub cannot be reached and {spec!r} is not in the local cache: give a local "
            "folder, run once online, "
            "or set HF_HOME to a cache that holds the model"
        )
    if "trust_remote_code" in str(error):
        return (
            f"the model {spec!r} brings its own code: read it, then say that you trust it (--set "
            "model.trust_remote_code=true; in "
            "Python trust_remote_code=True)"
        )
    if "does not recognize this architecture" in str(error):
        return (
            f"the installed transformers does not know the family of {spec!r}: upgrade "
            f"transformers ({text})"
        )
    fault = folder_fault(Path(source.place)) if source is not None and source.local else ""
    if fault:
        return f"the model {spec!r} cannot be loaded: {fault}"
    if any(
        isinstance(cause, (MemoryError, torch.OutOfMemoryError)) for cause in chain
    ) or "not enough memory" in str(error):
        return (
            f"the model {spec!r} does not fit into memory ({text}): take a smaller one, or "
            "model.dtype=bfloat16"
        )
    if "no file named" in str(error).lower():
        return (
            f"the model {spec!r} has no safetensors weights (pickled ones are never read): convert "
            f"it first ({text})"
        )
    return f"the model {spec!r} cannot be loaded: {text}"


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__
