"""Measure what the text would tell if a fixed map of the output, or sampling, wrote it.

Maps are fitted on training questions; all numbers are of held-out ones. See
:mod:`workbench.bottleneck.fixed_maps` and :mod:`workbench.bottleneck.sampled_text`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from workbench.arrays import Floats
from workbench.bottleneck.fixed_maps import MAPS, Training, best_map, fit_maps
from workbench.bottleneck.sampled_text import sampled_auroc2
from workbench.bottleneck.steps import Questions
from workbench.measure import Bootstrap, Estimate, auroc2_difference, auroc2_within_estimate

DRAWS, TEMPERATURES = (1, 4, 16), (0.5, 1.0, 2.0)


@dataclass(frozen=True)
class MapResult:
    """What a fixed map of the output makes the text discriminate, within domain, and how much more
    than the text as it is.
    """

    name: str
    within: Estimate
    gain: Estimate


@dataclass(frozen=True)
class SampledResult:
    """AUROC2 within domain of the mean of ``draws`` numbers sampled at ``temperature``."""

    draws: int
    temperature: float
    within: Estimate


@dataclass(frozen=True, eq=False)
class MapResults:
    """All maps, the one that was best on training questions it was not fitted on, and what that one
    writes [n].
    """

    results: tuple[MapResult, ...]
    chosen: str
    written: Floats


def measure_maps(
    training: Training, distribution: Floats, text: Floats, questions: Questions, draw: Bootstrap
) -> MapResults:
    """Measure every map of ``distribution`` [n, values] beside the ``text`` [n] of the same
    held-out questions.
    """
    written = {name: write(distribution) for name, write in fit_maps(training).items()}
    correct, domain = questions.correct, questions.domain
    found = tuple(
        MapResult(
            name,
            auroc2_within_estimate(written[name], correct, domain, **draw.options),
            auroc2_difference(written[name], text, correct, domain, **draw.options),
        )
        for name in MAPS
    )
    chosen = best_map(training)
    return MapResults(found, chosen, written[chosen])


def measure_sampled(
    distribution: Floats, values: Sequence[float], questions: Questions, draw: Bootstrap
) -> tuple[SampledResult, ...]:
    """Measure the mean of some draws at some temperatures from ``distribution`` [n, values]."""
    return tuple(
        SampledResult(
            draws,
            temperature,
            sampled_auroc2(
                distribution,
                values,
                questions.correct,
                draw,
                draws=draws,
                temperature=temperature,
                domain=questions.domain,
            ),
        )
        for temperature in TEMPERATURES
        for draws in DRAWS
    )
