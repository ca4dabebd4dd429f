"""Read the effect of a grid of patches and its controls, from one set of recorded states.

- ``donor``: the donor's states (the effect).
- ``random_vector``: the prompt's own state plus a random direction as long as the donor's
  difference from it. It shows what any change of that length does. Left out where
  a state has fewer than :data:`NARROWEST` numbers, such as single neurons.
- ``random_position``: the donor's state of a random other token, at a random other token of the
  prompt, the same one where both have as many. It shows what these layers do at any token. It is
  left out where the patched places leave no such tokens.
- ``own_state``: the prompt's own states. It shows what the arithmetic alone does (the noise floor).

The last two are read at a few layers, evenly spread. None of them shows that a donor's effect is
specific to what the prompts differ in: that is the choice of the donor.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from workbench.api.donors import Donor, Mode, ModelPrompts, run_as_named, written_states
from workbench.api.grid import Grid
from workbench.api.positions import Places
from workbench.api.prompts import PromptTokens
from workbench.api.readouts import Readout
from workbench.api.results import Readings, Role
from workbench.models import LanguageModel
from workbench.patch.ablation_values import matched_noise
from workbench.patch.inputs import ModelInputs, recorded
from workbench.progress import Task, task
from workbench.settings.defaults import CONTROL_LAYERS
from workbench.trace.backends import Backend, engine
from workbench.trace.batches import plan_batches
from workbench.trace.branch_groups import TAIL_COLUMNS
from workbench.trace.checks import site_width
from workbench.trace.interventions import Branch, Patch
from workbench.trace.sites import Site

NARROWEST = 8
"""Numbers a state must have for a random direction to be another one than the donor's: with a
single number every second one is the donor's own.
"""
States = dict[Site, Tensor]
"""States of each site, [rows, tokens, width]."""


@dataclass(frozen=True, eq=False)
class PatchJob:
    """The inputs from which a grid of patches is read."""

    lm: LanguageModel
    prompts: PromptTokens
    donor: Donor
    places: Places
    grid: Grid
    readout: Readout
    engine: str
    tokens_per_forward: int
    seed: int
    backends: dict[int, Backend] = field(default_factory=dict)

    def backend(self, lm: LanguageModel) -> Backend:
        """Return the backend of ``lm`` in its present state. It is made once, because some backends
        copy the model.
        """
        if id(lm) not in self.backends:
            self.backends[id(lm)] = engine(self.engine)(lm)
        return self.backends[id(lm)]

    @property
    def rows(self) -> int:
        return len(self.prompts)


@dataclass(frozen=True, eq=False)
class _Write:
    """The patches of one condition: ``groups[k]`` are the columns of ``tokens`` [rows, n] that
    belong to place k.
    """

    name: str
    role: Role
    grid: Grid
    tokens: Tensor
    groups: tuple[tuple[int, ...], ...]
    values: States
    mode: Mode = "replace"


def read_conditions(job: PatchJob, controls: bool) -> tuple[Readings, ...]:
    """Return the readings of the effect and, where asked for, of every control."""
    writes = _writes(job, controls)
    with task("patching", job.rows * len(writes)) as bar:
        theirs = _donor_reading(job, writes[0])
        return tuple(_read(job, write, theirs, bar) for write in writes)


def _writes(job: PatchJob, controls: bool) -> list[_Write]:
    tokens, donor_tokens, groups = _tokens(job)
    count = len(job.places.labels)
    drawn = _random_tokens(job) if controls else None
    here, there = (
        (tokens, donor_tokens)
        if drawn is None
        else (torch.cat([tokens, drawn[0]], dim=1), torch.cat([donor_tokens, drawn[1]], dim=1))
    )
    sites, other = job.grid.sites, job.donor if isinstance(job.donor, ModelPrompts) else None
    theirs = None if other is None else _record(job, other.lm, other.prompts, there, sites)
    needed = controls or other is None
    own = _record(job, job.lm, job.prompts, here, sites) if needed else {}
    values: States = {}
    mode: Mode = "replace"
    for site in sites:
        mine = own[site] if site in own else torch.empty(0)
        values[site], mode = written_states(
            job.donor, mine, None if theirs is None else theirs[site]
        )
    patched = slice(0, tokens.shape[1])
    effect = _Write("donor", "effect", job.grid, tokens, groups, _at(values, patched), mode)
    if not controls:
        return [effect]
    reference = {s: torch.zeros_like(v) if mode == "add" else v for s, v in own.items()}
    few = job.grid.thin_layers(CONTROL_LAYERS)
    writes = [effect]
    if all(site_width(job.lm, site) >= NARROWEST for site in sites):
        noise = {
            site: matched_noise(
                reference[site][:, patched],
                values[site][:, patched].to(own[site]),
                job.seed + index,
            )
            for index, site in enumerate(sites)
        }
        writes.append(_Write("random_vector", "control", job.grid, tokens, groups, noise, mode))
    if drawn is not None:
        alone = tuple((index,) for index in range(count))
        moved = _at(values, slice(tokens.shape[1], None))
        writes.append(_Write("random_position", "control", few, drawn[0], alone, moved, mode))
    still = _at(reference, patched)
    return [*writes, _Write("own_state", "floor", few, tokens, groups, still, mode)]


def _at(states: States, columns: slice) -> States:
    return {site: state[:, columns] for site, state in states.items()}


def _tokens(job: PatchJob) -> tuple[Tensor, Tensor, tuple[tuple[int, ...], ...]]:
    """Return the tokens patched [rows, n], the donor's tokens, and which columns belong to each
    place.

    A place at the end of every prompt and donor includes the tokens that are read after it, so that
    a patch after the last layer gives exactly the donor's reading.
    """
    size, labels = job.readout.tree.size, len(job.places.labels)
    groups = [(index,) for index in range(labels)]
    ours, theirs = job.places.base, job.places.donor
    if not size or not isinstance(job.donor, ModelPrompts):
        return ours, theirs, tuple(groups)
    lengths = torch.tensor(job.prompts.lengths)
    donor_lengths = torch.tensor(job.donor.prompts.lengths)
    nodes = torch.arange(size)
    for place in range(labels):
        at_end = torch.equal(job.places.base[:, place], lengths - 1) and torch.equal(
            job.places.donor[:, place], donor_lengths - 1
        )
        if at_end:
            start = ours.shape[1]
            groups[place] = (place, *range(start, start + size))
            ours = torch.cat([ours, lengths[:, None] + nodes], dim=1)
            theirs = torch.cat([theirs, donor_lengths[:, None] + nodes], dim=1)
    return ours, theirs, tuple(groups)


def _random_tokens(job: PatchJob) -> tuple[Tensor, Tensor] | None:
    """Draw as many random tokens of every prompt as there are places, none of them patched, and as
    many of its donor; return None where a prompt has too few, with a warning if others have enough.
    """
    rng = np.random.default_rng(job.seed)
    count = len(job.places.labels)
    lengths = job.prompts.lengths
    there = job.donor.prompts.lengths if isinstance(job.donor, ModelPrompts) else lengths
    free = []
    for row, (ours, theirs) in enumerate(zip(lengths, there, strict=True)):
        mine = {*range(ours)} - {*job.places.base[row].tolist()}
        donors = {*range(theirs)} - {*job.places.donor[row].tolist()}
        free.append((mine & donors,) if ours == theirs else (mine, donors))
    short = [row for row, sides in enumerate(free) if min(map(len, sides)) < count]
    if short and len(short) < job.rows:
        warnings.warn(
            f"The control at a random position is left out: {len(short)} of {job.rows} prompts, "
            f"the first of them number {short[0]}, have no {count} tokens besides those patched.",
            stacklevel=2,
        )
    if short:
        return None
    drawn = [
        [rng.choice(sorted(tokens), count, replace=False).tolist() for tokens in sides]
        for sides in free
    ]
    return torch.tensor([row[0] for row in drawn]), torch.tensor([row[-1] for row in drawn])


def _record(
    job: PatchJob, lm: LanguageModel, prompts: PromptTokens, tokens: Tensor, sites: Sequence[Site]
) -> States:
    found: States = {}
    run = ModelInputs(lm, prompts.rows, tokens, lambda: run_as_named(lm))
    where = range(tokens.shape[1])
    widths: dict[int, list[Site]] = {}
    for site in sites:
        widths.setdefault(site_width(lm, site), []).append(site)
    for some in widths.values():
        states = recorded(run, some, where, job.tokens_per_forward, job.readout.tree)
        found |= {site: states[:, index] for index, site in enumerate(some)}
    return found


def _donor_reading(job: PatchJob, effect: _Write) -> Tensor | None:
    """Return the reading [rows] of the donors' own runs, or None where the donor is no run."""
    if not isinstance(job.donor, ModelPrompts):
        return None
    cell, donor = effect.grid.cells[0], job.donor
    site, column = cell.sites[0], effect.groups[cell.places[0]][0]
    own = Patch(site, job.places.donor[:, cell.places[0]], effect.values[site][:, column])
    base, _ = _run(job, donor.lm, donor.prompts, [[own]], None)
    return job.readout.value(base).double().cpu()


def _read(job: PatchJob, write: _Write, theirs: Tensor | None, bar: Task) -> Readings:
    branches = [
        [
            Patch(site, write.tokens[:, column], write.values[site][:, column], write.mode)
            for site in cell.sites
            for place in cell.places
            for column in write.groups[place]
        ]
        for cell in write.grid.cells
    ]
    base, patched = _run(job, job.lm, job.prompts, branches, bar)
    value = job.readout.value
    cells = torch.stack([value(patched[:, index]) for index in range(len(branches))], dim=1)
    return Readings(
        write.name,
        write.role,
        write.grid.axes,
        value(base).double().cpu().numpy(),
        None if theirs is None else theirs.numpy(),
        cells.double().cpu().numpy().reshape(job.rows, *write.grid.shape),
    )


def _run(
    job: PatchJob,
    lm: LanguageModel,
    prompts: PromptTokens,
    branches: Sequence[Branch],
    bar: Task | None,
) -> tuple[Tensor, Tensor]:
    """Return what the readout leaves of every prompt, unpatched and in every branch, in the
    prompts' order.
    """
    packs = job.engine == "packed"
    columns = min(TAIL_COLUMNS, len(branches) * max(prompts.lengths)) if packs else 0
    bases, patched, order = [], [], []
    for numbers in plan_batches(
        prompts.lengths, job.tokens_per_forward, job.readout.tree.size + columns
    ):
        rows = torch.as_tensor(numbers)
        some: list[Branch] = [
            [Patch(p.site, p.positions[rows], p.value[rows], p.mode) for p in branch]
            for branch in branches
        ]
        with run_as_named(lm):
            out = job.backend(lm).patch(
                [prompts.rows[row] for row in numbers],
                some,
                job.readout.reduce,
                tokens_per_forward=job.tokens_per_forward,
                tree=job.readout.tree,
            )
        bases.append(out.base)
        patched.append(out.patched)
        order.append(rows)
        if bar is not None:
            bar.advance(len(rows))
    back = torch.cat(order).argsort().to(bases[0].device)
    return torch.cat(bases)[back], torch.cat(patched)[back]
