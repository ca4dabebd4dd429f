"""Say which forward passes the patching of the main loop makes: both runs' states, the sweep of
every condition, and the comparison with the loop of hooked forwards.

Which branches share a pass is decided by the engine's own functions
(:mod:`workbench.trace.branch_groups`), from the sizes of the branches alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from workbench.arrays import Rows
from workbench.loop.patched_items import (
    choose_items,
    fitting_items,
    sweep_layers,
    work_before,
    work_per_question,
)
from workbench.patch.controls import (
    CONDITIONS,
    Condition,
    layers_run,
    sweep_positions,
    swept_layers,
)
from workbench.patch.sweep import ONE_BATCH
from workbench.plan.forwards import Group, Task, branch_forward, whole_forward
from workbench.plan.run_stages import PlannedRun
from workbench.trace.batches import plan_batches
from workbench.trace.branch_groups import plan_joint_groups, plan_tail_groups


def patched_rows(run: PlannedRun) -> list[int]:
    """Return the questions that are patched, once a training is planned."""
    settings, wanted = run.config.patch, run.config.patch.n_questions
    if settings.share:
        before = work_before(sum(run.questions.lengths), run.taught_tokens, run.layers, run.start)
        each = work_per_question(settings, run.layers, run.start, run.questions.nodes, run.reply)
        wanted = fitting_items(settings, before, each)
    found: list[int] = choose_items(run.questions.table, wanted, run.config.seed).tolist()
    return found


def patch_stage(run: PlannedRun) -> list[Group]:
    """Plan the sweeps of the questions that are patched."""
    asked, settings, rows = run.questions, run.config.patch, patched_rows(run)
    conversations = [asked.conversations[row] for row in rows]
    positions = sweep_positions(
        asked.tokenizer,
        asked.fmt,
        conversations,
        None if asked.reply is None else run.reply,
        run.config.seed,
    )
    lengths = [asked.lengths[row] for row in rows]
    sweep = _Sweep(run, rows, lengths, positions)
    layers = sweep_layers(settings.layers, run.layers)
    conditions: Group = []
    for condition in CONDITIONS:
        conditions += sweep.condition(condition, layers)
    recorded = [sweep.recorded(adapter) for adapter in (False, True)]
    return [*recorded, conditions, [sweep.compared(layers)]]


class _Sweep:
    """The passes over a set of items."""

    def __init__(
        self, run: PlannedRun, rows: Sequence[int], lengths: Sequence[int], positions: Rows
    ) -> None:
        self.run, self.rows, self.lengths, self.positions = run, rows, lengths, positions
        self.nodes = run.questions.nodes

    def recorded(self, adapter: bool) -> Group:
        """Return the passes that record one run's states."""
        run, found = self.run, []
        for batch in plan_batches(self.lengths, run.budget, self.nodes):
            task = self._kept(batch)
            kept, rest = self._split(batch, self.positions[batch])
            task.append(
                whole_forward(
                    "recorded states",
                    run.layers,
                    len(batch),
                    rest + self.nodes,
                    kept=kept,
                    adapted=self._acted(batch, rest) if adapter else 0,
                    recorded=2 + self.nodes,
                )
            )
            found.append(task)
        return found

    def condition(self, condition: Condition, layers: Sequence[int]) -> Group:
        """Return the passes of one condition."""
        run, found = self.run, []
        swept = swept_layers(condition, layers, run.config.patch.control_layers)
        copied = max(
            length - int(at) for length, at in zip(self.lengths, self.positions[:, 0], strict=True)
        )
        branch = (copied if condition.random_position else 1) + self.nodes
        for batch in plan_batches(self.lengths, run.budget, len(swept) * branch):
            at = self.positions[batch, 0 if condition.random_position else 1]
            changed = layers_run(condition, swept, run.start)
            task = self._kept(batch)
            task += self._sweep(condition, batch, at, changed, ONE_BATCH)
            found.append(task)
        return found

    def _sweep(
        self,
        condition: Condition,
        batch: Rows,
        at: Rows,
        changed: Sequence[int],
        budget: int,
        keep: bool = True,
    ) -> Task:
        run, rows = self.run, len(batch)
        what = f"sweep of {condition.name.replace('_', ' ')}"
        kept, rest = self._split(batch, at) if keep else (0, self._longest(batch))
        back = max(self.lengths[row] - int(p) for row, p in zip(batch, at, strict=True))
        sizes = [back + self.nodes] * len(changed)
        adapter = run.start if condition.into_tuned else None
        bases, ends = rest + self.nodes, rows * (1 + self.nodes)
        first_columns = rest + self.nodes
        if kept:
            groups = [[], *plan_tail_groups(sizes, changed, rest, budget // rows)]
        else:
            groups = plan_joint_groups(sizes, changed, bases, budget // rows)
        task: Task = []
        for number, group in enumerate(groups):
            before = 0 if number else first_columns
            own = [sizes[branch] for branch in group]
            after = [changed[branch] for branch in group]
            keys = kept if not number else kept + rest
            reads = ends * (len(group) + (not number))
            task.append(
                branch_forward(what, run.layers, rows, before, keys, own, after, reads, adapter)
            )
        return task

    def compared(self, layers: Sequence[int]) -> Task:
        """Return the passes of the comparison with the loop, in float32."""
        run = self.run
        batch = np.arange(min(run.config.patch.n_reference, len(self.rows)))
        changed = layers_run(CONDITIONS[0], layers, run.start)
        at = self.positions[batch, 1]
        same = self.run.config.model.precision == "float32"
        task = self._kept(batch) if same else []
        task += self._sweep(CONDITIONS[0], batch, at, changed, ONE_BATCH, same)
        looped = whole_forward(
            "loop of hooked forwards",
            run.layers,
            len(batch),
            self._longest(batch) + self.nodes,
            logits=len(batch) * (1 + self.nodes),
        )
        found = [*task, *([looped] * (1 + len(changed)))]
        return [replace(each, float32=True) for each in found]

    def _longest(self, batch: Rows) -> int:
        return max(self.lengths[row] for row in batch)

    def _split(self, batch: Rows, at: Rows) -> tuple[int, int]:
        """Return the keys that are kept of the longest row, and the columns computed after them."""
        longest, reply = self._longest(batch), self.run.reply
        earliest = at.reshape(len(batch), -1).min(axis=1)
        begun = [self.lengths[row] - reply for row in batch]
        if not reply or any(p < n for p, n in zip(earliest, begun, strict=True)):
            return 0, longest
        return longest - reply, reply

    def _kept(self, batch: Rows) -> Task:
        if not self.run.reply:
            return []
        return self.run.replies_kept([self.rows[row] for row in batch])

    def _acted(self, batch: Rows, rest: int) -> int:
        columns = rest if not self.run.reply else self.run.reply
        return len(batch) * (columns + self.nodes) * (self.run.layers - self.run.start)
