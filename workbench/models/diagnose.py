"""Find which file of a model's folder is at fault, after loading has failed.

The host libraries say what broke, seldom which file. Files are checked in the order they are read
in: configuration, tokenizer, weights. Nothing here runs for a model that loads.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from tokenizers import Tokenizer

INDEX = "model.safetensors.index.json"
AGAIN = "download it again"
_POINTER = b"version https://git-lfs"
_TOKENIZERS = (
    "tokenizer.json",
    "tokenizer.model",
    "spiece.model",
    "vocab.json",
    "vocab.txt",
    "tekken.json",
)
_COUNTS = {
    "num_hidden_layers": 10_000,
    "n_layer": 10_000,
    "hidden_size": 10**6,
    "n_embd": 10**6,
    "intermediate_size": 10**7,
    "num_attention_heads": 10**5,
    "n_head": 10**5,
    "num_key_value_heads": 10**5,
    "vocab_size": 10**8,
    "max_position_embeddings": 10**10,
    "n_positions": 10**10,
}


def configuration_fault(settings: Mapping[str, Any]) -> str:
    """Return which of a configuration's counts is impossible, "" if none is."""
    for name, most in _COUNTS.items():
        value = settings.get(name, 1)
        # Some families count for every layer.
        counts = value if isinstance(value, list) and value else [value]
        if value is not None and not all(_is_count(count, most) for count in counts):
            return (
                f"it says {name} = {str(value)[:40]!r}, which must be a whole number from 1 to "
                f"{most}"
            )
    return ""


def _is_count(value: Any, most: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 1 <= value <= most


def configuration_of(folder: Path) -> tuple[dict[str, Any], str]:
    """Return the settings in a folder's config.json, and what is wrong with it or
    generation_config.json, "" for nothing.
    """
    settings, fault = _json(folder / "config.json")
    if fault:
        return {}, fault
    for place, part in (("", settings), ("text_config: ", settings.get("text_config"))):
        fault = configuration_fault(part) if isinstance(part, dict) else ""
        if fault:
            return (
                settings,
                f"config.json is no configuration of a model: {place}{fault}; take the file that "
                "belongs to the model",
            )
    if (
        folder / "generation_config.json"
    ).exists():  # the host library passes over one that it cannot read
        return settings, _json(folder / "generation_config.json")[1]
    return settings, ""


def folder_fault(folder: Path) -> str:
    """Return what is wrong with the files of a model's folder, with the mend; "" where nothing is
    found.
    """
    return next(_faults(folder), "")


def _faults(folder: Path) -> Iterator[str]:
    _, fault = configuration_of(folder)
    if fault:
        yield fault
    for name in ("tokenizer_config.json", "special_tokens_map.json", INDEX):
        if (folder / name).exists():
            _, fault = _json(folder / name)
            if fault:
                yield fault
    yield from _tokenizer_faults(folder)
    yield from _weights_faults(folder)


def _json(path: Path) -> tuple[dict[str, Any], str]:
    try:
        text = path.read_bytes()
        found = json.loads(text)
    except OSError as error:
        return {}, f"{path.name} cannot be read ({error.strerror})"
    except (ValueError, RecursionError) as error:
        return {}, f"{path.name} {_what(path, f'is damaged ({error})'[:200])}: {AGAIN}"
    if not isinstance(found, dict):
        return {}, f"{path.name} holds no settings: {AGAIN}"
    return found, ""


def _tokenizer_faults(folder: Path) -> Iterator[str]:
    if not any((folder / name).exists() for name in _TOKENIZERS) and not list(
        folder.glob("*.tiktoken")
    ):
        usual = ", ".join(_TOKENIZERS[:2])
        yield (
            f"the folder holds no tokenizer ({usual}, ...): copy the tokenizer's files of the same "
            "model into it"
        )
    path = folder / "tokenizer.json"
    if path.exists():
        try:
            Tokenizer.from_file(str(path))
        except BaseException as error:  # the library panics on some files, which is no Exception
            if isinstance(error, (KeyboardInterrupt, SystemExit)):
                raise
            yield f"tokenizer.json {_what(path, f'is damaged ({error})'[:200])}: {AGAIN}"
    for name in ("tokenizer.model", "spiece.model"):
        path = folder / name
        if path.exists() and (
            not path.stat().st_size or path.read_bytes()[:32].startswith(_POINTER)
        ):
            yield f"{name} {_what(path, 'is damaged')}: {AGAIN}"


def _weights_faults(folder: Path) -> Iterator[str]:
    index, _ = _json(folder / INDEX) if (folder / INDEX).exists() else ({}, "")
    weights = index.get("weight_map", {})
    listed = sorted(set(map(str, weights.values()))) if isinstance(weights, dict) else []
    missing = [name for name in listed if not (folder / name).exists()]
    if missing:
        more = f" and {len(missing) - 1} more" if len(missing) > 1 else ""
        yield (
            f"{missing[0]}{more}, which {INDEX} lists, is missing: download the model again or "
            "copy the file into the folder"
        )
    for path in sorted(folder.glob("*.safetensors")):
        fault = weights_fault(path)
        if fault:
            yield fault
    if not list(folder.glob("*.safetensors")):
        yield "it has no safetensors weights (pickled ones are never read): convert it first"


def weights_fault(path: Path) -> str:
    """Return what is wrong with a safetensors file's header and length, "" for nothing."""
    try:
        with safe_open(str(path), framework="pt") as weights:
            weights.keys()
    except (SafetensorError, OSError, ValueError, MemoryError) as error:
        return f"{path.name} {_what(path, f'is damaged ({error})'[:200])}: {AGAIN}"
    return ""


def _what(path: Path, otherwise: str) -> str:
    """Return what a damaged file is, where it is one of the usual kinds, else ``otherwise``."""
    try:
        if not path.stat().st_size:
            return "is empty"
        with path.open("rb") as stream:
            pointer = stream.read(len(_POINTER)) == _POINTER
    except OSError:
        return otherwise
    return (
        "is a pointer of Git LFS instead of the file (run git lfs pull)" if pointer else otherwise
    )
