"""Sweep a window of layers in which given tokens may not attend to given others, packed into one
pass, with a control that hides as many other tokens.

Each branch of the sweep cuts the edges from the queries to the keys in ``width`` neighbouring
layers; the last layer's windows are as wide as the others, so there are layers - width + 1 of them.
Effect = metric with the edges cut - metric of the run as it is; negative: the edges raise the
metric. A branch exists only from the layer before its window on and copies only the tokens from the
first query on. So a sweep costs about one forward of the prompts plus, for each token from the
first query on, half a token's forward a window.

What it does not show: a window may be too narrow to stop what several layers each read again, and
too wide to say where. Tokens between keys and queries carry what they read below the window. The
softmax weights that are left grow, which alone moves the metric: that is what :func:`other_keys`
measure. An effect no larger than theirs is none of these edges.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from workbench.errors import WorkbenchError
from workbench.models import LanguageModel
from workbench.patch.effect_map import Axis
from workbench.patch.inputs import ModelInputs, Reading
from workbench.patch.maps import PatchedMap
from workbench.trace.interventions import Branch
from workbench.trace.knockouts import AttentionKnockout


def layer_windows(layers: Sequence[int], width: int) -> list[tuple[int, ...]]:
    """Return the runs of ``width`` neighbours of ``layers``, in their order.

    Raises:
        WorkbenchError: for a width below 1 or above the number of layers.
    """
    if not 1 <= width <= len(layers):
        raise WorkbenchError(f"A window spans 1 to {len(layers)} of the layers given, not {width}.")
    return [tuple(layers[first : first + width]) for first in range(len(layers) - width + 1)]


def every_window(lm: LanguageModel, width: int) -> list[tuple[int, ...]]:
    """Return the windows of ``width`` over all layers of a model, as :func:`layer_windows`."""
    return layer_windows(range(lm.n_layers), width)


def window_branches(
    queries: Tensor,
    keys: Tensor,
    windows: Sequence[Sequence[int]],
    heads: Sequence[int] | None = None,
) -> list[Branch]:
    """Return one branch for each window of layers, in which ``queries`` [rows, n] may not attend to
    ``keys`` [rows, m].
    """
    named = None if heads is None else tuple(heads)
    return [(AttentionKnockout(queries, keys, tuple(window), named),) for window in windows]


def knock_out_windows(
    inputs: ModelInputs,
    queries: Tensor,
    keys: Tensor,
    reading: Reading,
    *,
    windows: Sequence[Sequence[int]],
    heads: Sequence[int] | None = None,
) -> PatchedMap:
    """Return the metric of every row as it is, [rows], and with the edges cut in each window,
    [rows, windows]; windows are labelled by their first layer.

    Args:
        inputs: the prompts; their positions do not matter.
        windows: layers of each, ascending, no two with the same first.
        heads: the query heads that are cut; all if not given.

    Raises:
        WorkbenchError: before any forward, for windows and heads the model lacks, tokens outside
            the prompts, and edges to later tokens.
    """
    firsts = tuple(window[0] for window in windows if len(window))
    if not windows or len(set(firsts)) < len(windows):
        raise WorkbenchError("Give windows of at least one layer, no two with the same first.")
    out = reading.values(inputs, window_branches(queries, keys, windows, heads))
    return PatchedMap((Axis("first layer", firsts),), out.base, out.patched)


def other_keys(
    queries: Tensor, keys: Tensor, *, seed: int, spare: int = 1, never: Tensor | None = None
) -> Tensor:
    """Draw, for each row, as many other tokens before its first query as it has keys: [rows, m].

    A token that a row repeats is drawn once and repeated. The first ``spare`` tokens are never
    drawn, because heads that look at nothing rest there, and cutting them moves everything; nor are
    the tokens ``never`` [rows, n].

    Raises:
        WorkbenchError: for a row with too few other tokens.
    """
    generator = np.random.default_rng(seed)
    drawn = torch.empty_like(keys)
    for row, own in enumerate(keys.tolist()):
        named = list(dict.fromkeys(own))
        taken = {*own, *([] if never is None else never[row].tolist())}
        free = sorted({*range(spare, int(queries[row].min()))} - taken)
        if len(free) < len(named):
            raise WorkbenchError(
                f"Prompt {row} has {len(free)} other tokens before its first query, and "
                f"{len(named)} keys to compare with; leave the control out, or name fewer keys."
            )
        chosen = generator.choice(free, len(named), replace=False).tolist()
        place = dict(zip(named, chosen, strict=True))
        drawn[row] = torch.tensor([place[key] for key in own])
    return drawn
