"""Fill a grid of cells: estimates from one backward first, then true patches, coarse to fine.

Layers are one axis; the other is the tokens, or the heads or components of all chosen tokens
together. An estimate is the attribution of :func:`workbench.api.attribution.attribute`; over
tokens that are patched together it is their sum. True patches come a few layers at a time, every
eighth layer first and then those between them, each a call of
:func:`workbench.api.patching.patch_map`. With every line come the share of cells that are true, and
Spearman's rank correlation of estimates and true effects over these. Tokens before the two runs
part are left out of it: both have the same states there, so patching is zero by construction, and
agreement about it shows nothing.

The correlation so far is of evenly spread layers, not of a random sample of cells.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import ConstantInputWarning, spearmanr

from workbench.api.attribution import attribute
from workbench.api.grid import BY_HEAD
from workbench.api.patching import patch_map
from workbench.arrays import Floats
from workbench.errors import WorkbenchError
from workbench.live.code import READ, called, opening
from workbench.live.lines import plain
from workbench.live.requests import GridView
from workbench.live.session import OpenPair, Session
from workbench.live.worker import Line
from workbench.patch.verification import Check

COARSEST = 8
"""Every so manieth layer comes first."""
MOST_TOGETHER = 8
"""Layers of one call."""
MOST_BRANCH_TOKENS = 400_000
COMPONENTS = ("resid_pre", "attn_out", "mlp_out")
FEWEST_RANKED = 3


def grid_lines(session: Session, view: GridView, pair: OpenPair) -> Iterator[Line]:
    """Compute the lines of a grid.

    Raises:
        WorkbenchError: for cells that are too many to be patched one by one.
    """
    given = _arguments(view, pair)
    _require_few(view, pair, given)
    estimate, base, donor = _estimates(session, view, pair, given)
    columns = _columns(view, pair, given, estimate.shape[1])
    layers = list(range(pair.lm.n_layers))
    yield plain(
        {
            "kind": "estimate",
            "layers": layers,
            "columns": columns,
            "over": view.over,
            "base": base,
            "donor": donor,
            "values": estimate,
        }
    )
    counted = differing(session, view, pair, given, estimate.shape)
    recorded = session.donor(view.pair, view.read, given["component"], given["over"])
    true = np.full(estimate.shape, np.nan)
    label = ""
    for some in coarse_to_fine(pair.lm.n_layers):
        found = patch_map(
            pair.lm,
            pair.prompts,
            recorded,
            read=session.readout(view.read),
            layers=some,
            controls=False,
            tokens_per_forward=session.tokens_per_forward,
            **given,
        )
        label = found.read
        true[some] = found.patched[0] - found.base[0]
        yield plain(
            {
                "kind": "cells",
                "layers": some,
                "values": true[some],
                "share": np.isfinite(true).mean(),
                "rho": rank_agreement(estimate, true, counted),
                "counted": counted,
            }
        )
    code = [
        *opening(session, view.pair, pair, view.read),
        *called(
            "patch_map",
            {"read": READ, **given, "controls": False},
            ["value = found.patched[0] - found.base[0]"],
        ),
    ]
    yield plain({"kind": "grid", "read": label, "value": true, "code": "\n".join(code)})


def coarse_to_fine(count: int) -> list[list[int]]:
    """Return groups of the numbers below ``count``: every :data:`COARSEST`-th and the last, then
    those halfway between, and so on; at most :data:`MOST_TOGETHER` in a group.
    """
    groups, seen, step = [], set[int](), COARSEST
    while step:
        fresh = sorted({*range(0, count, step), count - 1} - seen)
        seen |= {*fresh}
        groups += [fresh[at : at + MOST_TOGETHER] for at in range(0, len(fresh), MOST_TOGETHER)]
        step //= 2
    return groups


def rank_agreement(estimate: Floats, true: Floats, counted: NDArray[np.bool_]) -> float:
    """Return Spearman's correlation over the cells that are true and not zero by construction; NaN
    for fewer than three.

    Args:
        counted: [layers, columns] where the two runs differ.
    """
    known = np.isfinite(true) & counted
    if known.sum() < FEWEST_RANKED:
        return float("nan")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConstantInputWarning)
        return float(spearmanr(estimate[known], true[known]).statistic)


def differing(
    session: Session,
    view: GridView,
    pair: OpenPair,
    given: Mapping[str, Any],
    shape: tuple[int, ...],
) -> NDArray[np.bool_]:
    """Return the cells [layers, columns] in which the two runs' states differ: tokens from where
    the texts part on, or layers and tokens that the run's adapter acts on.
    """
    later = [own >= pair.parted for own, _ in given["at"].values()]
    columns = np.array(later if view.over == "position" else [any(later)] * shape[1])
    start = 0
    if pair.lm is not pair.donor_lm and session.run is not None:
        start = int(session.run.stage("teach").facts()["start_layer"])
    return np.asarray((np.arange(shape[0]) >= start)[:, None] & columns)


def _arguments(view: GridView, pair: OpenPair) -> dict[str, Any]:
    """Return the arguments of the map, without layers.

    Raises:
        WorkbenchError: for heads of a component that has none.
    """
    at = pair.places(sorted({*view.positions}))
    if view.over == "position":
        return {"over": ("layer", "position"), "at": at, "component": view.component}
    if view.over == "component":
        return {"over": ("layer", "component"), "at": at, "component": COMPONENTS}
    component = "heads" if view.component.startswith(("resid", "attn", "mlp")) else view.component
    return {"over": ("layer", "head"), "at": at, "component": component}


def _require_few(view: GridView, pair: OpenPair, given: dict[str, Any]) -> None:
    length = pair.base_tokens.lengths[0]
    each = [length - own for own, _ in given["at"].values()]
    tokens = sum(each) if view.over == "position" else max(each)
    if view.over == "head":
        tokens *= pair.lm.n_heads
    elif view.over == "component":
        tokens *= len(COMPONENTS)
    if tokens * pair.lm.n_layers > MOST_BRANCH_TOKENS:
        raise WorkbenchError(
            f"This grid computes {tokens * pair.lm.n_layers} tokens; the live bench takes "
            f"{MOST_BRANCH_TOKENS}. Choose fewer or later tokens, or use wb.patch_map."
        )


def _estimates(
    session: Session, view: GridView, pair: OpenPair, given: dict[str, Any]
) -> tuple[Floats, float, float | None]:
    """Return estimated effects [layers, columns], and the unpatched and the donor's reading."""
    named = given["component"]
    parts: Sequence[str] = [named] if isinstance(named, str) else named
    columns, base, donor = [], float("nan"), None
    for part in parts:
        found = attribute(
            pair.lm,
            pair.prompts,
            pair.donor,
            read=session.readout(view.read),
            at=given["at"],
            component=part,
            check=Check(cells=1, resamples=1),
            tokens_per_forward=session.tokens_per_forward,
        )
        base = float(found.base[0])
        donor = None if found.donor is None else float(found.donor[0])
        effects = found.patched[0] - base
        if part in BY_HEAD and view.over != "head":
            effects = effects.sum(axis=1)
        columns.append(effects if view.over == "position" else effects.sum(axis=-1))
    stacked = columns[0] if view.over != "component" else np.stack(columns, axis=1)
    return stacked, base, donor


def _columns(view: GridView, pair: OpenPair, given: dict[str, Any], count: int) -> list[str]:
    if view.over == "position":
        return list(given["at"])
    return list(COMPONENTS) if view.over == "component" else [f"head {at}" for at in range(count)]
