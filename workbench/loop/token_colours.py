"""Say what the colours behind a conversation's tokens are: what the stage that attributes the
confidence to tokens left, or why there is nothing.

A colour is an estimate from a gradient. Its explanation carries the rank agreement with tokens that
were truly replaced, in words that say whether the colours can be read at all.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from workbench.loop.results import LoopResults
from workbench.loop.run import Run
from workbench.loop.token_attribution import DRAWS, MODELS
from workbench.measure import Estimate
from workbench.pipeline.store import ROW
from workbench.report.explorer import TokenColours

TITLE = "Attribution to tokens"
STAGE = "attribute"
READABLE = 0.5
"""The rank agreement whose interval has to lie above it for colours to be read as a ranking."""


def token_colours(
    context: Run, found: LoopResults, rows: NDArray[np.int64], lengths: Sequence[int]
) -> TokenColours:
    """Return the colours of the questions ``rows``, whose conversations have ``lengths`` tokens."""
    if STAGE not in found.finished:
        return _none(
            "which the run has not reached"
            if STAGE in context.keys
            else "and this run is of a version without it"
        )
    stage = context.stage(STAGE)
    facts = stage.facts()
    if not facts["items"]:
        return _none(f"which left none: {facts['why_not']}")
    place = pd.Index(stage.table("attributed")[ROW]).get_indexer(rows)
    scores = stage.tensors("attribution")
    values = {
        f"{name} model": [
            None if at < 0 else scores[name][at, :length]
            for at, length in zip(place.tolist(), lengths, strict=True)
        ]
        for name in MODELS
    }
    return TokenColours(
        "Attribution of the expected confidence to tokens",
        explanation(facts),
        "points",
        values,
        f"{TITLE} was computed for {facts['items']} of the patched questions, not for this one.",
    )


def explanation(facts: Mapping[str, Any]) -> str:
    """Return how a colour is read, and how far the run's own check lets it be read."""
    checks = {name: _agreement(facts, name) for name in MODELS}
    said = " and ".join(f"{checks[name]:.2f} ({name})" for name in MODELS)
    readable = all(check.low > READABLE for check in checks.values())
    verdict = (
        "so the order of strong colours can be read"
        if readable
        else "so the colours show the slope at the text as it is, and not which token matters"
    )
    return (
        "Gradient times difference of embeddings: what the expected confidence would lose, to "
        f"first order, if another token stood here, the mean over {DRAWS} tokens of the training "
        "conversations. Blue holds the confidence up, orange holds it down. Rank agreement "
        f"with {facts['checked_tokens']} tokens truly replaced in each of "
        f"{checks[MODELS[0]].n} questions: "
        f"{said}, {verdict}."
    )


def _agreement(facts: Mapping[str, Any], name: str) -> Estimate:
    value, low, high = (
        float("nan") if facts.get(key) is None else float(facts[key])
        for key in (f"{name}.rho", f"{name}.rho.low", f"{name}.rho.high")
    )
    return Estimate(value, low, high, int(facts["checked"]))


def _none(why: str) -> TokenColours:
    return TokenColours(
        TITLE,
        "",
        "points",
        {},
        f"{TITLE} is missing: it is computed by the stage {STAGE!r}, {why}.",
    )
