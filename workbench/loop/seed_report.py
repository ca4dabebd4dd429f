"""Show the trainings of a run side by side: a table of headlines, a table of shapes, and two
figures. A run with one training has none of them.

The table puts two uncertainties next to one another: the interval over questions of one training,
and the spread between trainings on the same questions. Neither contains the other.
"""

from __future__ import annotations

import math

import numpy as np

from workbench.loop.conditions import AFTER, BEFORE, EXPECTED, Condition, Key, Measures
from workbench.loop.results import LoopResults
from workbench.loop.seed_measures import HEADLINES, SeedResults, Shape, spread_key
from workbench.loop.seed_patching import HALF
from workbench.loop.tables import cell
from workbench.measure import Estimate
from workbench.pipeline.store import StageStore
from workbench.plots import DiscriminationShape, SeedCurves, SeedPanel, ShapePoint
from workbench.plots.theme import Role
from workbench.report import Section

Table = tuple[str, list[dict[str, str]]]


def save_seeds(stage: StageStore, found: LoopResults) -> None:
    """Save the readouts and the curves of every training, where there are several."""
    if found.seeds is not None:
        stage.save_table("held_out_seeds", found.seeds.readouts.table())
        stage.save_table("seeds", found.seeds.table())


def seed_tables(found: LoopResults) -> list[Table]:
    """Return the tables of the trainings; none for a run with one."""
    seeds = found.seeds
    if seeds is None:
        return []
    return [
        (
            f"Between seeds: {len(seeds.seeds)} trainings on the same answers, targets and "
            "questions",
            [headline_row(found.measures, seeds, *headline) for headline in HEADLINES.items()],
        ),
        (
            "Discrimination against the shape of the confidence distribution",
            [
                shape_row(name, _auroc2(found, condition), seeds.shapes[condition])
                for condition, name in _names(seeds).items()
            ],
        ),
    ]


def headline_row(measures: Measures, seeds: SeedResults, heading: str, key: Key) -> dict[str, str]:
    """Return one measure: of the first training with its interval over questions, its mean and its
    spread over trainings, and its value in each.
    """

    def number(of: Key) -> str:
        return _number(measures[of], whole=key == HALF)

    low, high = (number(spread_key(key, name)) for name in ("min", "max"))
    return {
        "measure": heading,
        f"{seeds.names()[AFTER]} [questions]": cell(measures, key.of(AFTER)),
        "mean [questions and seeds]": cell(measures, spread_key(key, "mean")),
        "sd between seeds": cell(measures, spread_key(key, "sd")),
        "lowest to highest": f"{low} to {high}" if low != high else low,
        **{name: number(key.of(one)) for one, name in seeds.names().items()},
    }


def shape_row(name: str, auroc2: Estimate, shape: Shape) -> dict[str, str]:
    """Return AUROC2 of the expected confidence and the shape of its distribution, of one state of
    the model.
    """
    return {
        "": name,
        "AUROC2 expected": format(auroc2, "\n.3f"),
        "mean expected confidence": f"{shape.mean:.3f}",
        "its sd over questions": f"{shape.sd:.3f}",
        "entropy of a distribution, bits": f"{shape.entropy:.2f}",
    }


def seed_sections(found: LoopResults, caption: str, patched: str) -> list[Section]:
    """Return the figures of the trainings; none for a run with one.

    Args:
        caption, patched: what the captions say of the held-out and of the patched questions.
    """
    seeds = found.seeds
    return [] if seeds is None else [_curves(seeds, patched), _shapes(found, seeds, caption)]


def _curves(seeds: SeedResults, caption: str) -> Section:
    named = {name: seeds.curves[condition] for condition, name in seeds.names().items()}
    figure = SeedCurves(
        layers=seeds.curves[AFTER].own.layers,
        panels=[
            SeedPanel("own donor: mean shift", {k: one.shift for k, one in named.items()}),
            SeedPanel(
                "another question's donor: donor slope",
                {k: one.donor_slope for k, one in named.items()},
            ),
            SeedPanel(
                "reverse: mean shift of the base state in the tuned model",
                {k: one.reverse for k, one in named.items()},
            ),
        ],
        roles={seeds.names()[AFTER]: "after"},
        title="What of the patching curves holds in every training?",
        caption=f"{caption} · {len(seeds.seeds)} trainings",
    ).figure()
    explanation = (
        "The same questions patched with the states of each training; the grey band reaches from "
        "the lowest to the highest. Where it is wide, the curve of one training says nothing of "
        "the recipe. Intervals over questions are shown where the pointer is."
    )
    return Section("Between seeds: the patching curves", explanation, figure, "seed_curves")


def _shapes(found: LoopResults, seeds: SeedResults, caption: str) -> Section:
    names = _names(seeds)
    points = [
        ShapePoint(name, _auroc2(found, condition), **vars(seeds.shapes[condition]))
        for condition, name in names.items()
    ]
    roles: dict[str, Role] = {
        name: condition.role for condition, name in names.items() if condition.role is not None
    }
    figure = DiscriminationShape(
        points=points,
        title="Do trainings that discriminate alike state the same distribution?",
        caption=caption,
        roles=roles,
    ).figure()
    explanation = (
        "Each point is a training, the base model, or the control on shuffled targets: how well "
        "its expected confidence tells right from wrong answers, against the mean and the spread "
        "of that confidence over questions and the entropy of a question's distribution. Points "
        "of one height and different places order answers alike and state other numbers: their "
        "level is a matter of the seed."
    )
    title = "Between seeds: discrimination against shape"
    return Section(title, explanation, figure, "discrimination_shape")


def _names(seeds: SeedResults) -> dict[Condition, str]:
    """Return what is shown of every condition with a shape: the base model, the trainings by their
    seeds, the control.
    """
    others = {one: one.name for one in seeds.shapes if one not in seeds.seeds}
    return {BEFORE: BEFORE.name, **seeds.names(), **others}


def _auroc2(found: LoopResults, condition: Condition) -> Estimate:
    estimate = found.measures[Key("auroc2", EXPECTED, condition)]
    assert isinstance(estimate, Estimate)
    return estimate


def _number(value: object, *, whole: bool) -> str:
    """Return the number of a measure without its interval, as a ``whole`` number where it is
    one.
    """
    if isinstance(value, Estimate):
        value = value.value
    if not isinstance(value, int | float | np.floating) or math.isnan(value):
        return "not defined"
    return f"{value:.0f}" if whole else f"{value:.3f}"
