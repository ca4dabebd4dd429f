"""Measure who writes a run's ceiling, from what the stage kept: every writer's share with its
interval, how far the attributions agree in rank, and what is left with sets of writers ablated.

Shares have intervals over the attributed questions, what is left over the tested ones; see
:mod:`workbench.bottleneck.ceiling_writers` and :mod:`workbench.bottleneck.ceiling_ablation` for
signs, and what the numbers do not show.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np

from workbench.arrays import Floats
from workbench.bottleneck.ceiling import Ceiling
from workbench.bottleneck.ceiling_ablation import (
    Discrimination,
    Dose,
    measure_discrimination,
    measure_dose,
)
from workbench.bottleneck.ceiling_writers import ABLATION, ATTRIBUTIONS
from workbench.bottleneck.writer_sets import largest_writers
from workbench.experiments.text_bottleneck.ceiling import (
    ATTRIBUTED,
    DOSES,
    SETS,
    TOLD,
    WRITERS,
    ceiling_stage,
)
from workbench.experiments.text_bottleneck.ceiling_sets import (
    RANDOM_SIZE,
    AblatedSet,
    kept_writers,
    sets_of,
)
from workbench.experiments.text_bottleneck.conditions import ModelCondition
from workbench.loop.answers import right_answers
from workbench.loop.questions import load_questions
from workbench.loop.results import bootstrap_of
from workbench.loop.run import Run
from workbench.measure import Bootstrap, Estimate, bootstrap
from workbench.patch.verification import rank_correlation
from workbench.pipeline.store import ROW, StageStore
from workbench.trace.sites import Site

SHOWN = 16
"""The writers whose shares are drawn."""


@dataclass(frozen=True, eq=False)
class CeilingResult:
    """Who writes the ceiling in one condition.

    Attributes:
        ceiling: its values, and the share of training answers that the untaught model gives them.
        attributed: how many questions the shares are of.
        tested: how many held-out ones the doses are of; ``told`` those of AUROC2.
        writers: all of them.
        shares: [writers] of the margin in nats, mean over the attributed questions, by attribution.
        largest: the SHOWN writers with the largest share by ablation, largest first.
        largest_shares: their shares with intervals, by attribution.
        agreement: rank correlation over writers of two attributions' mean shares.
        doses: of the sets that each attribution chose, smallest first.
        discrimination: of the sets that the ablation chose, smallest first.
        forwards: what each attribution costs a question.
    """

    condition: ModelCondition
    ceiling: tuple[float, ...]
    share: float
    attributed: int
    tested: int
    told: int
    writers: tuple[Site, ...]
    shares: Mapping[str, Floats]
    largest: tuple[int, ...]
    largest_shares: Mapping[str, tuple[Estimate, ...]]
    agreement: Mapping[tuple[str, str], Estimate]
    doses: Mapping[str, tuple[Dose, ...]]
    discrimination: tuple[Discrimination, ...]
    forwards: Mapping[str, float]

    def summary(self) -> dict[str, object]:
        """Return the flat summary."""
        key = f"{self.condition.name}.ceiling"
        out: dict[str, object] = {
            f"{key}.share": self.share,
            f"{key}.first_writer": writer_name(self.writers[self.largest[0]]),
        }
        for (first, second), rho in self.agreement.items():
            out |= rho.to_dict(f"{key}.agreement.{first}.{second}")
        for dose in self.doses[ABLATION]:
            out |= dose.removed.to_dict(f"{key}.removed.{dose.size}")
            out[f"{key}.removed.{dose.size}.p"] = dose.p
        for told in self.discrimination:
            out |= told.text_gain.to_dict(f"{key}.text_gain.{told.size}")
        return out


def writer_name(site: Site) -> str:
    """Return a writer's name as figures and tables write it."""
    if site.index is not None:
        return f"{site.layer}, head {site.index}"
    return f"{site.layer}, {'MLP' if site.component == 'mlp_out' else 'attention'}"


def measure_ceiling(context: Run, condition: ModelCondition) -> CeilingResult | str:
    """Measure a condition from its stage, or return why nothing could be attributed."""
    stage = context.stage(ceiling_stage(condition.name))
    facts = stage.facts()
    if "why_not" in facts:
        return str(facts["why_not"])
    draw, scale = bootstrap_of(context), context.fmt.scale
    written = tuple(float(value) for value in facts["ceiling"])
    values = tuple(float(value) for value in scale.values)
    ceiling = Ceiling(values, tuple(values.index(value) for value in written), facts["share"])
    shares = {name: stage.tensors(ATTRIBUTED)[name] for name in ATTRIBUTIONS}
    largest = largest_writers(shares[ABLATION].mean(axis=0), SHOWN)
    doses, told = (stage.tensors(name)["distribution"] for name in (DOSES, TOLD))
    return CeilingResult(
        condition,
        written,
        ceiling.share,
        len(shares[ABLATION]),
        len(doses),
        len(told),
        kept_writers(stage.table(WRITERS)),
        {name: each.mean(axis=0) for name, each in shares.items()},
        largest,
        {
            name: tuple(bootstrap(np.mean, each[:, at], **draw.options) for at in largest)
            for name, each in shares.items()
        },
        {
            pair: bootstrap(_agreement, *(shares[name] for name in pair), **draw.options)
            for pair in combinations(ATTRIBUTIONS, 2)
        },
        _doses(sets_of(stage.table(SETS)), doses, ceiling, np.asarray(scale.shares), draw),
        _discrimination(context, stage, told, draw),
        facts["forwards"],
    )


def _agreement(one: Floats, other: Floats) -> float:
    return float(rank_correlation(one.mean(axis=0)[None], other.mean(axis=0)[None])[0])


def _doses(
    sets: Sequence[AblatedSet],
    found: Floats,
    ceiling: Ceiling,
    shares: Floats,
    draw: Bootstrap,
) -> dict[str, tuple[Dose, ...]]:
    """Return the doses of every attribution's sets, from distributions [n, 1 + sets, values]."""
    before, ablated = found[:, 0], found[:, 1:]

    def dose(at: int) -> Dose:
        size = sets[at].size
        like = [k for k, one in enumerate(sets) if one.at_random and one.size == size]
        return measure_dose(size, before, ablated[:, at], ablated[:, like], ceiling, shares, draw)

    return {
        name: tuple(
            dose(at) for at, one in enumerate(sets) if one.attribution == name and not one.at_random
        )
        for name in ATTRIBUTIONS
    }


def _discrimination(
    context: Run, stage: StageStore, found: Floats, draw: Bootstrap
) -> tuple[Discrimination, ...]:
    """Return AUROC2 with the ablation's sets ablated, from distributions [n, 1 + sets, values]."""
    sets = [one for one in sets_of(stage.table(SETS)) if one.told]
    rows = stage.table(TOLD)[ROW].to_numpy()
    table, _ = load_questions(context)
    at_random = [1 + at for at, one in enumerate(sets) if one.at_random]
    chosen = {one.size: found[:, 1 + at] for at, one in enumerate(sets) if not one.at_random}
    return measure_discrimination(
        chosen,
        found[:, 0],
        found[:, at_random],
        RANDOM_SIZE,
        np.asarray(context.fmt.scale.shares),
        right_answers(context, rows),
        table["domain"].to_numpy(dtype=str)[rows],
        draw,
    )
