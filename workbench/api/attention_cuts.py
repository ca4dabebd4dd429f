"""Cut attention edges and read what the model then says: :func:`cut_attention`, window by window of
layers, with as many other tokens cut as a control.

Effect = reading with the edges cut - reading as it is; negative: what the queries read at the keys
raises the readout. The control cuts the queries off as many other earlier tokens, drawn at random
and never the first; where it moves the readout as much, the effect is no work of the keys named.

What it does not show: the queries may get the same from tokens in between that read the keys below
the window (:mod:`workbench.patch.knockout_windows`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import plotly.graph_objects as go
import torch
from torch import Tensor

from workbench.api.grid import chosen_layers
from workbench.api.positions import LAST, find_places, find_text
from workbench.api.prompt_runs import read_branches
from workbench.api.prompts import Prompts, PromptTokens, encode_prompts
from workbench.api.readouts import Read, readout_of
from workbench.api.results import Readings, Sweep
from workbench.errors import WorkbenchError
from workbench.measure.interval import IntervalCurve
from workbench.models import LanguageModel
from workbench.patch.effect_map import Axis
from workbench.patch.knockout_windows import layer_windows, other_keys, window_branches
from workbench.plots.window_sweep import WindowPanel, WindowSweep
from workbench.settings.defaults import PATCHING_TOKENS_PER_FORWARD, RESAMPLES
from workbench.trace.backends import engine

OTHER = "other_tokens"


@dataclass(frozen=True, eq=False)
class CutSweep(Sweep):
    """The readings with edges cut in every window of ``width`` layers, and of the control."""

    width: int

    def figure(self) -> go.Figure:
        """Draw the effect of every window and that of the control."""
        curves = [_curve(part) for part in self.conditions]
        panel = WindowPanel(curves[0], curves[1] if len(curves) > 1 else None)
        return WindowSweep(
            firsts=np.array(self.layers, dtype=np.int64),
            width=self.width,
            panels={self.what: panel},
            unit=f"change of {self.read}",
            title="What cutting attention does",
            caption=self.caption(),
        ).figure()


def cut_attention(
    lm: LanguageModel,
    prompts: Prompts,
    *,
    keys: Any,
    queries: Any = LAST,
    read: Read,
    window: int = 1,
    layers: Any = "all",
    heads: Sequence[int] | None = None,
    controls: bool = True,
    backend: str = "packed",
    tokens_per_forward: int = PATCHING_TOKENS_PER_FORWARD,
    seed: int = 0,
) -> CutSweep:
    """Cut what ``queries`` attend to at ``keys``, in every window of ``window`` neighbouring
    layers.

    Args:
        prompts: a text, chat turns or token ids, or a list of these.
        keys: an index, a text (all tokens that hold some of it), or a list of these; a mapping of
            names to lists has one for each prompt: {"answer": [" Paris", " Rome"]}.
        queries: the same, or "last".
        read: as in :func:`workbench.api.patching.sweep`.
        layers: "all", or the layers over which the window slides.
        heads: the query heads that are cut; all if not given.
        controls: cut off as many other tokens too.
        backend: "packed", or "loop".
        seed: of the control.

    Raises:
        WorkbenchError: before any forward, for arguments that do not fit, edges to later tokens,
            and a query that loses all it sees.
    """
    engine(backend)
    tokens = encode_prompts(lm, prompts)
    readout = readout_of(lm, read, tokens)
    readers, read_tokens = (_tokens(spec, tokens) for spec in (queries, keys))
    windows = layer_windows(chosen_layers(lm, layers), window)
    cut = {"edges": read_tokens}
    if controls:
        cut[OTHER] = other_keys(readers, read_tokens, seed=seed)
    branches = [
        branch
        for chosen in cut.values()
        for branch in window_branches(readers, chosen, windows, heads)
    ]
    base, patched = read_branches(
        engine(backend)(lm),
        lm,
        tokens,
        branches,
        readout,
        tokens_per_forward,
        packs=backend == "packed",
    )
    plain = readout.value(base).double().cpu().numpy()
    values = readout.value(patched.flatten(0, 1)).double().cpu().numpy()
    values = values.reshape(len(plain), len(cut), len(windows))
    axes = (Axis("first layer", tuple(each[0] for each in windows)),)
    conditions = tuple(
        Readings(name, "control" if number else "effect", axes, plain, None, values[:, number])
        for number, name in enumerate(cut)
    )
    return CutSweep(readout.label, f"{_said(queries)} cut off {_said(keys)}", conditions, window)


def _tokens(spec: Any, prompts: PromptTokens) -> Tensor:
    """Return the tokens [rows, n] that ``spec`` names; a row with fewer repeats its first."""
    rows = [_of_row(spec, prompts, row) for row in range(len(prompts))]
    most = max(map(len, rows))
    return torch.tensor([row[:1] * (most - len(row)) + row for row in rows])


def _of_row(spec: Any, prompts: PromptTokens, row: int) -> list[int]:
    if isinstance(spec, dict):
        short = [name for name, each in spec.items() if len(each) != len(prompts)]
        if short:
            raise WorkbenchError(
                f"{short[0]!r} names tokens of {len(spec[short[0]])} prompts; there are "
                f"{len(prompts)}."
            )
        parts = [each[row] for each in spec.values()]
    else:
        parts = list(spec) if isinstance(spec, list | tuple) else [spec]
    found = [token for part in parts for token in _of_part(part, prompts, row)]
    if not found:
        raise WorkbenchError("Name at least one query and one key.")
    return sorted(set(found))


def _of_part(part: Any, prompts: PromptTokens, row: int) -> range:
    """Return the tokens of one part: that of an index, or all that hold some of a text."""
    if isinstance(part, str) and part != LAST:
        last = find_text(part, prompts, row)
        begin = prompts.text(row).index(part)
        first = next(index for index, end in enumerate(prompts.ends(row)) if end > begin)
        return range(first, last + 1)
    alone = PromptTokens(prompts.rows[row : row + 1], prompts.pieces[row : row + 1])
    at = int(find_places(part, alone, None).base[0, 0])
    return range(at, at + 1)


def _said(spec: Any) -> str:
    if isinstance(spec, dict):
        return ", ".join(str(name) for name in spec)
    parts = spec if isinstance(spec, list | tuple) else [spec]
    return ", ".join(str(part).strip() for part in parts)


def _curve(part: Readings) -> IntervalCurve:
    lines = part.estimates(RESAMPLES, 0)
    value, low, high = (lines[name].to_numpy() for name in ("effect", "effect_low", "effect_high"))
    return IntervalCurve(value, low, high)
