"""Say why a tiny model of a family cannot be built or cannot read text alone, by trying.

A family is built (:mod:`workbench.models.shrink`) and reads twenty tokens, more than its windows
hold. What transformers raises on the way is the reason; so is a result that is not one row of
finite numbers for each token. Nothing is listed by hand: another version of transformers has other
families and other faults.

An empty reason says that the family runs. It does not say that a later token leaves earlier logits
alone, nor that any part of the workbench can read the family.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from transformers.utils import logging as host_logging

from workbench.models.shrink import build, families

PROMPT = tuple(7 * at * at % 250 + 5 for at in range(20))
"""Twenty tokens of every tiny vocabulary, none of which means an image or an end."""


@contextmanager
def silence_transformers() -> Iterator[None]:
    """Keep what transformers says of defaults it does not like from the terminal."""
    before = host_logging.get_verbosity()
    host_logging.set_verbosity(logging.CRITICAL)
    try:
        yield
    finally:
        host_logging.set_verbosity(before)


def _reason(stage: str, error: Exception) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return f"{stage}: {type(error).__name__}: {' '.join(lines[:2])}"


def read_prompt(model: Any) -> torch.Tensor:
    """Return the logits of a tiny ``model`` after each token of :data:`PROMPT`."""
    tokens = torch.tensor([PROMPT], device=model.device)
    with torch.no_grad():
        return model(input_ids=tokens, use_cache=False).logits[0]


def find_fault(family: str, attention: str = "eager", *, whole: bool = False) -> str:
    """Say why a tiny model of ``family`` cannot be built or run; nothing if it can.

    Any error of transformers is a reason here, whatever its class.
    """
    with silence_transformers():
        try:
            model = build(family, 0, attention, whole=whole)
        except Exception as error:
            return _reason("it cannot be built", error)
        try:
            logits = read_prompt(model)
        except Exception as error:
            return _reason("it cannot read text alone", error)
    if len(logits) != len(PROMPT):
        return f"it gives {len(logits)} rows of logits for {len(PROMPT)} tokens"
    return "" if logits.isfinite().all() else "its logits are not all finite"


def find_faults(names: Iterable[str] | None = None) -> dict[str, str]:
    """Return the reason of every family of ``names``, by default of all that are registered, that
    cannot be built or run.
    """
    found = {name: find_fault(name) for name in (families() if names is None else names)}
    return {name: why for name, why in found.items() if why}
