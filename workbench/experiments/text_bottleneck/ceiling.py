"""Find who writes the ceiling of a run's model in a condition, and ablate them.

One stage a condition. Three groups of questions share none: references are averaged over some
training questions, writers are attributed on others, and chosen sets are ablated on held-out ones
alone. The ceiling is that of the untaught model's training answers in every condition, so that
margins before and after teaching speak of the same values. After a kill the batches that were done
are read back.

The margin is attributed on the nodes of the scale that the attributed questions' contenders need;
sets are tested on the whole scale. On some held-out questions every size has its random sets
(DOSES); on more of them, for AUROC2, one size alone (TOLD).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from workbench.arrays import Rows
from workbench.bottleneck.ceiling import ceiling_margin, contenders, find_ceiling
from workbench.bottleneck.ceiling_writers import (
    attribute_margin,
    forwards_of,
    mean_of_tokens,
    writers_of,
)
from workbench.elicit.trie import cut_trie
from workbench.errors import WorkbenchError
from workbench.experiments.text_bottleneck.ablated_parts import ablate_in_parts
from workbench.experiments.text_bottleneck.ceiling_sets import (
    choose_sets,
    sets_table,
    writers_table,
)
from workbench.experiments.text_bottleneck.conditions import BEFORE, ModelCondition, model_in
from workbench.experiments.text_bottleneck.number_reader import NumberReader
from workbench.experiments.text_bottleneck.read import distributions, split_of
from workbench.loop.questions import spread_rows
from workbench.loop.run import Run
from workbench.patch.inputs import require_pair
from workbench.pipeline.store import ROW, Part, StageStore, run_parts

REFERENCES = 48
"""Questions that the reference is averaged over."""
ATTRIBUTED, DOSES, TOLD = "attributed", "doses", "told"
SETS, WRITERS = "sets", "writers"


@dataclass(frozen=True)
class CeilingQuestions:
    """How many questions are used: training questions on which writers are attributed, held-out
    ones on which every size is tested, and on which AUROC2 is.
    """

    attributed: int
    doses: int
    told: int


def ceiling_stage(name: str) -> str:
    """Return the name of the stage of a condition."""
    return f"bottleneck_ceiling_{name}"


def find_writers(
    context: Run, stage: StageStore, *, condition: ModelCondition, count: CeilingQuestions
) -> dict[str, Any]:
    """Attribute the margin, choose sets and ablate them; save the tables WRITERS and SETS, and
    under ATTRIBUTED, DOSES and TOLD the questions' rows and what was found.

    A model that cannot be attributed (recurrent layers, several processes) has only the fact
    ``why_not``.
    """
    split, trie = split_of(context, condition), context.scale_tokens.trie
    ceiling = find_ceiling(distributions(context, BEFORE, split.train), trie.values)
    rng = np.random.default_rng(context.config.seed)
    rows = rng.permutation(spread_rows(split.train, count.attributed + REFERENCES))
    attributed, references = rows[: count.attributed], rows[count.attributed :]
    now = distributions(context, condition, attributed)
    small = cut_trie(trie, contenders(now, ceiling))
    with model_in(context, condition) as lm:
        reader = NumberReader(context, lm)
        inputs = reader.at_number(attributed, small)
        try:
            require_pair(inputs, inputs, small.tree.size)
        except WorkbenchError as error:
            return {"why_not": str(error)}
        reference = mean_of_tokens(reader.at_ordinary_tokens(references, rng), reader.budget)

        def attribute(batch: Rows) -> Part:
            found = attribute_margin(
                inputs.of_rows(batch),
                reference,
                ceiling_margin(small, ceiling),
                tokens_per_forward=reader.budget,
            )
            return Part(pd.DataFrame({ROW: attributed[batch]}), found)

        part = run_parts(
            stage,
            reader.batches(attributed),
            attribute,
            f"attributing the ceiling {condition.label}",
        )
        writers = writers_of(lm)
        sets = choose_sets(writers, part.tensors, rng)
        for name, number in ((DOSES, count.doses), (TOLD, count.told)):
            used = [one for one in sets if name == DOSES or one.told]
            tested = ablate_in_parts(
                reader,
                stage,
                name,
                spread_rows(split.test, number),
                [one.writers for one in used],
                reference,
            )
            stage.save_tensors(name, tested.tensors)
            stage.save_table(name, tested.table)
        forwards = forwards_of(inputs, small.tree)
    stage.save_tensors(ATTRIBUTED, part.tensors)
    stage.save_table(ATTRIBUTED, part.table)
    stage.save_table(SETS, sets_table(sets))
    stage.save_table(WRITERS, writers_table(writers))
    return {
        "ceiling": list(ceiling.written),
        "share": ceiling.share,
        "nodes": small.tree.size + 1,
        "forwards": forwards,
    }
