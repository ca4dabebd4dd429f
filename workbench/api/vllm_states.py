"""Take the states of anyone's prompts from the files that vLLM's hidden-state connector wrote.

Files are found by what they hold: the token ids in a file must begin with a prompt's own, as the
model's tokenizer makes them, so neither names nor the order of files matter, and states of another
template, tokenizer or model are refused. All layers must have been recorded, vLLM's 1 to the number
of layers (:mod:`workbench.states.vllm_files`). That a file's numbers are this model's, and not
another's with the same tokenizer and sizes, is not checked: nothing in it tells.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import pandas as pd
from safetensors import SafetensorError, safe_open

from workbench.api.positions import LAST, At, find_places
from workbench.api.prompts import Prompts, PromptTokens, encode_prompts
from workbench.api.states import SHARDS, Recorded, recorded_table
from workbench.errors import WorkbenchError
from workbench.models import LanguageModel
from workbench.pipeline.fingerprint import fingerprint
from workbench.states.vllm_files import AGAIN, STATES, TOKENS, import_vllm_states


def take_vllm_states(
    lm: LanguageModel,
    prompts: Prompts,
    at: At = LAST,
    *,
    written: Path,
    folder: Path,
    columns: pd.DataFrame | None = None,
) -> Recorded:
    """Return the states of prompts that vLLM wrote into the folder ``written``, kept in ``folder``.

    Args:
        lm: the model that vLLM ran; its weights are not used
            (:func:`workbench.loading.without_weights.open_without_weights`).
        prompts, at, columns: as :func:`workbench.api.states.record_prompts` takes them.

    Raises:
        WorkbenchError: for a prompt without a file, files of other layers or another width, and
            damaged ones.
    """
    tokens = encode_prompts(lm, prompts)
    found = find_places(at, tokens, None)
    where = found.base.tolist()
    table = recorded_table(tokens, found.labels, found.base.numpy(), columns)
    files = _files_of(written, tokens)
    _require_sizes(files[0], lm)
    kept = import_vllm_states(
        files,
        tokens.rows,
        where,
        range(1, lm.n_layers + 1),
        folder / SHARDS,
        names=found.labels,
        source=fingerprint([lm.name, [list(row) for row in tokens.rows], where]),
    )
    return Recorded(lm.name, found.labels, kept.states, table)


def _files_of(written: Path, tokens: PromptTokens) -> list[Path]:
    """Return the file of every prompt: the one with its tokens alone, else one that begins so."""
    paths = sorted(written.rglob("*.safetensors")) if written.is_dir() else []
    if not paths:
        raise WorkbenchError(f"{written} holds no safetensors files of vLLM's; name their folder.")
    of_path = {path: tuple(_token_ids(path)) for path in paths}
    found: dict[tuple[int, ...], Path] = {}
    for length in sorted(set(tokens.lengths)):
        for path, ids in of_path.items():
            if len(ids) >= length and (len(ids) == length or ids[:length] not in found):
                found[ids[:length]] = path
    for row, ids in enumerate(tokens.rows):
        if ids not in found:
            raise WorkbenchError(_missing(written, tokens, row, list(of_path.values())))
    return [found[ids] for ids in tokens.rows]


def _missing(written: Path, tokens: PromptTokens, row: int, held: Sequence[tuple[int, ...]]) -> str:
    ids = tokens.rows[row]
    alike = max(
        next((at for at, pair in enumerate(zip(ids, own, strict=False)) if pair[0] != pair[1]),
             min(len(ids), len(own)))
        for own in held
    )  # fmt: skip
    return (
        f"None of the {len(held)} files in {written} is of prompt {row} "
        f"({json.dumps(tokens.text(row)[:60], ensure_ascii=False)}): the nearest has its first "
        f"{alike} of {len(ids)} tokens. Give vLLM the token ids of the workbench, of this model's "
        "tokenizer and template."
    )


def _token_ids(path: Path) -> list[int]:
    try:
        with safe_open(path, framework="pt") as file:
            ids: list[int] = file.get_tensor(TOKENS).tolist()
    except (OSError, SafetensorError) as error:
        raise WorkbenchError(f"{path} cannot be read ({error}); {AGAIN}.") from error
    return ids


def _require_sizes(path: Path, lm: LanguageModel) -> None:
    with safe_open(path, framework="pt") as file:
        shape = file.get_slice(STATES).get_shape()
    if len(shape) != 3 or shape[1] != lm.n_layers:
        raise WorkbenchError(
            f"{path} holds states of shape {tuple(shape)}, and {lm.name} has {lm.n_layers} layers: "
            f"tell vLLM to record its layers 1 to {lm.n_layers}."
        )
    if shape[2] != lm.width:
        raise WorkbenchError(
            f"{path} holds states {shape[2]} wide, and those of {lm.name} are {lm.width} wide: "
            "name the model that vLLM ran."
        )
