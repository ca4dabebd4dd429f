"""Say about how many forward passes the text-bottleneck analysis makes after the loop.

Its readings before and after teaching are planned: lenses, interventions, and the heads and MLPs
that write the ceiling. Numbers of questions are the analysis's own defaults, and passes over kept
conversations follow the engine's rules. How many values of the scale contend, how many strengths of
a map are tried and how many sets are ablated depends on what the model states, so these are stated
numbers and the whole is an estimate. Conditions that a run lacks are not planned.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial

from workbench.experiments.text_bottleneck.ceiling import REFERENCES, ceiling_stage
from workbench.experiments.text_bottleneck.conditions import AFTER, BEFORE
from workbench.experiments.text_bottleneck.interventions import (
    ASKED,
    InterventionPlan,
    intervention_stage,
)
from workbench.experiments.text_bottleneck.lens import JACOBIAN_ON, lens_stage
from workbench.experiments.text_bottleneck.lens_inputs import FITTED_ON
from workbench.experiments.text_bottleneck.run import BottleneckParameters
from workbench.plan.forwards import Forward, Group, Task, branch_forward, whole_forward
from workbench.plan.run_stages import PlannedRun
from workbench.trace.batches import plan_batches
from workbench.trace.branch_groups import plan_tail_groups

SETS = 24
"""Sets of writers that are ablated: sizes with random sets of each."""
STRENGTHS = 18
"""Strengths of a map that are tried on training questions."""
CHANGES = 7
"""Directions and whole states that are changed after each layer."""
PUSHED = 2
"""Directions along which states are pushed, the probe's and a random one."""
WRITTEN = 4
"""Maps that held-out questions are written with."""


def bottleneck_stages() -> Mapping[str, Callable[[PlannedRun], list[Group]]]:
    """Return what plans each stage of the analysis."""
    found: dict[str, Callable[[PlannedRun], list[Group]]] = {}
    for condition in (BEFORE, AFTER):
        adapted = condition is AFTER
        found[lens_stage(condition.name)] = partial(_lens, adapted=adapted)
        found[intervention_stage(condition.name)] = partial(_interventions, adapted=adapted)
    found[ceiling_stage(BEFORE.name)] = _ceiling
    return found


def _lens(run: PlannedRun, adapted: bool) -> list[Group]:
    parameters = BottleneckParameters()
    known = run.questions.side("train")[: parameters.lens_questions]
    fitted = known[:FITTED_ON]
    nodes = run.questions.nodes
    gradients: Task = []
    for _ in range(1 + nodes):
        gradients.append(_rests(run, fitted[:JACOBIAN_ON], adapted, backward=True))
    read = sorted([*known, *run.questions.side("test")])
    return [
        _recorded(run, fitted, adapted),
        [gradients],
        _recorded(run, read, adapted),
    ]


def _recorded(run: PlannedRun, rows: Sequence[int], adapted: bool) -> Group:
    batches = plan_batches(
        [run.questions.lengths[row] for row in rows], run.budget, run.questions.nodes
    )
    return [[_rests(run, [rows[place] for place in batch], adapted)] for batch in batches]


def _rests(run: PlannedRun, rows: Sequence[int], adapted: bool, backward: bool = False) -> Forward:
    longest = max(run.questions.lengths[row] for row in rows)
    rest = (run.reply or longest) + run.questions.nodes
    return whole_forward(
        "states at every layer",
        run.layers,
        len(rows),
        rest,
        kept=longest - (run.reply or longest),
        adapted=len(rows) * rest * (run.layers - run.start) * adapted,
        backward=backward,
        recorded=1 + run.questions.nodes,
    )


def _interventions(run: PlannedRun, adapted: bool) -> list[Group]:
    plan = InterventionPlan()
    layers = plan.layers_of(run.layers)
    train, test = run.questions.side("train"), run.questions.side("test")
    each = [layer for layer in layers for _ in range(2 * CHANGES)]
    pushes = [layer for layer in layers for _ in range(PUSHED * len(plan.lengths))]
    tried = [layers[number % len(layers)] for number in range(STRENGTHS)]
    gradients: Group = [[_rests(run, train[:ASKED], adapted, backward=True)]]
    return [
        _branches(run, test[: plan.patched], each, adapted),
        _branches(run, test[: plan.pushed], sorted(pushes), adapted),
        gradients,
        _branches(run, train[: plan.mapped], sorted(tried), adapted),
        _branches(run, test, layers[-1:] * WRITTEN, adapted),
    ]


def _ceiling(run: PlannedRun) -> list[Group]:
    parameters = BottleneckParameters()
    train, test = run.questions.side("train"), run.questions.side("test")
    attributed = train[: parameters.ceiling_questions]
    rows = train[:REFERENCES]
    reference = _recorded(run, rows, False)
    # Every head and MLP is taken out once: those of a layer begin after the one below it.
    writers = [layer - 1 for layer in range(run.layers) for _ in range(1 + run.heads)]
    sets = [run.layers // 2 - 1] * SETS
    return [
        reference,
        [[_rests(run, attributed, False, backward=True)]],
        _branches(run, attributed, writers, False),
        _branches(run, test[: parameters.ceiling_questions], sets, False),
        _branches(run, test[: parameters.ceiling_told], sets[: SETS // 4], False),
    ]


def _branches(run: PlannedRun, rows: Sequence[int], layers: Sequence[int], adapted: bool) -> Group:
    """Return the packed passes of one branch for each of ``layers``, which ascend."""
    nodes, found = run.questions.nodes, []
    lengths = [run.questions.lengths[row] for row in rows]
    sizes = [1 + nodes] * len(layers)
    overhead = min(sum(sizes), run.budget)
    for batch in plan_batches(lengths, run.budget, overhead):
        own = [rows[place] for place in batch]
        first = _rests(run, own, adapted)
        longest = max(lengths[place] for place in batch)
        task: Task = [first]
        for group in plan_tail_groups(sizes, layers, run.reply or longest, run.budget // len(own)):
            task.append(
                branch_forward(
                    "branches",
                    run.layers,
                    len(own),
                    0,
                    longest,
                    [sizes[branch] for branch in group],
                    [layers[branch] for branch in group],
                    len(own) * len(group) * (1 + nodes),
                    run.start if adapted else None,
                )
            )
        found.append(task)
    return found
