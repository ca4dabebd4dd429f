"""Measure a run's steps, the maps and draws of its output, and reach the verdict, condition by
condition.

All numbers are of held-out questions; see :mod:`workbench.bottleneck` for the methods and their
signs. Whether teaching is what a model needs is judged for the base model only: what the taught
one writes is that remedy.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from workbench.arrays import Floats
from workbench.bottleneck.argmax_margin import ArgmaxMargin, argmax_margin
from workbench.bottleneck.conclude import Readings, conclude
from workbench.bottleneck.fixed_maps import Training
from workbench.bottleneck.steps import Questions, Step, Waterfall, measure_steps
from workbench.bottleneck.verdict import (
    FIXED_MAP,
    ONE_DIRECTION,
    TEACHING,
    BottleneckVerdict,
)
from workbench.config import RunConfig
from workbench.errors import WorkbenchError
from workbench.experiments.text_bottleneck.ceiling_results import CeilingResult
from workbench.experiments.text_bottleneck.closing import ClosedGap, measure_closing
from workbench.experiments.text_bottleneck.conditions import AFTER, BEFORE, ModelCondition
from workbench.experiments.text_bottleneck.intervention_results import (
    Interventions,
    measure_interventions,
)
from workbench.experiments.text_bottleneck.lens import SCORES, lens_stage
from workbench.experiments.text_bottleneck.output_texts import (
    MapResult,
    SampledResult,
    measure_maps,
    measure_sampled,
)
from workbench.experiments.text_bottleneck.read import (
    AT_CONFIDENCE,
    BEFORE_ANSWERING,
    CURVES,
    DISTRIBUTION,
    HAVING_ANSWERED,
    TEXT,
    Split,
    distributions,
    split_of,
    steps_of,
    steps_stage,
)
from workbench.loop.results import bootstrap_of
from workbench.loop.run import Run
from workbench.measure import (
    Bootstrap,
    auroc2_within,
)

LOW_MASS = 0.5
"""Where the scale has less of the probability than this, the model does not answer on it."""


@dataclass(frozen=True, eq=False)
class ConditionResult:
    """All of one condition.

    Attributes:
        trained_on: how many training questions its readings and maps are fitted on.
        mass: mean probability of the whole scale.
        chosen_map: the map that was best on training questions it was not fitted on.
        no_verdict: why there is none; "" where there is one.
        by_layer: AUROC2 within domain of held-out questions at each layer, by step.
        by_lens: the same of what lenses read of the scale, by "lens.reading"; none without lenses.
        divergence: nats by which each lens stands apart from the model's own numbers at each layer,
            on training questions it was not fitted on; none without lenses.
        layers: the layer that was chosen on training questions, by step.
        interventions: what changes of the probe's direction did; None if none were made.
    """

    condition: ModelCondition
    trained_on: int
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
    divergence: Mapping[str, Floats]
    layers: Mapping[str, int]
    interventions: Interventions | None

    @property
    def when(self) -> str:
        """The condition's name, for summaries and tables."""
        return self.condition.name

    @property
    def label(self) -> str:
        """The condition's name on pages."""
        return self.condition.label


@dataclass(frozen=True, eq=False)
class BottleneckResults:
    """The run's settings, how many questions were held out, the conditions, the base model's
    first, the share of the gap that each teaching closes, the table of directions by layer, None
    where it was left out, and who writes the ceiling, or why nobody is named.
    """

    config: RunConfig
    held_out: int
    conditions: tuple[ConditionResult, ...]
    closed: tuple[ClosedGap, ...] = ()
    geometry: pd.DataFrame | None = None
    ceilings: tuple[CeilingResult, ...] = ()
    no_ceiling: str = ""

    def summary(self) -> dict[str, object]:
        """Return the flat summary."""
        out: dict[str, object] = {}
        for each in self.conditions:
            out[f"{each.when}.verdict"] = each.verdict.verdict if each.verdict else "none"
            out[f"{each.when}.remedy"] = each.verdict.remedy if each.verdict else ""
            out[f"{each.when}.mass"] = each.mass
            out[f"{each.when}.trained_on"] = each.trained_on
            for step in each.waterfall.steps:
                key = f"{each.when}.{step.name.replace(' ', '_')}"
                out |= step.within.to_dict(f"{key}.auroc2_within")
                out |= step.gain.to_dict(f"{key}.bits")
            largest = each.waterfall.largest
            out[f"{each.when}.largest_loss"] = f"{largest.first} to {largest.second}"
            out |= largest.within.to_dict(f"{each.when}.largest_loss.auroc2_within")
            if each.interventions is not None:
                mapped = each.interventions.mapped
                out |= mapped.within.to_dict(f"{each.when}.one_direction.auroc2_within")
                out |= mapped.gain.to_dict(f"{each.when}.one_direction.gain")
        for ceiling in self.ceilings:
            out |= ceiling.summary()
        for one in self.closed:
            key = f"{one.condition.name}.{one.readout.replace(' ', '_')}.gap_closed"
            out |= one.within.share.to_dict(key)
        return out


def measure_bottleneck(
    context: Run,
    conditions: Sequence[ModelCondition],
    lenses: Collection[ModelCondition],
    *,
    interventions: bool,
) -> BottleneckResults:
    """Measure everything that the stages of the ``conditions``' readings left, and of their
    ``interventions``; of those in ``lenses`` what lenses read, too.
    """
    draw = bootstrap_of(context)
    splits = {each: split_of(context, each) for each in conditions}
    steps = {each: steps_of(context, each, split) for each, split in splits.items()}
    remedies: dict[ModelCondition, dict[str, Floats]] = {}
    if AFTER in steps:
        remedies[BEFORE] = {TEACHING: _text(steps[AFTER]).held_out}
    changed = {
        each: measure_interventions(context, each, split, draw)
        for each, split in splits.items()
        if interventions
    }
    for each, one in changed.items():
        remedies.setdefault(each, {})[ONE_DIRECTION] = one.mapped.written
    found = tuple(
        _condition(
            context,
            each,
            steps[each],
            split,
            draw,
            remedies.get(each, {}),
            each in lenses,
            changed.get(each),
        )
        for each, split in splits.items()
    )
    closed = measure_closing(steps, splits[BEFORE].questions, draw)
    return BottleneckResults(context.config, len(splits[BEFORE].test), found, closed)


def _condition(
    context: Run,
    condition: ModelCondition,
    steps: Sequence[Step],
    split: Split,
    draw: Bootstrap,
    remedies: Mapping[str, Floats],
    lenses: bool,
    interventions: Interventions | None,
) -> ConditionResult:
    questions, scale = split.questions, context.fmt.scale
    p, known = (distributions(context, condition, rows) for rows in (split.test, split.train))
    training = Training(
        known,
        questions.training_correct,
        questions.training_domain,
        np.asarray(scale.shares),
    )
    maps = measure_maps(training, p, _text(steps).held_out, questions, draw)
    verdict, why_none = _verdict(
        context, condition, steps, {FIXED_MAP: maps.written, **remedies}, questions
    )
    read = context.stage(steps_stage(condition.name))
    return ConditionResult(
        condition,
        len(split.train),
        float(p.sum(axis=1).mean()),
        measure_steps(steps, questions, draw),
        maps.results,
        maps.chosen,
        measure_sampled(p, scale.values, questions, draw),
        argmax_margin(p, questions.correct, draw),
        verdict,
        why_none,
        {name: _curve(scores, questions) for name, scores in read.tensors(CURVES).items()},
        {
            name: _curve(scores, questions)
            for name, scores in _by_lens(context, condition, lenses).items()
        },
        _divergence(context, condition, lenses),
        read.facts()["layer"],
        interventions,
    )


def _text(steps: Sequence[Step]) -> Step:
    return next(step for step in steps if step.name == TEXT)


def _by_lens(context: Run, condition: ModelCondition, lenses: bool) -> dict[str, Floats]:
    return context.stage(lens_stage(condition.name)).tensors(SCORES) if lenses else {}


def _divergence(context: Run, condition: ModelCondition, lenses: bool) -> dict[str, Floats]:
    if not lenses:
        return {}
    found = context.stage(lens_stage(condition.name)).facts()["divergence"]
    return {name: np.asarray(each, dtype=np.float64) for name, each in found.items()}


def _curve(scores: Floats, questions: Questions) -> Floats:
    correct, domain = questions.correct, questions.domain
    return np.array([auroc2_within(each, correct, domain) for each in scores.T])


def _verdict(
    context: Run,
    condition: ModelCondition,
    steps: Sequence[Step],
    remedies: Mapping[str, Floats],
    questions: Questions,
) -> tuple[BottleneckVerdict | None, str]:
    """Return the verdict, or why there is none."""
    by_name = {step.name: step for step in steps}
    taught = condition.taught is not None
    readings = Readings(
        [by_name[name] for name in (BEFORE_ANSWERING, HAVING_ANSWERED) if name in by_name],
        by_name[AT_CONFIDENCE],
        by_name[DISTRIBUTION],
        by_name[TEXT],
        float(context.stage("probe").facts().get("training_spread", 0.0)) if taught else 0.0,
    )
    try:
        return conclude(readings, questions, remedies), ""
    except WorkbenchError as error:
        return None, str(error)
