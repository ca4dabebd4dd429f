"""Choose the held-out questions that are patched: at least as many as asked for, and more while
they fit into a share of the run's work.

Work is counted in tokens times the layers they pass through, of which a backward pass takes as many
again: no clock decides what a run measures. The unembedding, attention and everything outside the
model are left out on both sides. Conditions that change nothing below the adapter's first layer
are not run there (:mod:`workbench.patch.controlled_sweep`).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from workbench.config import PatchSettings
from workbench.errors import WorkbenchError
from workbench.loop.confidence import confidence_conversations
from workbench.loop.questions import load_questions
from workbench.loop.run import Run
from workbench.patch.controls import CONDITIONS, layers_run, swept_layers
from workbench.pipeline.store import ROW


def patched_items(context: Run) -> NDArray[np.int64]:
    """Return the rows of the questions that are patched, once the run has taught."""
    questions, _ = load_questions(context)
    settings, wanted = context.config.patch, context.config.patch.n_questions
    if settings.share:
        layers, taught = context.lm.n_layers, context.stage("teach").facts()
        read = sum(len(each.tokens) for each in confidence_conversations(context))
        start = taught["start_layer"]
        nodes, reply = context.scale_tokens.trie.tree.size, len(context.reply or ())
        before = work_before(read, taught["tokens"], layers, start)
        wanted = fitting_items(
            settings, before, work_per_question(settings, layers, start, nodes, reply)
        )
    return choose_items(questions, wanted, context.config.seed)


def fitting_items(settings: PatchSettings, before: float, each: float) -> int:
    """Return how many questions are patched, given the work before patching and that of each."""
    return max(settings.n_questions, int(settings.share * before / each))


def choose_items(
    questions: pd.DataFrame, items: int, seed: int, split: str = "test"
) -> NDArray[np.int64]:
    """Draw rows of held-out questions, or of those of another ``split``, spread as evenly over
    domains as possible, fixed by the seed.
    """
    mine = questions[questions["split"] == split]
    order = mine.sample(frac=1, random_state=seed)
    rank = order.groupby("domain").cumcount()
    return np.sort(order.iloc[np.argsort(rank.to_numpy(), kind="stable")][ROW].to_numpy()[:items])


def work_before(read: int, taught: int, layers: int, start: int) -> float:
    """Return the work of a run up to patching: every conversation read once, and the adapter and
    its control taught.

    Args:
        read: tokens of all conversations.
        taught: tokens of a training.
        layers: of the model.
        start: layer at which the adapter begins.
    """
    both_ways = 2 * taught * (layers - start)
    return float(read * layers + 2 * both_ways)


def work_per_question(
    settings: PatchSettings, n_layers: int, start: int, nodes: int, reply: int
) -> float:
    """Return the work of all conditions on one question, its prompt computed before.

    Args:
        start: layer at which the adapter begins.
        nodes: tokens of the scale that are read after every branch.
        reply: tokens of the reply that the adapter acts on; 0 for whole conversations.
    """
    layers = sweep_layers(settings.layers, n_layers)
    work = 0
    for condition in CONDITIONS:
        swept = swept_layers(condition, layers, settings.control_layers)
        columns = 1 + nodes + (reply // 2 if condition.random_position else 0)
        run = layers_run(condition, swept, start)
        work += columns * sum(n_layers - layer for layer in run)
    return float(work)


def sweep_layers(wanted: Sequence[int] | None, n_layers: int) -> list[int]:
    """Return the layers to sweep, ascending; all of them when none are asked for.

    Raises:
        WorkbenchError: for fewer than two layers, and layers the model does not have.
    """
    if wanted is None:
        return list(range(n_layers))
    if len(set(wanted)) < 2 or not {*wanted} <= {*range(n_layers)}:
        raise WorkbenchError(
            f"patch.layers is {list(wanted)}; give at least two layers from 0 to {n_layers - 1}, "
            "or leave it out for all."
        )
    return sorted(set(wanted))
