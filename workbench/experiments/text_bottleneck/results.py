"""Measure a run's steps, the maps and draws of its output, and reach the verdict, before and after
teaching.

All numbers are of held-out questions; see :mod:`workbench.bottleneck` for the methods and their
signs. Whether teaching is what a model needs is judged for the untaught model only: what the taught
one writes is that remedy.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from workbench.arrays import Floats
from workbench.bottleneck.argmax_margin import ArgmaxMargin, argmax_margin
from workbench.bottleneck.fixed_maps import MAPS, Training, best_map, fit_maps
from workbench.bottleneck.sampled_text import sampled_auroc2
from workbench.bottleneck.steps import Step, Waterfall, measure_steps
from workbench.bottleneck.verdict import (
    CARRIED,
    FIXED_MAP,
    KNOWN,
    NUMBERS,
    SAID,
    TEACHING,
    BottleneckVerdict,
    Station,
    judge,
)
from workbench.config import RunConfig
from workbench.errors import WorkbenchError
from workbench.experiments.text_bottleneck.geometry import geometry_table
from workbench.experiments.text_bottleneck.lens import SCORES, lens_stage
from workbench.experiments.text_bottleneck.read import (
    AT_CONFIDENCE,
    BEFORE_ANSWERING,
    DISTRIBUTION,
    HAVING_ANSWERED,
    STAGE,
    STAGES_OF,
    TEXT,
    Split,
    curves_of,
    distributions,
    split_of,
    steps_of,
)
from workbench.loop.results import bootstrap_of
from workbench.loop.run import Run
from workbench.measure import (
    Bootstrap,
    Estimate,
    auroc2_difference,
    auroc2_within,
    auroc2_within_estimate,
)
from workbench.measure.log_score import log_score

DRAWS, TEMPERATURES = (1, 4, 16), (0.5, 1.0, 2.0)
LOW_MASS = 0.5
"""Where the scale has less of the probability than this, the model does not answer on it."""


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
class ConditionResult:
    """All of one condition, ``before`` or ``after`` teaching.

    Attributes:
        mass: mean probability of the whole scale.
        chosen_map: the map that was best on training questions it was not fitted on.
        no_verdict: why there is none; "" where there is one.
        by_layer: AUROC2 within domain of held-out questions at each layer, by step.
        by_lens: the same of what lenses read of the scale, by "lens.reading"; none without lenses.
        layers: the layer that was chosen on training questions, by step.
    """

    when: str
    mass: float
    waterfall: Waterfall
    maps: tuple[MapResult, ...]
    chosen_map: str
    sampled: tuple[SampledResult, ...]
    margin: ArgmaxMargin
    verdict: BottleneckVerdict | None
    no_verdict: str
    by_layer: Mapping[str, Floats]
    by_lens: Mapping[str, Floats]
    layers: Mapping[str, int]


@dataclass(frozen=True, eq=False)
class BottleneckResults:
    """The run's settings, how many questions were held out, both conditions, and the geometry of
    both as a table, None where it was left out.
    """

    config: RunConfig
    held_out: int
    conditions: tuple[ConditionResult, ...]
    geometry: pd.DataFrame | None

    def summary(self) -> dict[str, object]:
        """Return the flat summary."""
        out: dict[str, object] = {}
        for each in self.conditions:
            out[f"{each.when}.verdict"] = each.verdict.verdict if each.verdict else "none"
            out[f"{each.when}.remedy"] = each.verdict.remedy if each.verdict else ""
            out[f"{each.when}.mass"] = each.mass
            for step in each.waterfall.steps:
                key = f"{each.when}.{step.name.replace(' ', '_')}"
                out |= step.within.to_dict(f"{key}.auroc2_within")
                out |= step.gain.to_dict(f"{key}.bits")
            largest = each.waterfall.largest
            out[f"{each.when}.largest_loss"] = f"{largest.first} to {largest.second}"
            out |= largest.within.to_dict(f"{each.when}.largest_loss.auroc2_within")
        return out


def measure_bottleneck(context: Run, *, lenses: bool, geometry: bool) -> BottleneckResults:
    """Measure everything that the stages of readings left, those of the ``lenses`` and of the
    ``geometry`` too.
    """
    split, draw = split_of(context), bootstrap_of(context)
    steps = {when: steps_of(context, when, split) for when in STAGES_OF}
    found = tuple(_condition(context, when, steps, split, draw, lenses) for when in STAGES_OF)
    table = geometry_table(context) if geometry else None
    return BottleneckResults(context.config, len(split.test), found, table)


def _condition(
    context: Run,
    when: str,
    steps: Mapping[str, Sequence[Step]],
    split: Split,
    draw: Bootstrap,
    lenses: bool,
) -> ConditionResult:
    questions, p = split.questions, distributions(context, when)
    scale = context.fmt.scale
    training = Training(
        p[split.train],
        questions.training_correct,
        questions.training_domain,
        np.asarray(scale.shares),
    )
    written = {name: write(p[split.test]) for name, write in fit_maps(training).items()}
    chosen = best_map(training)
    text = next(step for step in steps[when] if step.name == TEXT).held_out
    maps = tuple(
        MapResult(
            name,
            auroc2_within_estimate(
                written[name], questions.correct, questions.domain, **draw.options
            ),
            auroc2_difference(
                written[name], text, questions.correct, questions.domain, **draw.options
            ),
        )
        for name in MAPS
    )
    sampled = tuple(
        SampledResult(
            draws,
            temperature,
            sampled_auroc2(
                p[split.test],
                scale.values,
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
    verdict, why_none = _verdict(context, when, steps, written[chosen], split)
    read = context.stage(STAGE)
    return ConditionResult(
        when,
        float(p[split.test].sum(axis=1).mean()),
        measure_steps(steps[when], questions, draw),
        maps,
        chosen,
        sampled,
        argmax_margin(p[split.test], questions.correct, draw),
        verdict,
        why_none,
        {name: _curve(scores, split) for name, scores in read.tensors(curves_of(when)).items()},
        {name: _curve(scores, split) for name, scores in _by_lens(context, when, lenses).items()},
        read.facts()["layer"][when],
    )


def _by_lens(context: Run, when: str, lenses: bool) -> dict[str, Floats]:
    return context.stage(lens_stage(when)).tensors(SCORES) if lenses else {}


def _curve(scores: Floats, split: Split) -> Floats:
    correct, domain = split.questions.correct, split.questions.domain
    return np.array([auroc2_within(each, correct, domain) for each in scores.T])


def _verdict(
    context: Run,
    when: str,
    steps: Mapping[str, Sequence[Step]],
    mapped: Floats,
    split: Split,
) -> tuple[BottleneckVerdict | None, str]:
    """Return the verdict, or why there is none."""
    questions = split.questions
    by_name = {step.name: step for step in steps[when]}
    known = min(
        (by_name[name] for name in (BEFORE_ANSWERING, HAVING_ANSWERED) if name in by_name),
        key=lambda step: log_score(step.training, questions.training_correct),
    )
    taught = when != "before"
    spread = float(context.stage("probe").facts().get("training_spread", 0.0)) if taught else 0.0
    stations = [
        Station(KNOWN, known.held_out),
        Station(CARRIED, by_name[AT_CONFIDENCE].held_out),
        Station(NUMBERS, by_name[DISTRIBUTION].held_out, spread),
        Station(SAID, by_name[TEXT].held_out, spread),
    ]
    remedies = {FIXED_MAP: mapped}
    if not taught:
        after = next(step for step in steps["after"] if step.name == TEXT)
        remedies[TEACHING] = after.held_out
    try:
        return judge(stations, questions.correct, questions.domain, remedies), ""
    except WorkbenchError as error:
        return None, str(error)
