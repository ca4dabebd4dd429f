"""Write a fitted lens as safetensors, and read it back for the model that it was fitted on.

The file names its kind and the model's fingerprint, an adapter that was on included
(:func:`workbench.models.adapter_fingerprint.fingerprint_as_run`). So a taught model's lens is
refused on the base model, and the base model's on a taught one.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor

from workbench.errors import WorkbenchError
from workbench.files.writing import write_atomically
from workbench.models import LanguageModel
from workbench.models.adapter_fingerprint import fingerprint_as_run


def save_lens(
    path: Path, kind: str, model: str, tensors: Mapping[str, Tensor], **about: object
) -> None:
    """Write a lens of a ``kind``, fitted on the model of this fingerprint, with what else is to be
    known ``about`` it.
    """
    kept = {name: each.contiguous() for name, each in tensors.items()}
    words = {"lens": json.dumps({"kind": kind, "model": model, **about})}
    write_atomically(path, lambda temporary: save_file(kept, temporary, metadata=words))


def load_lens(
    path: Path, kind: str, names: Sequence[str], lm: LanguageModel
) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Read the tensors of a lens of this model, and what is told about it.

    Args:
        names: of the tensors; the first one's axes begin with layers and end with width.

    Raises:
        WorkbenchError: for a file that is no such lens, a lens of another model, and one for
            another number of layers or another width.
    """
    try:
        with safe_open(path, "pt") as file:
            about = json.loads((file.metadata() or {})["lens"])
            tensors = {name: file.get_tensor(name) for name in names}
        of, model = about["kind"], about["model"]
    except Exception as error:  # safetensors raises its own for damaged files, OSError for missing
        raise WorkbenchError(f"{path} is no {kind} lens: fit one and save it") from error
    if of != kind:
        raise WorkbenchError(f"{path} is no {kind} lens but a {of} lens: give the other file")
    if model != fingerprint_as_run(lm):
        raise WorkbenchError(
            f"the lens in {path} was fitted on another model than {lm.name!r} with the adapter "
            "that is on now (or none): fit one on this"
        )
    layers, width = tensors[names[0]].shape[0], tensors[names[0]].shape[-1]
    if (layers, width) != (lm.n_layers, lm.width):
        raise WorkbenchError(
            f"the lens in {path} is for {layers} layers of width {width}, {lm.name!r} has "
            f"{lm.n_layers} of width {lm.width}: fit one on this"
        )
    return tensors, about
