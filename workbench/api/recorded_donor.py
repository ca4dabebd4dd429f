"""Record what one model's run leaves behind, to be patched into another model of the same shape
once the first is no longer in memory.

    donor = record_donor(load_model("base"), prompts, read=(" Paris", " Rome"))
    found = patch_map(load_model("instruct"), prompts, donor, read=(" Paris", " Rome"))

Each model tokenises prompts with its own tokenizer and template. All tokens of the donor's prompts
are recorded, because the places are named only when the other model's tokens are known: sites x
prompts x tokens x width numbers, on the CPU. The donor's own reading is taken with its own
vocabulary, by the strings or the scale that ``read`` names; a function of logits counts token ids
and so needs one vocabulary.

Two checkpoints of one origin share the meaning of their states only as far as training left it: a
shift near 1 shows that a state works in the other model, one near 0 may also mean that the other
model writes the same thing otherwise. Each model has its own final norm and head, so even after the
last layer the shift is 1 only where these are the same. The donor's states of another prompt and a
random vector of the same length are patched beside it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from workbench.api.asked_prompts import AskedQuestions, tokens_of
from workbench.api.donor_match import node_texts, slices_at
from workbench.api.donors import RecordedDonor
from workbench.api.grid import default_component, make_grid
from workbench.api.positions import LAST
from workbench.api.prompt_runs import read_branches, record_sites
from workbench.api.prompts import Prompts, encode_prompts
from workbench.api.readouts import Read, readout_of
from workbench.models import LanguageModel
from workbench.settings.defaults import PATCHING_TOKENS_PER_FORWARD
from workbench.trace.backends import engine
from workbench.trace.interventions import Patch

_RECORDING = "packed"


def record_donor(
    lm: LanguageModel,
    prompts: Prompts,
    *,
    read: Read = None,
    over: Sequence[str] = ("layer",),
    layers: Any = "all",
    component: Any = None,
    neuron_window: int = 1,
    tokens_per_forward: int = PATCHING_TOKENS_PER_FORWARD,
) -> RecordedDonor:
    """Run ``prompts`` in ``lm`` and keep the states and readings that patches into another model
    need.

    Args:
        prompts: as for :func:`workbench.api.patching.sweep`; asked questions are put as ``lm``'s
            tokenizer and template put them.
        read, over, layers, component, neuron_window: those of the patches to come.
        tokens_per_forward: memory bound, tokens of one forward.

    Raises:
        WorkbenchError: for arguments that do not fit the model, as for the patches themselves.
    """
    if isinstance(prompts, AskedQuestions):
        read = prompts.format if read is None else read
        tokens = tokens_of(lm, prompts)
    else:
        tokens = encode_prompts(lm, prompts)
    readout = readout_of(lm, read, tokens)
    names = (over,) if isinstance(over, str) else tuple(over)
    sites = make_grid(
        lm,
        names,
        layers=layers,
        window=1,
        component=default_component(names) if component is None else component,
        neuron_window=neuron_window,
        places=(LAST,),
    ).sites
    lengths = torch.tensor(tokens.lengths)[:, None]
    own = torch.minimum(torch.arange(max(tokens.lengths)), lengths - 1)
    where = torch.cat([own, lengths + torch.arange(readout.tree.size)], dim=1)
    found = record_sites(lm, tokens, where, sites, tokens_per_forward, readout.tree)
    states = {site: each.cpu() for site, each in found.items()}
    last = Patch(sites[0], lengths[:, 0] - 1, states[sites[0]][:, max(tokens.lengths) - 1])
    base, _ = read_branches(
        engine(_RECORDING)(lm), lm, tokens, [[last]], readout, tokens_per_forward, packs=True
    )
    return RecordedDonor(
        name=lm.name,
        prompts=tokens,
        layers=lm.n_layers,
        width=lm.width,
        slices=slices_at(lm, sites),
        states=states,
        read=readout.label,
        nodes=node_texts(lm, readout.tree),
        readings=readout.value(base).double().cpu(),
    )
