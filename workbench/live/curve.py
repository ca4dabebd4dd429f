"""Read all layers at one token in lines that come quickly: a few layers first, then those between
them, every effect with its random vector.

A branch costs the tokens after the clicked one, so at an early token all layers with all controls
are many passes long. The first line is one packed pass with about :data:`FIRST_TOKENS` tokens of
branches: evenly spread layers, the first and the last among them. Later lines add the layers
between, and the last one reads the other controls at a few of its layers. Every line says which
layers a condition was read at. Near the end of a conversation everything is one line.

The effects and random vectors are those of :func:`workbench.api.patching.sweep` over all layers,
which reads the other controls at layers of its own choice.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from workbench.api.patching import sweep
from workbench.api.results import Sweep
from workbench.live.code import READ, called, opening
from workbench.live.lines import plain
from workbench.live.requests import CurveView
from workbench.live.session import OpenPair, Session
from workbench.live.worker import Line

WHOLE_TOKENS = 160
"""Tokens of the effect's branches up to which everything is one line."""
FIRST_TOKENS = 128
LATER_TOKENS = 448
FEWEST = 2
ALONG = ("random_vector",)
"""Controls that stand beside the effect at every layer."""
KINDS = 1 + len(ALONG)


def curve_lines(session: Session, view: CurveView, pair: OpenPair, nodes: int) -> Iterator[Line]:
    """Compute the lines of a curve.

    Args:
        nodes: tokens that are read after the prompt.
    """
    places = pair.places([view.position])
    given = {"read": READ, "at": places, "component": view.component}
    branch = pair.base_tokens.lengths[0] - view.position + nodes
    donor = session.donor(view.pair, view.read, view.component, ("layer",))
    code = [
        *opening(session, view.pair, pair, view.read),
        *called("sweep", {**given, "controls": True}, ["value = found.patched[0]"]),
    ]
    found: list[Sweep] = []
    groups = layer_groups(pair.lm.n_layers, branch)
    for number, layers in enumerate(groups):
        found.append(
            sweep(
                pair.lm,
                pair.prompts,
                donor,
                read=session.readout(view.read),
                at=places,
                layers=layers,
                component=view.component,
                controls=number + 1 == len(groups) or ALONG,
                tokens_per_forward=session.tokens_per_forward,
            )
        )
        yield _line(found, code, number + 1 == len(groups), pair.lm.n_layers)


def layer_groups(count: int, branch: int) -> list[list[int]]:
    """Return the layers of each line, ascending within a line, every layer once.

    Args:
        count: layers of the model.
        branch: tokens that a branch costs.
    """
    if count * branch <= WHOLE_TOKENS or count <= FEWEST:
        return [list(range(count))]
    first = min(count, max(FEWEST, FIRST_TOKENS // (KINDS * branch)))
    begun = sorted({round(at) for at in np.linspace(0, count - 1, first)})
    rest = [layer for layer in range(count) if layer not in begun]
    each = max(1, LATER_TOKENS // (KINDS * branch))
    lines = -(-len(rest) // each)
    # Every line spreads over all layers, so that the curve sharpens everywhere.
    return [begun, *(rest[at::lines] for at in range(lines))]


def _line(found: list[Sweep], code: list[str], complete: bool, layers: int) -> Line:
    first = found[0]
    names = dict.fromkeys(part.name for each in found for part in each.conditions)
    conditions = [
        _merged(name, [part for each in found for part in each.conditions if part.name == name])
        for name in names
    ]
    return plain(
        {
            "kind": "curve",
            "read": first.read,
            "base": float(first.base[0]),
            "donor": None if first.donor is None else float(first.donor[0]),
            "floor": found[-1].noise_floor,
            "value": conditions[0]["values"],
            "conditions": conditions,
            "of_layers": layers,
            "complete": complete,
            "code": "\n".join(code),
        }
    )


def _merged(name: str, parts: list[Any]) -> dict[str, Any]:
    """Return one condition of all lines so far, its layers ascending."""
    read = {
        layer: value
        for part in parts
        for layer, value in zip(part.axes[0].labels, part.patched[0].tolist(), strict=True)
    }
    layers = sorted(read)
    return {
        "name": name,
        "role": parts[0].role,
        "layers": layers,
        "values": [read[layer] for layer in layers],
    }
