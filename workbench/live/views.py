"""Compute each view as an iterator of lines, which are written as JSON.

The first lines of a view are quick and what follows is exact or complete: a curve comes at a few
layers and then at all (:mod:`workbench.live.curve`), a grid as estimates and then as true patches
(:mod:`workbench.live.grid`). Every last line carries ``code``, the Python that gives its ``value``.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import torch

from workbench.api.prompt_runs import run_as_named
from workbench.elicit.conversation import ScaleTokens
from workbench.live import change_code
from workbench.live.changes import (
    branch_of,
    changed_places,
    direction_branch,
    direction_of,
    read_outcomes,
    scale_of,
    text_branch_of,
)
from workbench.live.curve import curve_lines
from workbench.live.grid import grid_lines
from workbench.live.lines import plain
from workbench.live.requests import (
    CurveView,
    GenerateView,
    GridView,
    OutcomeView,
    Project,
    Read,
    SliderView,
    TokensView,
    View,
)
from workbench.live.session import OpenPair, Session, open_pair
from workbench.live.worker import Line
from workbench.patch.generation import generate_patched

RANDOM_DIRECTIONS = 3


def view_lines(session: Session, view: View) -> Iterator[Line]:
    """Compute a view.

    Raises:
        WorkbenchError: for what the session does not have.
    """
    if isinstance(view, TokensView):
        yield _tokens(session, view)
        return
    pair = open_pair(session, view.pair)
    if isinstance(view, CurveView):
        _, nodes = _scale(session, pair, view.read)
        yield from curve_lines(session, view, pair, nodes)
    elif isinstance(view, GridView):
        yield from grid_lines(session, view, pair)
    elif isinstance(view, OutcomeView):
        yield _outcome(session, view, pair)
    elif isinstance(view, SliderView):
        yield _slider(session, view, pair)
    else:
        yield from _generated(session, view, pair)


def _scale(session: Session, pair: OpenPair, read: Read) -> tuple[ScaleTokens | None, int]:
    """Return the scale that is read, None for another readout, and how many nodes it adds after a
    prompt.
    """
    numbers = scale_of(session, pair.lm, read)
    return numbers, 0 if numbers is None else numbers.trie.tree.size


def _tokens(session: Session, view: TokensView) -> Line:
    pair = open_pair(session, view.pair)
    sides = (pair.base_tokens, pair.donor_tokens)
    return {
        "kind": "tokens",
        "base": list(sides[0].pieces[0]),
        "donor": list(sides[1].pieces[0]),
        "partners": list(pair.partners),
    }


def _outcome(session: Session, view: OutcomeView, pair: OpenPair) -> Line:
    numbers, nodes = _scale(session, pair, view.read)
    found = read_outcomes(session, pair, view.read, [branch_of(session, pair, view.change, nodes)])
    before, after = found.each
    return plain(
        {
            "kind": "outcome",
            "scale": numbers is not None,
            "texts": list(found.texts),
            "before": before.probabilities,
            "after": after.probabilities,
            "base": before.value,
            "value": after.value,
            "code": change_code.outcome(session, view.pair, pair, view.read, view.change),
        }
    )


def _slider(session: Session, view: SliderView, pair: OpenPair) -> Line:
    numbers, nodes = _scale(session, pair, view.read)
    out = Project(
        kind="project", layer=view.layer, position=view.position, direction=view.direction
    )
    direction = direction_of(session, pair, out)
    places = changed_places(pair, view.position, nodes)
    draws = torch.randn(
        (RANDOM_DIRECTIONS, len(direction.vector)), generator=torch.Generator().manual_seed(0)
    )
    along: list[torch.Tensor] = [direction.vector, *(draws / draws.norm(dim=1, keepdim=True))]
    vectors: list[torch.Tensor | None] = [
        unit.to(direction.vector) * direction.unit * length
        for unit in along
        for length in view.lengths
    ]
    branches = [
        direction_branch(vector, direction, view.layer, places) for vector in [None, *vectors]
    ]
    found = read_outcomes(session, pair, view.read, branches)
    before, without, *moved = found.each
    count = len(view.lengths)
    values = np.array([each.value for each in moved]).reshape(len(along), count)
    return plain(
        {
            "kind": "slider",
            "scale": numbers is not None,
            "lengths": list(view.lengths),
            "unit": direction.unit,
            "base": before.value,
            "value": values[0],
            "random": values[1:],
            "without": without.value,
            "texts": list(found.texts),
            "before": before.probabilities,
            "distributions": [each.probabilities for each in moved[:count]],
            "distribution_without": without.probabilities,
            "code": change_code.slider(session, view, pair),
        }
    )


def _generated(session: Session, view: GenerateView, pair: OpenPair) -> Iterator[Line]:
    (prompt,) = pair.base_tokens.rows
    branch = text_branch_of(session, pair, view.change)
    before: list[int] = []
    after: list[int] = []

    def line(done: bool) -> Line:
        decode: Any = pair.lm.tokenizer.decode
        return {"kind": "generated", "before": decode(before), "after": decode(after)} | (
            {"value": after, "code": change_code.generated(session, view, pair)} if done else {}
        )

    steps = generate_patched(
        pair.lm, prompt, branch, view.tokens, tokens_per_forward=session.tokens_per_forward
    )
    while True:
        # In a notebook, cells and other views use the model between two lines.
        with run_as_named(pair.lm):
            step = next(steps, None)
        if step is None:
            break
        plain_token, patched_token = step
        before += [] if plain_token is None else [plain_token]
        after += [] if patched_token is None else [patched_token]
        yield line(False)
    yield line(True)
