"""Resolve a model's name on this machine: a file, a folder, or nothing here."""

from __future__ import annotations

from pathlib import Path

from workbench.errors import WorkbenchError
from workbench.models.embedded_models import EMBEDDED


def local_path(spec: str) -> Path | None:
    """Return the file or folder that ``spec`` names; None for an embedded model and for what can
    only be a hub id.

    Raises:
        WorkbenchError: for what is neither: no name at all, control characters, a device, a path
            that cannot be read.
    """
    if spec in EMBEDDED:
        return None
    from huggingface_hub.errors import HFValidationError
    from huggingface_hub.utils import validate_repo_id

    mend = "give a folder, a .gguf file or a hub id like 'org/name'"
    if not spec.strip() or not spec.isprintable():
        raise WorkbenchError(
            f"the model's name {short_name(spec)!r} is empty or holds characters that cannot be "
            f"printed: {mend}"
        )
    try:
        path = Path(spec).expanduser()
        path.stat()
        if not path.is_file() and not path.is_dir():
            raise WorkbenchError(f"{short_name(spec)} is neither a file nor a folder: {mend}")
        if path.is_dir():
            next(path.iterdir(), None)
    except (FileNotFoundError, NotADirectoryError):
        if spec.startswith((".", "/", "~")) or spec.endswith(".gguf") or spec.count("/") > 1:
            raise WorkbenchError(f"there is no model at {short_name(spec)!r}: {mend}") from None
        try:
            validate_repo_id(spec)
        except HFValidationError:
            raise unknown_model(spec) from None
        return None
    except (OSError, RuntimeError, ValueError) as error:
        why = getattr(error, "strerror", None) or error
        raise WorkbenchError(
            f"the model {short_name(spec)!r} cannot be read ({why}): {mend}"
        ) from error
    return path


def short_name(spec: str) -> str:
    """Return a model's name for a message, however long it is."""
    return spec if len(spec) <= 200 else f"{spec[:197]}..."


def unknown_model(spec: str) -> WorkbenchError:
    """Return the error for a name that is neither a file here nor a model on the hub."""
    return WorkbenchError(
        f"there is no model {short_name(spec)!r}, neither as a local folder nor on the hub: check "
        "the spelling, give a folder, "
        "or run `hf auth login` if it is private"
    )
