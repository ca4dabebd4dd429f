"""Measure reading the scale after every layer through lenses, relative to recording the states
alone.

Recorded are the states after every layer at the prompt's end and the nodes of the scale 0 to 100 %
below it, in one packed pass; a lens reads the scale from each of them. Time does not depend on what
a lens's maps hold, so they are zero here: what is read says nothing. The bound is on the ratio of
each lens, and of all three together, which read the same recording.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

import torch

from workbench.bench.inputs import BenchInputs
from workbench.bench.timing import alternate, ratio, spread
from workbench.bottleneck.jacobian_lens import JacobianLens
from workbench.bottleneck.node_gradients import node_levels
from workbench.bottleneck.scale_lens import (
    Lens,
    LensTokens,
    LogitLens,
    choose_tokens,
    node_states,
    read_layers,
)
from workbench.bottleneck.tuned_lens import TunedLens
from workbench.elicit.conversation import scale_tokens
from workbench.elicit.formats import FORMATS
from workbench.models import LanguageModel

SCALE = "percent"
ALL = "all"


def lens_reading(bench_inputs: BenchInputs, repeats: int) -> dict[str, Any]:
    """Measure ``lens.<name>_over_record`` of every lens, and of all of them from one recording."""
    lm, prompts = bench_inputs.lm, bench_inputs.prompts
    trie = scale_tokens(lm.tokenizer, FORMATS[SCALE]).trie
    chosen = choose_tokens(lm, node_states(lm, prompts, trie)[:, -1], trie)
    lenses = empty_lenses(lm, chosen)
    groups: dict[str, Mapping[str, Lens]] = {name: {name: lens} for name, lens in lenses.items()}
    groups[ALL] = lenses
    methods = {
        name: partial(read_layers, lm, prompts, chosen, group) for name, group in groups.items()
    }
    times = alternate({"record": partial(node_states, lm, prompts, trie), **methods}, repeats)
    out: dict[str, Any] = {"lens.nodes": len(trie.inner)}
    for name in groups:
        out |= spread(f"lens.{name}_over_record", ratio(times, name, "record"))
    return out


def empty_lenses(lm: LanguageModel, chosen: LensTokens) -> dict[str, Lens]:
    """Return lenses of this model's sizes whose maps are zero."""
    layers, width, tokens = lm.n_layers, lm.width, len(chosen.tokens)
    levels = max(node_levels(chosen.trie)) + 1
    tuned = TunedLens(
        torch.zeros(layers, width, width), torch.zeros(layers, width), torch.zeros(layers), ""
    )
    jacobian = JacobianLens(
        torch.zeros(layers, levels, tokens, width), torch.zeros(layers, levels, tokens), chosen, ""
    )
    return {"logit": LogitLens(), "tuned": tuned, "jacobian": jacobian}
