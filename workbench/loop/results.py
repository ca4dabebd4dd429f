"""Collect a run's results as numbers: every measure by its key, and the curves of patching, of the
stages that have finished.

All of it is measured on held-out questions. ``before`` is the base model, ``after`` the model with
the adapter trained on probe targets, ``control`` the adapter trained on shuffled targets. One run
does not show how much of a difference is due to the training seed.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from workbench.errors import WorkbenchError
from workbench.loop.answer_stability import answer_accuracy
from workbench.loop.answers import right_answers
from workbench.loop.conditions import (
    AFTER,
    BEFORE,
    CONTROL,
    EXPECTED,
    STATED,
    Key,
    Measures,
    Readouts,
)
from workbench.loop.measure_groups import (
    FACTS,
    Group,
    gain_group,
    probe_group,
    remember,
    text_group,
)
from workbench.loop.patching_results import PatchingResult, patching_result
from workbench.loop.positions import run_positions
from workbench.loop.questions import load_questions
from workbench.loop.rivals import measure_rivals, read_rivals
from workbench.loop.run import Run
from workbench.loop.seed_measures import SeedResults
from workbench.loop.verdicts import loop_verdicts, verdict_measures
from workbench.measure import Bootstrap, flat_summary
from workbench.measure.verdicts import Verdict
from workbench.patch.effects import (
    clipped_mean_shift,
    permutation_p,
    ramp_distance,
)
from workbench.pipeline.costs import finished_stages
from workbench.pipeline.store import ROW

STAGES_OF = {BEFORE: "elicit", AFTER: "elicit_tuned", CONTROL: "elicit_control"}
PROBES_OF = {BEFORE: "probe", AFTER: "probe_tuned"}


def bootstrap_of(context: Run) -> Bootstrap:
    """Return the bootstrap that gives the run's intervals."""
    return Bootstrap(context.config.bootstrap_resamples, context.config.seed)


def column_of(context: Run, stage: str, column: str, rows: NDArray[np.int64]) -> Any:
    """Return a column [rows] of what ``stage`` read, by row of the question table."""
    table = context.stage(stage).table("confidence").set_index("row")
    return table[column].loc[rows.tolist()].to_numpy(dtype=float)


def probabilities_of(context: Run, stage: str, rows: NDArray[np.int64]) -> Any:
    """Return the probability [rows] of a right answer by the probe of ``stage``."""
    table = context.stage(stage).table("probabilities").set_index("row")
    return table["probability"].loc[rows.tolist()].to_numpy()


def collect(context: Run) -> Readouts:
    """Align the readouts of every finished stage on the held-out questions; none of these before
    they have been answered.
    """
    questions, _ = load_questions(context)
    finished = finished_stages(context)
    test = questions[(questions["split"] == "test") & ("answer" in finished)]
    rows = test["row"].to_numpy()
    stated, expected = (
        {
            one: column_of(context, stage, column, rows)
            for one, stage in STAGES_OF.items()
            if stage in finished
        }
        for column in (STATED, EXPECTED)
    )
    return Readouts(
        questions=test.reset_index(drop=True),
        correct=right_answers(context, rows) if len(rows) else np.zeros(0, dtype=bool),
        stated=stated,
        expected=expected,
        probe={
            one: probabilities_of(context, stage, rows)
            for one, stage in PROBES_OF.items()
            if stage in finished
        },
    )


@dataclass(frozen=True)
class LoopResults:
    """The results of the main loop: readouts, patching, every measure, and facts of the run.

    Attributes:
        finished: the stages whose results these are.
        curves: of patching; None before it.
        verdicts: on the whole run; none before its last stage.
        seeds: the further trainings, where the run has any (:mod:`workbench.loop.seed_results`).
    """

    readouts: Readouts
    curves: PatchingResult | None
    measures: Measures
    facts: dict[str, Any]
    finished: tuple[str, ...] = ()
    verdicts: tuple[Verdict, ...] = ()
    seeds: SeedResults | None = None

    @property
    def patching(self) -> PatchingResult:
        """The curves of patching.

        Raises:
            WorkbenchError: before patching has finished.
        """
        if self.curves is None:
            raise WorkbenchError("This run has not patched yet; run it again first.")
        return self.curves

    def summary(self) -> dict[str, Any]:
        """Return the flat summary; ``key.low`` and ``key.high`` bound the estimate ``key``.

        The bounds are bootstrap intervals over questions. Those of
        ``auroc2.probe.shuffled_labels``, a mean over all layers and positions, are the range over
        permutations.
        """
        return {**flat_summary(self.measures), **self.facts}


def loop_results(context: Run) -> LoopResults:
    """Measure what the finished stages of a run left. Nothing is measured twice in a process."""
    finished, readouts, draw = finished_stages(context), collect(context), bootstrap_of(context)
    measures: Measures = {}
    for name, group in GROUPS.items():
        if {*group.needs} <= {*finished}:
            compute = partial(group.measure, context, readouts, draw)
            measures |= remember(context, name, group.needs, draw, compute)
    facts = {**facts_of(context, readouts), "positions": list(run_positions(context))}
    curves = _curves(context, draw) if "patch" in finished else None
    verdicts = _verdicts(context, readouts, draw) if {*JUDGED} <= {*finished} else ()
    return LoopResults(readouts, curves, measures, facts, finished, verdicts)


def _curves(context: Run, draw: Bootstrap) -> PatchingResult:
    def compute() -> PatchingResult:
        return patching_result(context.stage("patch").table("sweep"), draw)

    return remember(context, "curves", ("patch",), draw, compute)


def _verdicts(context: Run, r: Readouts, draw: Bootstrap) -> tuple[Verdict, ...]:
    def compute() -> tuple[Verdict, ...]:
        return loop_verdicts(
            context, r, _rivals(context, r, draw), _curves(context, draw).sweeps, draw
        )

    return remember(context, "the verdicts themselves", JUDGED, draw, compute)


def _rivals(context: Run, r: Readouts, draw: Bootstrap) -> Mapping[str, NDArray[np.float64]]:
    def compute() -> Mapping[str, NDArray[np.float64]]:
        return read_rivals(context, r.questions[ROW].to_numpy())

    return remember(context, "scores of rivals", ("answer", "probe"), draw, compute)


def _answers(context: Run, r: Readouts, draw: Bootstrap) -> Measures:
    return answer_accuracy(context, r, STAGES_OF[AFTER], AFTER, draw)


def _patching(context: Run, r: Readouts, draw: Bootstrap) -> Measures:
    result = _curves(context, draw)
    own, shift = result.sweeps["own_tuned"], result.shift
    facts, effect = context.stage("patch").facts(), shift["own_tuned"]
    items, seed = len(own.base), context.config.seed

    def mean_size(name: str) -> float:
        return float(np.abs(shift[name].value).mean())

    found = {
        "layer_gradient": result.layer_gradient,
        "layer_gradient.permutation_p": permutation_p(
            own.layers, effect.value, permutations=9999, seed=seed
        ),
        "layer_gradient.ramp_distance": ramp_distance(own.layers, effect.value),
        "items": facts["items"],
        "donor_slope.half_layer": result.half_layer,
        "donor_slope.last_layer": result.donor_slope.at(-1, items),
        "base_slope.last_layer": float(result.base_slope.value[-1]),
        "shift.largest": float(effect.value.max()),
        "shift.last_layer": effect.at(-1, items),
        "shift.clipped.last_layer": float(clipped_mean_shift(own)[-1]),
        "shift.random_position": mean_size("random_position"),
        "shift.random_vector": mean_size("random_vector"),
        "shift.other_base": mean_size("other_base"),
        "shift.own_base": float(np.abs(shift["own_base"].value).max()),
        "noise_floor": result.noise_floor,
        "shift.reverse.last_layer": float(shift["reverse"].value[-1]),
        "packed_vs_loop": facts["packed_vs_loop"],
    }
    return {Key(name, part="patching"): value for name, value in found.items()}


JUDGED = ("probe", "elicit_tuned", "elicit_control", "patch")
"""The stages that the verdicts need."""

GROUPS: dict[str, Group] = {
    **{f"text {one}": text_group(one, stage) for one, stage in STAGES_OF.items()},
    **{f"probe {one}": probe_group(one, stage) for one, stage in PROBES_OF.items()},
    "gain": gain_group(AFTER, STAGES_OF, (STATED, EXPECTED)),
    "gain of control": gain_group(CONTROL, STAGES_OF, (STATED,)),
    "answers": Group(("elicit_tuned",), _answers),
    "patching": Group(("patch",), _patching),
    "rivals": Group(
        ("elicit", "probe"), lambda run, r, draw: measure_rivals(r, _rivals(run, r, draw), draw)
    ),
    "verdicts": Group(JUDGED, lambda run, r, draw: verdict_measures(_verdicts(run, r, draw))),
}


def facts_of(context: Run, r: Readouts) -> dict[str, Any]:
    """Return the facts a run's page shows besides its measures: model, questions, seed, and what
    its finished stages say of themselves.
    """
    found: dict[str, Any] = {"model.name": context.config.model.shown, "seed": context.config.seed}
    for stage in finished_stages(context):
        found |= FACTS[stage](context, r) if stage in FACTS else {}
    return found
