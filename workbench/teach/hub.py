"""Upload an adapter's folder, its card included, to the Hugging Face hub.

The account is the one ``huggingface_hub`` finds (``hf auth login`` or the variable HF_TOKEN);
nothing here reads or stores it.
"""

from __future__ import annotations

from pathlib import Path

from huggingface_hub import HfApi

# The client's name for errors of its transport, whichever library that is.
from huggingface_hub.errors import HFValidationError, HTTPError, LocalTokenNotFoundError
from huggingface_hub.utils import validate_repo_id

from workbench.errors import WorkbenchError

FILES = ("README.md", "adapter_config.json", "adapter_model.safetensors")


def check_repository(name: str) -> None:
    """Refuse a name that is no ``owner/name``, before anything is trained.

    Raises:
        WorkbenchError: if it is none.
    """
    try:
        validate_repo_id(name)
    except HFValidationError as error:
        raise WorkbenchError(
            f"{name!r} is no repository on the hub; write it as owner/name. {error}"
        ) from error
    if "/" not in name:
        raise WorkbenchError(f"{name!r} is no repository on the hub; write it as owner/name.")


def push_adapter(folder: Path, name: str, endpoint: str | None = None) -> str:
    """Upload the adapter in ``folder`` to the repository ``name``, which is made private if it is
    new; return its address.

    Raises:
        WorkbenchError: without an account, without the right to write there, or without a
            connection.
    """
    missing = [file for file in FILES if not (folder / file).exists()]
    if missing:
        raise WorkbenchError(
            f"The adapter in {folder} lacks {', '.join(missing)}; run the recipe to its end first."
        )
    hub = HfApi(endpoint=endpoint)
    try:
        address = hub.create_repo(name, private=True, exist_ok=True)
        hub.upload_folder(
            repo_id=name,
            folder_path=folder,
            allow_patterns=list(FILES),
            commit_message="Adapter and its card",
        )
    except LocalTokenNotFoundError as error:
        raise WorkbenchError(
            "The hub needs an account; log in with `hf auth login` or set HF_TOKEN."
        ) from error
    except (HTTPError, OSError) as error:
        raise WorkbenchError(f"The adapter could not be uploaded to {name}: {error}") from error
    return str(address)
