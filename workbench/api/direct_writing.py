"""Split a logit difference into what each layer's attention and MLP wrote themselves, for the same
prompts, places and readout as a patch (:mod:`workbench.patch.direct_logit_attribution`).

Positive: the readout rises. Pieces written directly say nothing of what a part does for later
layers.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from workbench.api.attribution import require_run
from workbench.api.donor_match import cuts_alike
from workbench.api.donors import open_donor
from workbench.api.positions import LAST, At, find_places
from workbench.api.prompt_runs import run_as_named
from workbench.api.prompts import Prompts, PromptTokens, encode_prompts
from workbench.api.readouts import Read, Readout, readout_of
from workbench.api.results import PatchMap, Readings
from workbench.errors import WorkbenchError
from workbench.models import LanguageModel
from workbench.patch import direct_logit_attribution as direct
from workbench.patch.effect_map import Axis
from workbench.patch.logit_combinations import Combination
from workbench.settings.defaults import PATCHING_TOKENS_PER_FORWARD


@dataclass(frozen=True, eq=False)
class DirectMap(PatchMap):
    """A map of what each layer's attention and MLP wrote of a logit difference.

    Attributes:
        pieces: of the prompts' run, heads, embedding and constant included.
    """

    pieces: direct.Direct

    def caption(self) -> str:
        """Return the number of prompts, the readout, and how much of it no layer wrote, in
        words.
        """
        rest = float((self.pieces.embedding + self.pieces.constant).mean())
        return f"{len(self.base)} prompts · {self.read} · embedding and constant {rest:.3g}"


def direct_attribution(
    lm: LanguageModel,
    prompts: Prompts,
    donor: Any = None,
    *,
    read: Read,
    at: At = LAST,
    tokens_per_forward: int = PATCHING_TOKENS_PER_FORWARD,
) -> DirectMap:
    """Split a logit difference at one place into what each layer's attention and MLP wrote there;
    with a donor, into how much more they write in its run.

    Raises:
        WorkbenchError: as :func:`workbench.api.patching.sweep`, and for a readout that is no logit
            difference.
    """
    tokens = encode_prompts(lm, prompts)
    readout = readout_of(lm, read, tokens)
    if readout.tokens is None or readout.tokens.shape[1] != 2:
        raise WorkbenchError(
            "Only a logit difference splits into pieces; give read two strings, such as "
            "(' Paris', ' Rome')."
        )
    with run_as_named(lm):
        own = _pieces(lm, tokens, readout, find_places(at, tokens, None).base, tokens_per_forward)
    written = _by_layer(own)
    if donor is not None:
        with open_donor(lm, donor, tokens) as source:
            theirs = require_run(lm, source)
            alike = cuts_alike(lm, theirs.prompts)
            where = find_places(at, tokens, theirs.prompts, cut_alike=alike).donor
            with run_as_named(theirs.lm):
                other = _pieces(theirs.lm, theirs.prompts, readout, where, tokens_per_forward)
        written = _by_layer(other) - written
    axes = (Axis("part", ("attention", "mlp")), Axis("layer", tuple(range(lm.n_layers))))
    reading = Readings("written", "effect", axes, np.zeros(len(tokens)), None, written.numpy())
    what = "direct attribution" + ("" if donor is None else ", donor minus prompt")
    return DirectMap(readout.label, what, (reading,), own)


def _pieces(
    lm: LanguageModel,
    prompts: PromptTokens,
    readout: Readout,
    places: Tensor,
    tokens_per_forward: int,
) -> direct.Direct:
    """Return the pieces of each prompt's logit difference at its place.

    Raises:
        WorkbenchError: for several places.
    """
    assert readout.tokens is not None
    if places.shape[1] != 1:
        raise WorkbenchError("A direct attribution reads one place of each prompt; name one in at.")
    weights = torch.zeros((len(prompts), len(readout.every)), dtype=torch.float64)
    for row, (first, second) in enumerate(readout.tokens.tolist()):
        weights[row, readout.every.index(first)] = 1.0
        weights[row, readout.every.index(second)] = -1.0
    return direct.direct_attribution(
        lm,
        prompts.rows,
        Combination(readout.every, weights),
        tokens_per_forward=tokens_per_forward,
        positions=places[:, 0].tolist(),
    )


def _by_layer(pieces: direct.Direct) -> Tensor:
    """Return what attention and MLP of each layer wrote: [rows, attention and MLP, layers]."""
    return torch.stack([pieces.attention, pieces.mlp], dim=1)
