"""Find the subspace of a variable on training questions, and measure it and its placebos on
held-out ones.

Everything that is fitted, the medians included, is fitted on training questions. On held-out ones
every question gets the coordinates of one other, the same for all that is compared.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from workbench.arrays import Floats
from workbench.errors import WorkbenchError
from workbench.measure.interval import Estimate
from workbench.measure.shares import wilson_interval
from workbench.patch.controls import derangement
from workbench.patch.effects import Sweep, following
from workbench.patch.inputs import ModelInputs
from workbench.patch.metrics import Metric
from workbench.settings.defaults import PATCHING_TOKENS_PER_FORWARD, RESAMPLES
from workbench.subspaces.result import (
    PLACEBOS,
    FoundSubspace,
    Placebos,
    SwapMeasures,
    range_of,
    require_placebos,
)
from workbench.subspaces.rotation import Boundless
from workbench.subspaces.search import SearchSettings, require_rank, search_subspace
from workbench.subspaces.swapped_readings import SwappedReadings
from workbench.subspaces.variable import Scale, Variable
from workbench.trace.checks import require_layer
from workbench.trace.subspace import Subspace

RANDOM_SUBSPACES = 5


@dataclass(frozen=True, eq=False)
class SplitPrompts:
    """Training and held-out prompts in one model."""

    train: ModelInputs
    held_out: ModelInputs


@dataclass(frozen=True, eq=False)
class _Sides:
    """Readings of both sides, and what they are measured against."""

    train: SwappedReadings
    held_out: SwappedReadings
    seed: int
    resamples: int

    @property
    def partner(self) -> np.ndarray:
        return derangement(len(self.held_out.values), self.seed)

    def measures(self, subspace: Subspace | None, variable: Variable) -> SwapMeasures:
        """Return what swapping ``subspace`` (None: the whole state) does on held-out questions."""
        return self.of_patched(self.held_out.swap(subspace, self.partner), variable)

    def of_patched(self, patched: Floats, variable: Variable) -> SwapMeasures:
        spoken, meant = Scale.of(self.train.values), Scale.of(variable.train)
        donors = variable.held_out[self.partner]
        right = spoken.high(patched) == meant.high(donors)
        count = len(right)
        share = float(right.mean())
        low, high = (float(bound) for bound in wilson_interval(share * count, count))
        sweep = Sweep(
            np.zeros(1, dtype=np.int64),
            spoken.standard(self.held_out.values),
            meant.standard(donors),
            spoken.standard(patched)[:, None],
        )
        slopes = following(sweep, resamples=self.resamples, seed=self.seed)
        donor, base = (
            Estimate(float(each.value[0]), float(each.low[0]), float(each.high[0]), count)
            for each in slopes
        )
        return SwapMeasures(Estimate(share, low, high, count), donor, base)


def find_subspaces(
    prompts: SplitPrompts,
    random_model: SplitPrompts,
    metric: Metric,
    variable: Variable,
    other: Variable,
    layer: int,
    ranks: Sequence[int | Boundless],
    *,
    settings: SearchSettings | None = None,
    placebos: Sequence[str] = PLACEBOS,
    tokens_per_forward: int = PATCHING_TOKENS_PER_FORWARD,
    resamples: int = RESAMPLES,
) -> list[FoundSubspace]:
    """Find a subspace of every rank after ``layer``, each with its placebos.

    Args:
        random_model: the same prompts in a randomly initialised model of the same shape.
        metric: what is read at the prompts' ends.
        variable: what the swap is to bring.
        other: another variable of the questions with the same base rate.
        ranks: numbers of directions, or boundaries that find it.
        placebos: all of them; it is an argument so that leaving one out is refused in a sentence.

    Raises:
        WorkbenchError: before any forward, for placebos that are left out, ranks that are not
            searched, a layer the model lacks, numbers of questions that differ, models of different
            shape, and another variable of another base rate.
    """
    require_placebos(placebos)
    _require(prompts, random_model, variable, other, layer, ranks)
    settings = settings or SearchSettings()
    bounds = (tokens_per_forward, settings.seed, resamples)
    parts = _in_model(_open(prompts, metric, layer, *bounds), variable, other, ranks, settings)
    # The searched model's readings are gone: both together would take twice the memory.
    untrained = _open(random_model, metric, layer, *bounds)
    found = []
    for rank, part in zip(ranks, parts, strict=True):
        size = part.subspace.rank
        control = _search(untrained, variable, size, settings, "random model")
        placebos_of = Placebos(
            shuffled_variable=part.shuffled,
            random_model=untrained.measures(control, variable),
            other_variable=part.other,
            random_subspaces=part.random,
        )
        found.append(
            FoundSubspace(
                variable.name,
                layer,
                part.subspace,
                isinstance(rank, Boundless),
                part.measures,
                placebos_of,
                part.nothing,
                part.whole,
            )
        )
    return found


@dataclass(frozen=True, eq=False)
class _InModel:
    """What was found and measured in the searched model alone."""

    subspace: Subspace
    measures: SwapMeasures
    shuffled: SwapMeasures
    other: SwapMeasures
    random: SwapMeasures
    nothing: SwapMeasures
    whole: SwapMeasures


def _in_model(
    sides: _Sides,
    variable: Variable,
    other: Variable,
    ranks: Sequence[int | Boundless],
    settings: SearchSettings,
) -> list[_InModel]:
    shuffled = variable.permuted("shuffled variable", settings.seed + 1)
    nothing = sides.of_patched(sides.held_out.values, variable)
    whole = sides.measures(None, variable)
    found = []
    for rank in ranks:
        subspace = _search(sides, variable, rank, settings, variable.name)
        null, apart = (
            sides.measures(_search(sides, each, subspace.rank, settings, each.name), each)
            for each in (shuffled, other)
        )
        drawn = _random(sides, variable, subspace.rank, settings.seed)
        measures = sides.measures(subspace, variable)
        found.append(_InModel(subspace, measures, null, apart, drawn, nothing, whole))
    return found


def _search(
    sides: _Sides,
    variable: Variable,
    rank: int | Boundless,
    settings: SearchSettings,
    what: str,
) -> Subspace:
    return search_subspace(sides.train, variable.train, rank, settings, f"searching: {what}")


def _open(
    prompts: SplitPrompts,
    metric: Metric,
    layer: int,
    tokens_per_forward: int,
    seed: int,
    resamples: int,
) -> _Sides:
    train, held_out = (
        SwappedReadings(inputs, metric, layer, tokens_per_forward)
        for inputs in (prompts.train, prompts.held_out)
    )
    return _Sides(train, held_out, seed, resamples)


def _random(sides: _Sides, variable: Variable, size: int, seed: int) -> SwapMeasures:
    """Return the means over random subspaces of a size, with their ranges in place of intervals."""
    generator = torch.Generator().manual_seed(seed)
    width = sides.train.lm.width
    drawn = [
        sides.measures(Subspace(torch.randn((width, size), generator=generator)), variable)
        for _ in range(RANDOM_SUBSPACES)
    ]

    return SwapMeasures(
        range_of([each.accuracy for each in drawn]),
        range_of([each.donor_slope for each in drawn]),
        range_of([each.base_slope for each in drawn]),
    )


def _require(
    prompts: SplitPrompts,
    random_model: SplitPrompts,
    variable: Variable,
    other: Variable,
    layer: int,
    ranks: Sequence[int | Boundless],
) -> None:
    lm, untrained = prompts.train.lm, random_model.train.lm
    require_layer(lm, layer)
    if not ranks:
        raise WorkbenchError("Give at least one rank to search.")
    for rank in ranks:
        require_rank(rank, lm.width)
    if (lm.n_layers, lm.width) != (untrained.n_layers, untrained.width):
        raise WorkbenchError(
            f"The random model has {untrained.n_layers} layers of width {untrained.width}, the "
            f"searched one {lm.n_layers} of width {lm.width}; build it by random_like."
        )
    for split, one, other_one, values, others in (
        ("training", prompts.train, random_model.train, variable.train, other.train),
        ("held-out", prompts.held_out, random_model.held_out, variable.held_out, other.held_out),
    ):
        counts = {len(one.prompts), len(other_one.prompts), len(values), len(others)}
        if len(counts) > 1:
            raise WorkbenchError(
                f"Prompts, variables and the random model's prompts differ in their number of "
                f"{split} questions: {sorted(counts)}."
            )
        if not np.allclose(np.sort(values), np.sort(others)):
            raise WorkbenchError(
                f"The other variable has another base rate on {split} questions; make it by "
                "Variable.ordered_by, which keeps the values."
            )
