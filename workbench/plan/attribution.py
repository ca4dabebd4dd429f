"""Say which forward passes the attribution to tokens makes: of base and taught model, the layer-0
states of replacements, a pass with gradients over every conversation, and whole passes over texts
with a token truly replaced.
"""

from __future__ import annotations

import numpy as np

from workbench.loop.patched_items import work_before
from workbench.loop.token_attribution import (
    BASE,
    CHECKED_TOKENS,
    DRAWS,
    GRADIENT_SHARE,
    MODELS,
    checked_questions,
    fitting_rows,
)
from workbench.plan.forwards import Group, Task, whole_forward
from workbench.plan.patching import patched_rows
from workbench.plan.run_stages import PlannedRun
from workbench.trace.batches import plan_batches


def attribute_stage(run: PlannedRun) -> list[Group]:
    """Plan the attribution of the questions that are patched, as far as the share goes."""
    asked, config = run.questions, run.config
    patched = np.sort(patched_rows(run))
    before = work_before(sum(asked.lengths), run.taught_tokens, run.layers, run.start)
    rows = fitting_rows(
        patched,
        [asked.lengths[row] + asked.nodes for row in patched],
        before / run.layers,
        config.attribution.share,
        config.seed,
    )
    lengths = [asked.lengths[row] for row in rows]
    if not lengths:
        return []
    checked = [lengths[at] for at in checked_questions(len(rows), config.seed)]
    texts = [length for length in checked for _ in range(1 + CHECKED_TOKENS)]
    return [[_gradients(run, name, lengths), _passes(run, name, texts)] for name in MODELS]


def _gradients(run: PlannedRun, name: str, lengths: list[int]) -> Task:
    nodes, found = run.questions.nodes, []
    for batch in plan_batches(lengths, max(1, run.budget // GRADIENT_SHARE), nodes):
        rows, columns = len(batch), max(lengths[at] for at in batch)
        found.append(whole_forward("replacing tokens", 1, rows * DRAWS, columns))
        found.append(
            whole_forward(
                "gradients at tokens",
                run.layers,
                rows,
                columns + nodes,
                logits=rows * (1 + nodes),
                adapted=_acted(run, name, rows, columns),
                backward=True,
            )
        )
    return found


def _passes(run: PlannedRun, name: str, lengths: list[int]) -> Task:
    nodes, found = run.questions.nodes, []
    for batch in plan_batches(lengths, run.budget, nodes):
        rows, columns = len(batch), max(lengths[at] for at in batch)
        found.append(
            whole_forward(
                "tokens truly replaced",
                run.layers,
                rows,
                columns + nodes,
                logits=rows * (1 + nodes),
                adapted=_acted(run, name, rows, columns),
            )
        )
    return found


def _acted(run: PlannedRun, name: str, rows: int, columns: int) -> int:
    if name == BASE:
        return 0
    return rows * ((run.reply or columns) + run.questions.nodes) * (run.layers - run.start)
