"""Take subspaces out of held-out questions' states and measure what is lost, beside random
subspaces of equal rank.

A swap shows what a subspace suffices for; this shows what is lost without it. The projection of
every state onto the subspace becomes that of the mean state of training questions at the same
token, so that what it says of this question is gone and its usual level stays. Losses are positive:
``spread_lost`` is the share of the readout's standard deviation over questions that goes (1 for all
of it, below 0 where it grows), ``auroc2_lost`` is AUROC2 within domain before less after.

Random directions of two kinds stand beside: drawn evenly, along which states hardly vary, and drawn
with the states' covariance over training questions, along which they do. A subspace without which
nothing is lost may still be read: another may carry the same. One without which much is lost need
not hold the variable: states that were never seen in training may disturb what reads them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from workbench.arrays import Bools, Floats
from workbench.errors import WorkbenchError
from workbench.measure.auroc2_interval import auroc2_difference
from workbench.measure.bootstrap import bootstrap
from workbench.measure.interval import Estimate
from workbench.patch.metrics import Metric
from workbench.settings.defaults import PATCHING_TOKENS_PER_FORWARD, RESAMPLES
from workbench.subspaces.find import RANDOM_SUBSPACES, SplitPrompts
from workbench.subspaces.result import range_of
from workbench.subspaces.swapped_readings import SwappedReadings
from workbench.trace.checks import require_layer
from workbench.trace.subspace import Subspace


@dataclass(frozen=True)
class Losses:
    """What is lost: the share of the readout's spread, and AUROC2 within domain."""

    spread_lost: Estimate
    auroc2_lost: Estimate


@dataclass(frozen=True, kw_only=True)
class Removal:
    """What is lost without a subspace, and without random ones of equal rank: drawn evenly, and
    with the states' covariance. The intervals of random ones are the range of several.
    """

    found: Losses
    random: Losses
    random_of_states: Losses

    def rows(self) -> dict[str, Losses]:
        """Return all losses by what was taken out, the subspace first."""
        return {
            "found": self.found,
            "random": self.random,
            "random_of_states": self.random_of_states,
        }


@dataclass(frozen=True, eq=False)
class HeldOutAnswers:
    """Whether each held-out question's answer is right, and its domain."""

    correct: Bools
    domain: np.ndarray


def measure_removals(
    prompts: SplitPrompts,
    metric: Metric,
    layer: int,
    subspaces: Sequence[Subspace],
    answers: HeldOutAnswers,
    *,
    tokens_per_forward: int = PATCHING_TOKENS_PER_FORWARD,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> list[Removal]:
    """Take each of ``subspaces`` out of the states after ``layer`` at the prompts' ends and at the
    readout's nodes, and measure what is lost on held-out questions.

    Raises:
        WorkbenchError: before any forward, for a layer the model lacks and another number of
            answers than of held-out prompts.
    """
    require_layer(prompts.held_out.lm, layer)
    counts = (len(prompts.held_out.prompts), len(answers.correct), len(answers.domain))
    if len(set(counts)) > 1:
        raise WorkbenchError(
            f"{counts[0]} held-out prompts need as many grades and domains, not {counts[1]} and "
            f"{counts[2]}."
        )
    # Each side's kept keys and values are gone before the other's are made.
    train = SwappedReadings(prompts.train, metric, layer, tokens_per_forward).states
    mean = train.float().mean(dim=0)
    readings = SwappedReadings(prompts.held_out, metric, layer, tokens_per_forward)
    generator = torch.Generator().manual_seed(seed)

    def losses(subspace: Subspace) -> Losses:
        left = readings.remove(subspace, mean)
        return _losses(readings.values, left, answers, resamples=resamples, seed=seed)

    drawn: dict[int, tuple[Losses, Losses]] = {}
    for rank in sorted({each.rank for each in subspaces}):
        even = [
            losses(Subspace(torch.randn((len(mean[0]), rank), generator=generator)))
            for _ in range(RANDOM_SUBSPACES)
        ]
        varied = [
            losses(Subspace(_directions_of_states(train, mean, rank, generator)))
            for _ in range(RANDOM_SUBSPACES)
        ]
        drawn[rank] = _ranged(even), _ranged(varied)
    return [
        Removal(
            found=losses(each), random=drawn[each.rank][0], random_of_states=drawn[each.rank][1]
        )
        for each in subspaces
    ]


def _directions_of_states(
    states: Tensor, mean: Tensor, rank: int, generator: torch.Generator
) -> Tensor:
    """Draw directions [width, rank] with the covariance of ``states`` [questions, tokens, width]
    about each token's ``mean``.
    """
    out = torch.zeros((states.shape[-1], rank))
    for token in range(states.shape[1]):
        centred = states[:, token].float() - mean[token]
        out += centred.T @ torch.randn((len(states), rank), generator=generator)
    return out


def _losses(
    own: Floats, left: Floats, answers: HeldOutAnswers, *, resamples: int, seed: int
) -> Losses:
    statistics = {"resamples": resamples, "seed": seed}
    return Losses(
        bootstrap(_spread_lost, own, left, strata=answers.domain, **statistics),
        auroc2_difference(own, left, answers.correct, answers.domain, **statistics),
    )


def _spread_lost(own: Floats, left: Floats) -> float:
    spread = float(own.std())
    return 1.0 - float(left.std()) / spread if spread > 0 else float("nan")


def _ranged(drawn: Sequence[Losses]) -> Losses:
    return Losses(
        range_of([each.spread_lost for each in drawn]),
        range_of([each.auroc2_lost for each in drawn]),
    )
