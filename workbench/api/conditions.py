"""Read the effect of a grid of patches and its controls, from one set of recorded states.

- ``donor``: the donor's states (the effect).
- ``random_vector``: the prompt's own state plus a random direction as long as the donor's
  difference from it, within the subspace where only that is patched. It shows what any change of
  that length does. Left out where a state has fewer than :data:`NARROWEST` numbers, such as single
  neurons.
- ``other_prompt``: where the donor is another model, that model's states of another prompt. What it
  moves is no work of the prompt's own content, but of what the models differ in at any prompt.
- ``random_position``: the donor's state of a random other token, at a random other token of the
  prompt, the same one where both have as many. It shows what these layers do at any token. It is
  left out where the patched places leave no such tokens.
- ``own_state``: the prompt's own states. It shows what the arithmetic alone does (the noise floor).

The last three are read at a few layers, evenly spread. Where donors are other prompts of the same
model, none of them shows that an effect is specific to what the prompts differ in: that is the
choice of the donor.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from workbench.api.control_names import (
    OTHER_PROMPT,
    OWN_STATE,
    RANDOM_POSITION,
    RANDOM_VECTOR,
    Controls,
    site_number,
    wanted_controls,
)
from workbench.api.donors import (
    Mode,
    ModelPrompts,
    RecordedDonor,
    written_states,
)
from workbench.api.grid import Grid
from workbench.api.patch_job import PatchJob
from workbench.api.patched_tokens import PatchedTokens, patched_tokens, random_tokens
from workbench.api.prompt_runs import States, read_branches, record_sites
from workbench.api.prompts import PromptTokens
from workbench.api.results import Readings, Role
from workbench.arrays import Floats
from workbench.models import LanguageModel
from workbench.patch.ablation_values import matched_noise
from workbench.patch.branches import make_patch
from workbench.patch.controls import derangement
from workbench.progress import Task, task
from workbench.settings.defaults import CONTROL_LAYERS
from workbench.trace.checks import site_width
from workbench.trace.interventions import Branch, Patch
from workbench.trace.sites import Site

NARROWEST = 8
"""Numbers a state must have for a random direction to be another one than the donor's: with a
single number every second one is the donor's own.
"""


@dataclass(frozen=True, eq=False)
class _Write:
    """The patches of one condition: ``groups[k]`` are the columns of ``tokens`` [rows, n] that
    belong to place k. ``partner`` [rows] names the prompt whose donor each gets, None its own.
    ``whole`` says that whole states are written, whatever the job's subspaces.
    """

    name: str
    role: Role
    grid: Grid
    tokens: Tensor
    groups: tuple[tuple[int, ...], ...]
    values: States
    mode: Mode = "replace"
    partner: Tensor | None = None
    whole: bool = False


def read_conditions(job: PatchJob, controls: Controls) -> tuple[Readings, ...]:
    """Return the readings of the effect and of the controls that are asked for.

    Raises:
        WorkbenchError: for a control that does not exist.
    """
    writes = _writes(job, controls)
    with task("patching", job.rows) as bar:
        theirs = _donor_reading(job, writes[0])
        return _read(job, writes, theirs, bar)


def _writes(job: PatchJob, controls: Controls) -> list[_Write]:
    wanted = wanted_controls(controls)
    at = patched_tokens(job.places, job.prompts, job.donor_prompts, job.readout.tree.size)
    count = len(job.places.labels)
    drawn = (
        random_tokens(job.places, job.prompts, job.donor_prompts, job.seed)
        if RANDOM_POSITION in wanted
        else None
    )
    here, there = (
        (at.base, at.donor)
        if drawn is None
        else (torch.cat([at.base, drawn[0]], dim=1), torch.cat([at.donor, drawn[1]], dim=1))
    )
    sites = job.grid.sites
    theirs = _donor_states(job, there)
    needed = bool(wanted) or theirs is None
    own = _record(job, job.lm, job.prompts, here, sites) if needed else {}
    values: States = {}
    mode: Mode = "replace"
    for site in sites:
        mine = own[site] if site in own else torch.empty(0)
        values[site], mode = written_states(
            job.donor, mine, None if theirs is None else theirs[site]
        )
    patched = slice(0, at.base.shape[1])
    effect = _Write("donor", "effect", job.grid, at.base, at.groups, _at(values, patched), mode)
    if not wanted:
        return [effect]
    reference = {s: torch.zeros_like(v) if mode == "add" else v for s, v in own.items()}
    few = job.grid.thin_layers(CONTROL_LAYERS)
    writes = [effect]
    if RANDOM_VECTOR in wanted and all(site_width(job.lm, s) >= NARROWEST for s in sites):
        noise = {
            site: matched_noise(
                reference[site][:, patched],
                _written(job, site, reference[site], values[site].to(own[site]))[:, patched],
                job.seed + site_number(job.lm, site),
            )
            for site in sites
        }
        writes.append(
            _Write(RANDOM_VECTOR, "control", job.grid, at.base, at.groups, noise, mode, whole=True)
        )
    if OTHER_PROMPT in wanted and job.other_model:
        writes.append(_other_prompt(job, at, few, _at(values, patched)))
    if drawn is not None:
        alone = tuple((index,) for index in range(count))
        moved = _at(values, slice(at.base.shape[1], None))
        writes.append(_Write(RANDOM_POSITION, "control", few, drawn[0], alone, moved, mode))
    if OWN_STATE not in wanted:
        return writes
    still = _at(reference, patched)
    return [*writes, _Write(OWN_STATE, "floor", few, at.base, at.groups, still, mode)]


def _written(job: PatchJob, site: Site, reference: Tensor, value: Tensor) -> Tensor:
    """Return what a patch of ``value`` leaves at ``site`` where ``reference`` is, if alone."""
    if job.subspaces is None:
        return value
    return job.subspaces[site.layer].change(reference, value, 0.0)


def _other_prompt(job: PatchJob, at: PatchedTokens, grid: Grid, values: States) -> _Write:
    """Return the patches with the donor model's states of another prompt at the same places."""
    partner = torch.as_tensor(derangement(job.rows, job.seed))
    others = {site: value[partner.to(value.device)] for site, value in values.items()}
    return _Write(OTHER_PROMPT, "control", grid, at.base, at.groups, others, partner=partner)


def _at(states: States, columns: slice) -> States:
    return {site: state[:, columns] for site, state in states.items()}


def _record(
    job: PatchJob, lm: LanguageModel, prompts: PromptTokens, tokens: Tensor, sites: Sequence[Site]
) -> States:
    return record_sites(lm, prompts, tokens, sites, job.tokens_per_forward, job.readout.tree)


def _donor_states(job: PatchJob, tokens: Tensor) -> States | None:
    """Return the donor's states at ``tokens`` of its prompts, or None where the donor is no run."""
    donor = job.donor
    if isinstance(donor, RecordedDonor):
        return {site: donor.at(site, tokens).to(job.lm.device) for site in job.grid.sites}
    if isinstance(donor, ModelPrompts):
        tree = job.donor_readout.tree
        return record_sites(
            donor.lm, donor.prompts, tokens, job.grid.sites, job.tokens_per_forward, tree
        )
    return None


def _donor_reading(job: PatchJob, effect: _Write) -> Tensor | None:
    """Return the reading [rows] of the donors' own runs, or None where the donor is no run."""
    if isinstance(job.donor, RecordedDonor):
        return job.donor.readings
    if not isinstance(job.donor, ModelPrompts):
        return None
    cell, donor = effect.grid.cells[0], job.donor
    site, column = cell.sites[0], effect.groups[cell.places[0]][0]
    own = Patch(site, job.places.donor[:, cell.places[0]], effect.values[site][:, column])
    base, _ = read_branches(
        job.backend(donor.lm),
        donor.lm,
        donor.prompts,
        [[own]],
        job.donor_readout,
        job.tokens_per_forward,
        packs=job.engine == "packed",
    )
    return job.donor_readout.value(base).double().cpu()


def _read(
    job: PatchJob, writes: Sequence[_Write], theirs: Tensor | None, bar: Task
) -> tuple[Readings, ...]:
    """Read all conditions as branches of the same passes, which compute the prompts once."""
    branches = [_branches(job, write) for write in writes]
    base, patched = read_branches(
        job.backend(job.lm),
        job.lm,
        job.prompts,
        [branch for some in branches for branch in some],
        job.readout,
        job.tokens_per_forward,
        packs=job.engine == "packed",
        advance=bar.advance,
    )
    value = job.readout.value
    plain = value(base).double().cpu().numpy()
    cells = torch.stack([value(patched[:, at]) for at in range(patched.shape[1])], dim=1)
    parts = cells.double().cpu().split([len(some) for some in branches], dim=1)
    return tuple(
        Readings(
            write.name,
            write.role,
            write.grid.axes,
            plain,
            _donors(write, theirs),
            part.numpy().reshape(job.rows, *write.grid.shape),
        )
        for write, part in zip(writes, parts, strict=True)
    )


def _branches(job: PatchJob, write: _Write) -> list[Branch]:
    """Return the branch of every cell of a condition."""
    spans = None if write.whole else job.subspaces
    return [
        [
            make_patch(
                site, write.tokens[:, column], write.values[site][:, column], write.mode, spans
            )
            for site in cell.sites
            for place in cell.places
            for column in write.groups[place]
        ]
        for cell in write.grid.cells
    ]


def _donors(write: _Write, theirs: Tensor | None) -> Floats | None:
    """Return the reading of the donor that each prompt gets."""
    if theirs is None:
        return None
    return (theirs if write.partner is None else theirs[write.partner]).numpy()
