"""Run prompts in one model: record states at their tokens, and read branches of patches after them.

Both take the prompts in batches of similar length and return them in the prompts' order. A plain
model is run with its own weights alone (:func:`run_as_named`), even if an adapter has been put into
them since.

The numbers are those of the forwards that the engine makes; rounding between engines is theirs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import numpy as np
import torch
from numpy.typing import NDArray
from peft import PeftModel
from peft.tuners.lora import LoraLayer
from torch import Tensor

from workbench.api.prompts import PromptTokens
from workbench.api.readouts import Readout
from workbench.models import LanguageModel
from workbench.patch.inputs import ModelInputs, recorded
from workbench.trace.backends import Backend
from workbench.trace.batches import map_batches
from workbench.trace.branch_groups import TAIL_COLUMNS
from workbench.trace.checks import site_width
from workbench.trace.interventions import Branch
from workbench.trace.sites import Site
from workbench.trace.token_tree import TokenTree

States = dict[Site, Tensor]
"""States of each site, [rows, tokens, width]."""


@contextmanager
def run_as_named(lm: LanguageModel) -> Iterator[None]:
    """Run passes with the weights that ``lm`` names: adapters inside a plain model are off in the
    block.
    """
    layers = [module for module in lm.model.modules() if isinstance(module, LoraLayer)]
    if isinstance(lm.model, PeftModel) or not layers:
        yield
        return
    were = [(layer, not layer.disable_adapters) for layer in layers]
    trained = {weight: weight.requires_grad for layer in layers for weight in layer.parameters()}
    try:
        for layer in layers:
            layer.enable_adapters(False)
        yield
    finally:
        for layer, on in were:
            layer.enable_adapters(on)
        for weight, wanted in trained.items():
            weight.requires_grad_(wanted)


def record_sites(
    lm: LanguageModel,
    prompts: PromptTokens,
    tokens: Tensor,
    sites: Sequence[Site],
    tokens_per_forward: int,
    tree: TokenTree,
) -> States:
    """Record the states of ``sites`` at ``tokens`` [rows, n]; from a prompt's length on they name
    nodes of ``tree``.
    """
    found: States = {}
    run = ModelInputs(lm, prompts.rows, tokens, lambda: run_as_named(lm))
    where = range(tokens.shape[1])
    widths: dict[int, list[Site]] = {}
    for site in sites:
        widths.setdefault(site_width(lm, site), []).append(site)
    for some in widths.values():
        states = recorded(run, some, where, tokens_per_forward, tree)
        found |= {site: states[:, index] for index, site in enumerate(some)}
    return found


def read_branches(
    backend: Backend,
    lm: LanguageModel,
    prompts: PromptTokens,
    branches: Sequence[Branch],
    readout: Readout,
    tokens_per_forward: int,
    *,
    packs: bool,
    advance: Callable[[int], None] | None = None,
) -> tuple[Tensor, Tensor]:
    """Return what the readout leaves of every prompt, unpatched and in every branch, in the
    prompts' order.

    Args:
        backend: runs the branches in ``lm``.
        packs: whether the backend packs branches, so that they count towards a batch's tokens.
        advance: called with the number of prompts of each batch that is done.
    """
    columns = min(TAIL_COLUMNS, len(branches) * max(prompts.lengths)) if packs else 0

    def compute(numbers: NDArray[np.int64]) -> tuple[Tensor, ...]:
        rows = torch.as_tensor(numbers)
        some: list[Branch] = [[each.of_rows(rows) for each in branch] for branch in branches]
        with run_as_named(lm):
            out = backend.patch(
                [prompts.rows[row] for row in numbers],
                some,
                readout.reduce,
                tokens_per_forward=tokens_per_forward,
                tree=readout.tree,
            )
        if advance is not None:
            advance(len(rows))
        return out.base, out.patched

    base, patched = map_batches(
        prompts.lengths, tokens_per_forward, compute, readout.tree.size + columns
    )
    return base, patched
