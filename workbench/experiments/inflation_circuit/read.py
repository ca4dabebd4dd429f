"""Attribute a run's confidence to its heads and MLPs in a condition, choose sets and ablate them.

One stage a condition. Groups of questions share none: the reference is the mean over the least
confident of some training questions, at the very token (or, if asked for, over ordinary tokens of
them); the correction's size is chosen on others, drawn whatever their grade, so that as many of
them are right as of all; writers are attributed on wrong answers of those that are left, and sets
are tested on held-out questions alone. Wrong held-out answers are read with every set (WRONG);
right and wrong ones of both splits with the chosen sets alone (TRAINED, HELD_OUT). After a kill the
batches that were done are read back.

Besides a set's ablation, what it carries is read: all other writers are ablated. Cost: a set is a
branch of the tokens that a number is read from.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from workbench.arrays import Floats, Rows
from workbench.bottleneck.ceiling_writers import (
    GRADIENT,
    Reference,
    first_orders,
    mean_at_number,
    mean_of_tokens,
    writers_of,
)
from workbench.bottleneck.writer_sets import WriterSet, largest_writers, random_sets
from workbench.elicit.readout import expected_confidence
from workbench.errors import WorkbenchError
from workbench.experiments.text_bottleneck.ablated_parts import ablate_in_parts
from workbench.experiments.text_bottleneck.ceiling_sets import writers_table
from workbench.experiments.text_bottleneck.conditions import ModelCondition, model_in
from workbench.experiments.text_bottleneck.number_reader import NumberReader
from workbench.experiments.text_bottleneck.read import distributions, split_of
from workbench.loop.answers import right_answers
from workbench.loop.questions import spread_rows
from workbench.loop.run import Run
from workbench.mechanisms.works.inflation_circuit import COMPACT
from workbench.patch.inputs import require_pair
from workbench.patch.metrics import expected_confidence_of
from workbench.pipeline.store import ROW, Part, StageStore, run_parts
from workbench.trace.sites import Site

SIZES = (1, 2, 4, 8, 16, 32)
RANDOM, ALONE_RANDOM = 8, 2
"""Random sets that are ablated, of each of two kinds, and that are left alone."""
POOL, LEAST = 120, 24
"""Training questions, at most a third of all, of which so many, the least confident, give a
writer's reference."""
ORDINARY, UNSURE = "ordinary tokens", "unsure answers"
ATTRIBUTED, WRONG, TRAINED, HELD_OUT = "attributed", "wrong", "trained", "held_out"
SETS, WRITERS = "sets", "writers"
CHOSEN, LIKE, ANYWHERE, ALONE, ALONE_LIKE, NOTHING = ROLES = (
    "chosen",
    "like",
    "anywhere",
    "alone",
    "alone_like",
    "nothing",
)


@dataclass(frozen=True)
class InflationQuestions:
    """How many questions are used: wrong training answers that writers are attributed on, wrong
    held-out ones that all sets are tested on, and questions of each split for the correction; and
    what writers are given instead of their states.
    """

    attributed: int
    wrong: int
    corrected: int
    reference: str = UNSURE


@dataclass(frozen=True)
class RoleSet:
    """Ablated ``writers``, by their indices; ``size`` is that of the set the ``role`` is about."""

    role: str
    size: int
    writers: WriterSet


def inflation_stage(name: str) -> str:
    """Return the name of the stage of a condition."""
    return f"inflation_{name}"


def compact_size(writers: int) -> int:
    """Return the size of the largest set that counts as compact, of so many writers."""
    return max(size for size in SIZES if size <= max(1, int(COMPACT * writers)))


def read_inflation(
    context: Run, stage: StageStore, *, condition: ModelCondition, count: InflationQuestions
) -> dict[str, Any]:
    """Attribute, choose and ablate; save the tables WRITERS and SETS, and under ATTRIBUTED, WRONG,
    TRAINED and HELD_OUT the questions' rows and what was found.

    A model that cannot be attributed (recurrent layers, several processes) has only the fact
    ``why_not``.
    """
    split, trie = split_of(context, condition), context.scale_tokens.trie
    rng = np.random.default_rng(context.config.seed)
    train = rng.permutation(split.train)
    pool = min(POOL, len(train) // 3)
    references, rest = train[:pool], train[pool:]
    # Drawn before any grade is looked at: what wrong answers leave over is too often right.
    kept = min(count.corrected, len(rest) // 2)
    corrected = np.sort(rest[:kept])
    attributed = np.sort(_wrong(context, rest[kept:])[: count.attributed])
    tested = spread_rows(split.test[~split.questions.correct], count.wrong)
    held_out = spread_rows(split.test, count.corrected)
    if not len(attributed) or not len(tested) or not len(corrected):
        return {"why_not": "there are too few wrong answers to find writers on and to test them"}
    if len(np.unique(right_answers(context, corrected))) < 2:
        raise WorkbenchError(
            f"The {len(corrected)} training questions of the correction have answers of one kind "
            "only, so no map can be fitted on them; give a larger corrected=, or more questions."
        )
    with model_in(context, condition) as lm:
        reader = NumberReader(context, lm)
        inputs = reader.at_number(attributed, trie)
        try:
            require_pair(inputs, inputs, trie.tree.size)
        except WorkbenchError as error:
            return {"why_not": str(error)}
        reference = _reference(reader, references, condition, count.reference, rng)

        def attribute(batch: Rows) -> Part:
            found = first_orders(
                inputs.of_rows(batch),
                reference,
                expected_confidence_of(trie, context.fmt.scale.certain),
                tokens_per_forward=reader.budget,
            )
            return Part(pd.DataFrame({ROW: attributed[batch]}), found)

        part = run_parts(
            stage,
            reader.batches(attributed),
            attribute,
            f"attributing confidence {condition.label}",
        )
        writers = writers_of(lm)
        sets = choose_sets(writers, part.tensors[GRADIENT], rng)
        chosen = [one for one in sets if one.role == CHOSEN]
        for name, rows, used in (
            (WRONG, tested, sets),
            (TRAINED, corrected, chosen),
            (HELD_OUT, held_out, chosen),
        ):
            found = ablate_in_parts(
                reader, stage, name, rows, [one.writers for one in used], reference
            )
            stage.save_tensors(name, found.tensors)
            stage.save_table(name, found.table)
    stage.save_tensors(ATTRIBUTED, part.tensors)
    stage.save_table(ATTRIBUTED, part.table)
    stage.save_table(SETS, _sets_table(sets))
    stage.save_table(WRITERS, writers_table(writers))
    return {"layers": lm.n_layers, "writers": len(writers)}


def _reference(
    reader: NumberReader,
    rows: Rows,
    condition: ModelCondition,
    kind: str,
    rng: np.random.Generator,
) -> Reference:
    """Return the states that writers are given, of the least confident of ``rows``."""
    trie, context = reader.context.scale_tokens.trie, reader.context
    shares = np.asarray(trie.values) / context.fmt.scale.certain
    kept = distributions(context, condition, rows)
    unsure = rows[expected_confidence(kept, shares.tolist(), 1.0).argsort(kind="stable")[:LEAST]]
    if kind == ORDINARY:
        return mean_of_tokens(reader.at_ordinary_tokens(unsure, rng), reader.budget)
    return mean_at_number(reader.at_number(unsure, trie), trie.tree, reader.budget)


def _wrong(context: Run, rows: Rows) -> Rows:
    """Return those of ``rows`` whose answer is wrong, in their order."""
    return rows[~right_answers(context, rows)]


def choose_sets(writers: Sequence[Site], scores: Floats, rng: np.random.Generator) -> list[RoleSet]:
    """Return the sets of every size with the largest mean ``scores`` [questions, writers], what is
    left with each alone, all writers, and random sets of the compact size.
    """
    mean, count = scores.mean(axis=0), len(writers)
    every = tuple(range(count))
    sizes = [size for size in SIZES if size < count]
    compact = compact_size(count)
    best = {size: largest_writers(mean, size) for size in sizes}
    like = random_sets(writers, best[compact], RANDOM, rng)
    anywhere = [tuple(rng.choice(count, compact, replace=False).tolist()) for _ in range(RANDOM)]
    return [
        *(RoleSet(CHOSEN, size, found) for size, found in best.items()),
        *(RoleSet(ALONE, size, _others(every, found)) for size, found in best.items()),
        RoleSet(NOTHING, count, every),
        *(RoleSet(LIKE, compact, each) for each in like),
        *(RoleSet(ANYWHERE, compact, each) for each in anywhere),
        *(RoleSet(ALONE_LIKE, compact, _others(every, each)) for each in like[:ALONE_RANDOM]),
    ]


def _others(every: WriterSet, some: WriterSet) -> WriterSet:
    gone = set(some)
    return tuple(at for at in every if at not in gone)


def _sets_table(sets: Sequence[RoleSet]) -> pd.DataFrame:
    return pd.DataFrame(
        [
            {"set": number, "role": one.role, "size": one.size, "writer": writer}
            for number, one in enumerate(sets)
            for writer in one.writers
        ]
    )


def sets_of(table: pd.DataFrame) -> list[RoleSet]:
    """Return the sets of a stage's table SETS, in their order."""
    return [
        RoleSet(str(each["role"].iloc[0]), int(each["size"].iloc[0]), tuple(each["writer"]))
        for _, each in table.groupby("set", sort=True)
    ]
