"""Search the subspaces after one layer in one condition of the model, swap them and take them out:
one stage.

Its tables ``swaps`` and ``removals`` hold all measures, its tensors ``bases`` the directions, so
that they can be swapped elsewhere. Seeds change where a search begins, the donors of every step and
of the held-out questions, and what is drawn for the placebos; the questions stay.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pandas as pd

from workbench.experiments.finished_run import model_in_condition
from workbench.experiments.learned_subspaces.items import choose_sides, metric_of, variables_of
from workbench.experiments.learned_subspaces.results import (
    LayerSubspaces,
    SearchedSubspace,
    save_layer,
)
from workbench.loop.run import Run
from workbench.models.random_weights import random_like
from workbench.patch.inputs import Reading
from workbench.pipeline.store import StageStore
from workbench.subspaces.find import find_subspaces
from workbench.subspaces.removal import HeldOutAnswers, measure_removals
from workbench.subspaces.rotation import Boundless
from workbench.subspaces.search import SearchSettings


def search_layer(
    run: Run,
    stage: StageStore,
    *,
    condition: str,
    layer: int,
    variable: str,
    ranks: Sequence[int],
    boundless: bool,
    n_train: int,
    n_held_out: int,
    seeds: int,
    epochs: int,
    rate: float,
    tokens_per_forward: int,
) -> dict[str, Any]:
    """Search subspaces of every rank after ``layer``, and save what swapping them and taking them
    out does.
    """
    sides = choose_sides(run, n_train, n_held_out)
    metric, seed = metric_of(run), run.config.seed
    resamples = run.config.bootstrap_resamples
    answers = HeldOutAnswers(sides.held_out.correct, sides.held_out.domain)
    searched: list[SearchedSubspace] = []
    with model_in_condition(run, condition) as lm:
        prompts = sides.prompts(lm)
        own, other = variables_of(
            variable, sides, prompts, Reading(metric, tokens_per_forward), seed
        )
        wanted: list[int | Boundless] = [rank for rank in ranks if rank <= lm.width]
        if boundless:
            wanted.append(replace(Boundless(), most=min(Boundless().most, lm.width)))
        for at in range(seeds):
            found = find_subspaces(
                prompts,
                sides.prompts(random_like(lm, seed + at)),
                metric,
                own,
                other,
                layer,
                wanted,
                settings=SearchSettings(epochs, rate, seed + at),
                tokens_per_forward=tokens_per_forward,
                resamples=resamples,
            )
            removals = measure_removals(
                prompts,
                metric,
                layer,
                [each.subspace for each in found],
                answers,
                tokens_per_forward=tokens_per_forward,
                resamples=resamples,
                seed=seed + at,
            )
            searched += [
                SearchedSubspace(seed + at, each, removal)
                for each, removal in zip(found, removals, strict=True)
            ]
        precision = lm.precision
    save_layer(stage, LayerSubspaces(condition, layer, tuple(searched)))
    questions = [
        {"row": int(row), "split": split}
        for split, side in (("train", sides.train), ("test", sides.held_out))
        for row in side.rows
    ]
    stage.save_table("questions", pd.DataFrame(questions))
    return {
        "precision": precision,
        "trained": len(sides.train.rows),
        "held_out": len(sides.held_out.rows),
    }
