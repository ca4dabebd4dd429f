"""Record the residual stream of anyone's prompts at named places.

A state is the residual stream after a decoder layer, before the final norm: layer 0 is the first
layer's output. Places are named as in :mod:`workbench.api.positions`: "last", an index, a text,
which means the token of its last character, or named spans. What was recorded is kept in a folder:
``states.safetensors`` with one tensor [prompts, layers, places, width], and ``prompts.parquet``
with one row per prompt, its columns, and the token recorded at each place. States beyond a bound of
memory go to shards in the folder ``states`` as they are recorded (:mod:`workbench.states`), and are
read from there as they are taken.

What states do not show: whether the model uses what can be read from them; patch them to see.
"""

from __future__ import annotations

import json
import math
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file
from torch import Tensor

from workbench.api.positions import LAST, At, find_places
from workbench.api.prompts import Prompts, PromptTokens, encode_prompts
from workbench.arrays import Rows
from workbench.errors import WorkbenchError
from workbench.files.json_files import read_json
from workbench.files.writing import write_atomically, write_json
from workbench.models import LanguageModel
from workbench.pipeline.fingerprint import fingerprint
from workbench.pipeline.store import ROW
from workbench.settings.defaults import RECORDED_BYTES, TOKENS_PER_FORWARD
from workbench.states.layout import Layout
from workbench.states.names import MANIFEST
from workbench.states.recorded import RecordedStates, open_states
from workbench.states.writer import StatesWriter
from workbench.stream.rounds import run_together
from workbench.tables import read_columns
from workbench.trace import record_states
from workbench.trace.batches import plan_batches

TENSOR, STATES, PROMPTS = "states", "states.safetensors", "prompts.parquet"
SHARDS, ABOUT = "states", "about.json"
AGAIN = "record them again"
PROMPT = "prompt"


@dataclass(frozen=True, eq=False)
class Recorded:
    """States of prompts at named places.

    Attributes:
        model: the name of the model that ran them.
        places: the names of the places.
        states: [n, layers, places, width] residual stream after each layer, held or on disk.
        prompts: one row per prompt: row, the prompt's text, what else was given of it, and by place
            the index and the text of the recorded token.

    Raises:
        WorkbenchError: for states of another shape, or of another number of prompts.
    """

    model: str
    places: tuple[str, ...]
    states: NDArray[np.float32] | RecordedStates
    prompts: pd.DataFrame

    def __post_init__(self) -> None:
        if self.states.ndim != 4 or self.states.shape[2] != len(self.places):
            raise WorkbenchError(
                f"States must be [prompts, layers, {len(self.places)} places, width]; they are "
                f"{self.states.shape}."
            )
        if len(self.states) != len(self.prompts):
            raise WorkbenchError(
                f"There are states of {len(self.states)} prompts and {len(self.prompts)} prompts."
            )

    def __len__(self) -> int:
        return len(self.states)

    def table(self) -> pd.DataFrame:
        """Return one row per prompt."""
        return self.prompts.copy()

    def save(self, folder: Path) -> None:
        """Write states and table into ``folder``, made if missing, in place of other states;
        those in shards stay where they were recorded, which must be there.

        Raises:
            WorkbenchError: for states in another folder's shards.
        """
        folder.mkdir(parents=True, exist_ok=True)
        about = {"model": self.model, "places": json.dumps(list(self.places))}
        if isinstance(self.states, RecordedStates):
            if self.states.folder.path != folder / SHARDS:
                raise WorkbenchError(
                    f"These states lie in {self.states.folder.path}; save them into its parent."
                )
            (folder / STATES).unlink(missing_ok=True)
            write_json(folder / SHARDS / ABOUT, about)
        else:
            tensors = {TENSOR: np.ascontiguousarray(self.states)}
            shutil.rmtree(folder / SHARDS, ignore_errors=True)
            write_atomically(folder / STATES, partial(save_file, tensors, metadata=about))
        write_atomically(folder / PROMPTS, lambda path: self.prompts.to_parquet(path, index=False))

    def _repr_html_(self) -> str:
        layers, width = self.states.shape[1], self.states.shape[3]
        head = f"{len(self)} prompts, {layers} layers, {len(self.places)} places, width {width}"
        return f"<p>{head}</p>" + self.prompts.to_html(max_rows=10, index=False)


def record_prompts(
    lm: LanguageModel,
    prompts: Prompts,
    at: At = LAST,
    *,
    columns: pd.DataFrame | None = None,
    tokens_per_forward: int = TOKENS_PER_FORWARD,
    folder: Path | None = None,
    recorded_bytes: int = RECORDED_BYTES,
) -> Recorded:
    """Run prompts and record the residual stream of every layer at the places of ``at``.

    Args:
        prompts: a text, chat turns or token ids, or a list of these.
        at: "last", an index, a text, a list of these, or named spans.
        columns: [n] what else is known of each prompt, such as a label; kept in the table.
        tokens_per_forward: memory bound, tokens of one forward pass.
        folder: where states beyond ``recorded_bytes`` of float32 are written as they are recorded,
            in the number format of the model's weights; without it they are held in memory.
            Recording that was killed goes on from there.
        recorded_bytes: memory bound of the states.

    Raises:
        WorkbenchError: with the tokens shown, for a place that is not in a prompt; and for
            ``columns`` of another length.
    """
    tokens = encode_prompts(lm, prompts)
    found = find_places(at, tokens, None)
    where: NDArray[np.int64] = found.base.numpy()
    shape = (len(tokens), lm.n_layers, len(found.labels), lm.width)
    table = recorded_table(tokens, found.labels, where, columns)
    batches = plan_batches(tokens.lengths, tokens_per_forward)

    def record(batch: Rows) -> Tensor:
        chosen = [tokens.rows[row] for row in batch]
        return record_states(lm, chosen, where[batch].tolist()).float().cpu()

    if folder is None or 4 * math.prod(shape) <= recorded_bytes:
        states = np.empty(shape, dtype=np.float32)

        def fill(batch: Rows) -> None:
            states[batch] = record(batch).numpy()

        run_together([partial(fill, batch) for batch in batches], "recording states")
        return Recorded(lm.name, found.labels, states, table)
    dtype = str(lm.dtype).removeprefix("torch.")
    source = fingerprint([lm.name, tokens.rows, where.tolist()])
    layout = Layout(lm.n_layers, found.labels, lm.width, dtype, source)
    writer = StatesWriter(folder / SHARDS, layout)

    def write(number: int, batch: Rows) -> None:
        name = f"recording-{number:05d}"
        if not writer.holds(name, batch):
            writer.write(name, batch, record(batch))

    works = [partial(write, number, batch) for number, batch in enumerate(batches)]
    run_together(works, "recording states")
    return Recorded(lm.name, found.labels, writer.finish(), table)


def read_recorded(folder: Path) -> Recorded:
    """Read what :meth:`Recorded.save` wrote.

    Raises:
        WorkbenchError: where a file is missing or damaged.
    """
    try:
        if (folder / SHARDS / MANIFEST).exists():
            return _read_sharded(folder)
        with safe_open(folder / STATES, framework="numpy") as file:
            about, states = file.metadata() or {}, file.get_tensor(TENSOR)
        places = tuple(json.loads(about["places"]))
        prompts = pd.read_parquet(folder / PROMPTS)
    except (OSError, SafetensorError, KeyError, ValueError) as error:
        raise WorkbenchError(
            f"{folder} holds no recorded states that can be read ({error}); record them with "
            "'workbench trace'."
        ) from error
    return Recorded(about["model"], places, states, prompts)


def _read_sharded(folder: Path) -> Recorded:
    about = read_json(folder / SHARDS / ABOUT, AGAIN)
    states, prompts = open_states(folder / SHARDS, AGAIN), pd.read_parquet(folder / PROMPTS)
    return Recorded(about["model"], states.layout.positions, states, prompts)


def read_prompts(path: Path, column: str = PROMPT) -> pd.DataFrame:
    """Read a table of prompts, with all of its columns.

    Args:
        path: CSV, TSV, JSON lines, JSON or parquet.
        column: the column of the prompts' texts.

    Raises:
        WorkbenchError: for a file that cannot be read, one without the column, and an empty prompt.
    """
    found = read_columns(path)
    if column not in found:
        raise WorkbenchError(
            f"{path} has no column {column!r}; name the column of the prompts, one of "
            f"{', '.join(found)}."
        )
    table = pd.DataFrame({name: found[name] for name in found})
    empty = np.flatnonzero([not str(text).strip() for text in table[column].fillna("")])
    if len(empty):
        raise WorkbenchError(f"{path}: the prompt of row {empty[0] + 1} is empty; write one.")
    return table.rename(columns={column: PROMPT})


def recorded_table(
    tokens: PromptTokens,
    places: Sequence[str],
    where: NDArray[np.int64],
    columns: pd.DataFrame | None,
) -> pd.DataFrame:
    """Return the table of recorded prompts.

    Raises:
        WorkbenchError: for ``columns`` of another length.
    """
    about: dict[str, Any] = {
        ROW: np.arange(len(tokens)),
        PROMPT: [tokens.text(row) for row in range(len(tokens))],
    }
    if columns is not None:
        if len(columns) != len(tokens):
            raise WorkbenchError(
                f"There are {len(tokens)} prompts and columns of {len(columns)} rows; give one row "
                "a prompt."
            )
        about |= {str(name): columns[name].to_numpy() for name in columns if name not in about}
    for place, name in enumerate(places):
        at = where[:, place]
        about[f"{name}.index"] = at
        about[f"{name}.token"] = [tokens.pieces[row][index] for row, index in enumerate(at)]
    return pd.DataFrame(about)
