"""Keep what was verified of a model, so that loading it again computes no check.

A certificate is the architecture that :func:`workbench.loading.verify.verify` returned, under a
name made of everything the checks depended on: the weights' fingerprint, the configuration, dtype,
device kind and attention kernel, the libraries' versions, and the source code of this package. It
lies in the cache directory as JSON. A certificate that is missing, damaged or of another name is
made anew; nothing is read from one but the fields of an architecture.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, fields, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

from workbench.compat import attention_kernel
from workbench.compat_processes import process_count
from workbench.errors import WorkbenchError
from workbench.models import Architecture
from workbench.models.cache import hashes_folder
from workbench.models.fingerprint import read_sidecar, write_sidecar
from workbench.pipeline.libraries import library_versions
from workbench.pipeline.store import code_version

FOLDER = ".certificates"


def certificate_path(
    model: Any, tokenizer: Any, revision: str, cache_dir: Path | None = None
) -> Path | None:
    """Return where the certificate of a transformers ``model`` with weights ``revision`` lies, or
    would lie; None where nothing can be kept.
    """
    root = hashes_folder(cache_dir)
    if root is None or not revision:
        return None
    weight = model.get_input_embeddings().weight
    told = {
        "revision": revision,
        "configuration": model.config.to_dict(),
        "vocabulary": len(tokenizer),
        "dtype": str(weight.dtype),
        "device": weight.device.type,
        "kernel": attention_kernel(model),
        "processes": process_count(model),
        "libraries": library_versions(),
        "code": code_version(),
    }
    text = json.dumps(told, sort_keys=True, default=str)
    return root / FOLDER / f"{hashlib.sha256(text.encode()).hexdigest()[:32]}.json"


def read_certificate(place: Path | None) -> Architecture | None:
    """Return the architecture that a certificate holds; None where there is none that can be
    read.
    """
    if place is None:
        return None
    found = read_sidecar(place)
    if set(found) != {field.name for field in fields(Architecture)}:
        return None
    try:
        return Architecture(**{**found, "missing": MappingProxyType(dict(found["missing"]))})
    except (TypeError, ValueError, WorkbenchError):
        return None


def write_certificate(place: Path | None, row: Architecture) -> None:
    """Keep the verified architecture ``row``, where it can be kept."""
    if place is None:
        return
    told: dict[str, Any] = asdict(replace(row, missing={})) | {"missing": dict(row.missing)}
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
    except OSError:
        return
    write_sidecar(place, told)
