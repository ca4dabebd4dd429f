"""Read a run's distributions over the scale with sets of writers ablated, batch by batch.

After a kill the batches that were done are read back. Every set is a branch of the tokens that a
number is read from.
"""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from workbench.arrays import Rows
from workbench.bottleneck.ceiling_ablation import ablate_sets
from workbench.bottleneck.ceiling_writers import Reference, writers_of
from workbench.bottleneck.writer_sets import WriterSet
from workbench.experiments.text_bottleneck.number_reader import NumberReader
from workbench.pipeline.store import ROW, Part, StageStore, run_parts


def ablate_in_parts(
    reader: NumberReader,
    stage: StageStore,
    name: str,
    rows: Rows,
    sets: Sequence[WriterSet],
    reference: Reference,
) -> Part:
    """Return the distributions [rows, 1 + sets, values] of questions, without ablation first.

    Args:
        name: what a report of progress calls it.
    """
    trie = reader.context.scale_tokens.trie

    def compute(batch: Rows) -> Part:
        found = ablate_sets(
            reader.at_number(rows[batch], trie),
            writers_of(reader.lm),
            sets,
            reference,
            trie,
            tokens_per_forward=reader.budget,
        )
        return Part(pd.DataFrame({ROW: rows[batch]}), {"distribution": found})

    return run_parts(stage, reader.batches(rows), compute, f"ablating writers: {name}")
