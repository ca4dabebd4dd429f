"""Train in two stages: first to use the whole scale, then to hit the targets (the published remedy
where the text stays at 97-98 %).

A model that states one value for everything first learns to use the whole scale, on one pass over
as many examples as there are, drawn evenly over tenths of the target; the adapter then goes on with
all examples as they are. Both stages train on the examples that the plan makes of a job. Source:
PT-CSFT, 58 steps of balanced confidence-only examples before the probe targets of a 70B model.

The result does not show whether a longer second stage alone would have done as well; compare at
equal ``training.tokens``.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from workbench.teach.adapter import remove_adapter
from workbench.teach.recipes.recipe import train_on_examples
from workbench.teach.target_trainer import TOKENS
from workbench.teach.training_job import Objective, TrainFn, TrainingJob, TrainingResult

BINS = 10
FIRST = "first"


def train_with_curriculum(plan: Callable[[TrainingJob], Objective]) -> TrainFn:
    """Return a training function that trains on a balanced draw of the examples and then, from that
    adapter, on all of them.
    """

    def teacher(job: TrainingJob) -> TrainingResult:
        balanced = replace(
            job.at(evenly_drawn(job.targets, job.seed)),
            settings=job.settings.model_copy(update={"epochs": 1}),
            folder=job.folder / FIRST,
            description=f"{job.description}, balanced first",
        )
        first = train_on_examples(plan)(balanced)
        remove_adapter(first.lm)
        second = train_on_examples(plan, start=balanced.folder / "adapter")(job)
        before = {name: first.log[-1][name] for name in ("step", TOKENS)}
        log = [
            *first.log,
            *(
                {**row, **{name: row[name] + past for name, past in before.items()}}
                for row in second.log
            ),
        ]
        return replace(second, log=log, tokens=first.tokens + second.tokens)

    return teacher


def evenly_drawn(targets: NDArray[np.float64], seed: int) -> NDArray[np.int64]:
    """Draw as many numbers of ``targets`` [n] as there are, equally from each tenth of the scale
    that has any, in random order.

    Within a tenth, examples come equally often, or once more than others; tenths without an example
    are left out.
    """
    rng = np.random.default_rng(seed)
    tenth = np.minimum((targets * BINS).astype(np.int64), BINS - 1)
    bins = [rng.permutation(np.flatnonzero(tenth == each)) for each in np.unique(tenth)]
    rounds = -(-len(targets) // len(bins))
    drawn = np.stack([np.resize(members, rounds) for members in bins], axis=1)
    for row in drawn:
        rng.shuffle(row)
    return rng.permutation(drawn.ravel()[: len(targets)])
