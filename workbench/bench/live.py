"""Measure how long a person at the live bench waits: for a click, for estimates of all cells, and
for all of them as true patches.

The views are computed as the server computes them, without browser and network: a click at a token
until a few layers are there with random vectors, and until all layers and controls are; a grid of
16 tokens by all layers until the estimates are there, and until every cell is a true patch. The
conversation is a chat of some fifty tokens. A click costs the tokens after it, so the first and the
last of the grid's tokens are clicked, and one :data:`EARLIEST` tokens before the end.

Seconds are those of this machine under its load, so the time of one plain forward of the
conversation stands beside them; the bounds are for the default model on two free cores.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from typing import Any

import torch

from workbench.bench.timing import seconds, spread, synchronise
from workbench.live.requests import read_view
from workbench.live.session import Session, open_pair
from workbench.live.views import view_lines
from workbench.loading import load_model
from workbench.progress import track

POSITIONS = 16
EARLIEST = 46
BOUNDS = {
    "live.click": 0.5,
    "live.click.early": 0.5,
    "live.estimates": 1.5,
    "live.grid": 15.0,
}
"""Seconds of two free cores on the default model."""
WORDS = {
    "live.click": "a click at the last token, with controls",
    "live.click.early": "a click 16 tokens before the end: the first layers, with random vectors",
    "live.click.early_controls": "the same: all layers, with all controls",
    "live.click.first_token": "a click 46 tokens before the end: the first layers",
    "live.estimates": "estimates of all cells of 16 tokens",
    "live.grid": "all those cells as true patches",
    "live.first_cells": "the first of them",
    "live.forward": "one plain forward of the conversation",
}
_ASK = "What is the capital of {}? Answer in one word, then say how sure you are."
READ = {"kind": "texts", "first": " sure", "second": " not"}


def bench_live(model: str, *, repeats: int) -> dict[str, Any]:
    """Measure ``live.<what>`` in seconds: medians over ``repeats``, with ``.low`` and ``.high``."""
    session = Session(model, load_model(model))
    pair = {"base": _side("France"), "donor": _side("Italy")}
    opened = open_pair(session, _parsed({"view": "tokens", "pair": pair}).pair)
    (length,) = opened.base_tokens.lengths
    positions = list(range(length - POSITIONS, length))
    click = {"view": "curve", "pair": pair, "read": READ}
    grid = {"view": "grid", "pair": pair, "read": READ, "positions": positions}
    times: dict[str, list[float]] = {name: [] for name in WORDS}
    for turn in track(range(repeats + 1), "clicking"):
        late = list(_arrivals(session, click | {"position": length - 1}))
        early = list(_arrivals(session, click | {"position": positions[0]}))
        first = next(_arrivals(session, click | {"position": max(0, length - EARLIEST)}))
        filled = list(_arrivals(session, grid))
        forward = seconds(lambda: _forward(session, opened.base_tokens.rows[0]))
        if turn:  # the first round pays for what is made once
            clicks = (late[-1], early[0], early[-1], first)
            found = (*clicks, filled[0], filled[-1], filled[1], forward)
            for name, taken in zip(WORDS, found, strict=True):
                times[name].append(taken)
    out: dict[str, Any] = {"live.tokens": length, "live.layers": session.lm.n_layers}
    for name, values in times.items():
        out |= spread(name, values)
    return out


def table_rows(values: dict[str, Any]) -> list[dict[str, str]]:
    """Return the measured times in words, with their bounds."""
    return [
        {
            "what": words,
            "seconds": f"{values[name]:.2f} [{values[f'{name}.low']:.2f}, "
            f"{values[f'{name}.high']:.2f}]",
            "bound": f"{BOUNDS[name]:g}" if name in BOUNDS else "",
            "forwards": f"{values[name] / values['live.forward']:.1f}",
        }
        for name, words in WORDS.items()
    ]


def _arrivals(session: Session, request: dict[str, Any]) -> Iterator[float]:
    """Yield the seconds after which each line of a view was there."""
    synchronise()
    started = time.perf_counter()
    for _ in view_lines(session, _parsed(request)):
        synchronise()
        yield time.perf_counter() - started


def _forward(session: Session, prompt: tuple[int, ...]) -> None:
    tokens = torch.tensor([prompt], device=session.lm.device)
    with torch.no_grad():
        session.lm.model(input_ids=tokens, use_cache=False, logits_to_keep=1)


def _side(country: str) -> dict[str, Any]:
    turns = [
        {"role": "user", "content": _ASK.format(country)},
        {"role": "assistant", "content": "I am"},
    ]
    return {"kind": "chat", "turns": turns, "model": "base"}


def _parsed(request: dict[str, Any]) -> Any:
    return read_view(json.dumps(request).encode())
