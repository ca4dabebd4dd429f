"""Read a run's held-out questions with edges cut, states noised and states swapped: one stage a
condition of the model.

Everything that a claim reads is in the table ``readings``: expected confidence of each question, a
column a cut or swap. Cuts by windows of layers are the tensor ``windows``. The base model also gets
the map of swaps over layers and parts of the conversation. In the taught model a branch that starts
before the tokens its adapter acts on takes a forward of its own, so windows are cut at the number
alone and no map is made.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
import torch

from workbench.arrays import Floats, Rows
from workbench.elicit.segments import AFTER_ANSWER as AFTER
from workbench.elicit.segments import ANSWER, CONFIDENCE, Segment
from workbench.experiments.finished_run import model_in_condition
from workbench.experiments.gathered_confidence.cut_edges import (
    BY_WINDOW,
    RANDOM_DRAWS,
    edge_sets,
    of_rows,
    whole_branches,
    window_cuts,
    windows_of,
)
from workbench.experiments.patching_maps.items import PatchingItems, patching_items
from workbench.experiments.patching_maps.maps import (
    layer_bands,
    patched_readouts,
    patching_map,
    random_token,
    readouts,
    spaced_layers,
)
from workbench.loop.run import Run
from workbench.mechanisms.record import BASE
from workbench.mechanisms.works.gathered_measures import (
    AFTER_ANSWER,
    NOISED,
    NOISED_OTHER,
    RANDOM_LAYERS,
    SWAP_AFTER,
    SWAP_ANSWER,
    SWAP_EARLY,
    SWAP_MIDDLE,
    SWAP_OTHER,
)
from workbench.models import LanguageModel
from workbench.patch.ablation_values import matched_noise
from workbench.patch.branches import Cell, cell_branches, layer_sites
from workbench.patch.effect_map import Axis
from workbench.patch.inputs import DonorPairs, ModelInputs
from workbench.patch.segments import align, pair_half_ranks_apart
from workbench.pipeline.store import ROW, Part, StageStore, run_parts
from workbench.trace.record import record

READINGS, WINDOWS, MAP = "readings", "windows", "map"
STATED, PARTNER = "stated", "partner"
OTHER_TOKEN = "random token of the turn"


def read_condition(
    run: Run,
    stage: StageStore,
    *,
    condition: str,
    n_questions: int,
    windows: int,
    map_questions: int,
    layers: int,
) -> dict[str, Any]:
    """Read every cut and swap of one condition of the model, and save them."""
    base = condition == BASE
    with model_in_condition(run, condition) as lm:
        held = patching_items(run, lm, n_questions)
        inputs, seed = held.after, run.config.seed
        stated = readouts(stage, inputs, held.reading, held.batches, "stated confidence")
        partner = pair_half_ranks_apart(stated)
        pairs = DonorPairs(inputs, inputs, partner, stated, held.batches, held.reading)
        sets = edge_sets(held, seed)
        table = {ROW: held.rows, STATED: stated, PARTNER: partner}
        whole = whole_branches(sets, lm.n_layers, seed)
        table |= _cut(stage, held, inputs, whole, "edges cut")
        drawn = [table.pop(f"{RANDOM_LAYERS} {draw}") for draw in range(RANDOM_DRAWS)]
        table[RANDOM_LAYERS] = np.mean(drawn, axis=0)
        other = random_token(held.after_answer_parts, OTHER_TOKEN, seed)
        table |= _swapped(stage, pairs, held, other, lm.n_layers)
        table |= _noised(stage, pairs, held, other, lm.n_layers, seed)
        chosen = windows_of(lm.n_layers, windows)
        names = [name for name in BY_WINDOW if base or name != AFTER_ANSWER]
        by_window = _cut(stage, held, inputs, window_cuts(sets, names, chosen), "windows cut")
        stage.save_tensors(WINDOWS, {WINDOWS: np.stack([*by_window.values()], axis=1)})
        stage.save_table(READINGS, pd.DataFrame(table))
        facts = {
            "cuts": [*by_window],
            "firsts": [window[0] for window in chosen],
            "width": len(chosen[0]),
            "own_states": _floor(stage, pairs, held),
            "precision": lm.precision,
        }
        return facts | (_mapped(run, stage, lm, map_questions, layers) if base else {})


def _cut(
    stage: StageStore,
    held: PatchingItems,
    inputs: ModelInputs,
    branches: dict[str, Any],
    description: str,
) -> dict[str, Floats]:
    """Return the reading of every item under each branch, by name."""

    def compute(rows: Rows) -> Part:
        out = held.reading.values(inputs.of_rows(rows), of_rows(branches, rows.tolist()))
        patched = out.patched.double().cpu().numpy()
        return Part(pd.DataFrame({ROW: rows}), {"patched": patched})

    found = run_parts(stage, held.batches, compute, description).tensors["patched"]
    return {name: found[:, at] for at, name in enumerate(branches)}


def _swapped(
    stage: StageStore, pairs: DonorPairs, held: PatchingItems, other: Segment, n_layers: int
) -> dict[str, Floats]:
    bands = layer_bands(n_layers)
    cells = {
        SWAP_AFTER: ("all", held.part(AFTER)),
        SWAP_ANSWER: ("all", held.part(ANSWER)),
        SWAP_OTHER: ("all", other),
        SWAP_EARLY: ("early", held.part(CONFIDENCE)),
        SWAP_MIDDLE: ("middle", held.part(CONFIDENCE)),
    }
    made = [Cell(tuple(layer_sites(bands[band])), (part,)) for band, part in cells.values()]
    _, patched = patched_readouts(stage, pairs, made, "states swapped")
    return {name: patched[:, at] for at, name in enumerate(cells)}


def _noised(
    stage: StageStore,
    pairs: DonorPairs,
    held: PatchingItems,
    other: Segment,
    n_layers: int,
    seed: int,
) -> dict[str, Floats]:
    """Return readings with noise as long as the difference to the partner's state, in all layers at
    the first token after the answer and at another.
    """
    sites = layer_sites(range(n_layers))

    def compute(rows: Rows) -> Part:
        branches = []
        for part in (held.part(AFTER), other):
            here, there = align(part, rows, pairs.partner)
            with pairs.base.within():
                own, theirs = (
                    record(
                        pairs.base.lm,
                        [pairs.base.prompts[item] for item in items],
                        at.tolist(),
                        sites,
                    )
                    for items, at in ((rows, here), (pairs.partner[rows], there))
                )
            noise = torch.cat(
                [
                    matched_noise(mine, its, seed + int(row))[None]
                    for row, mine, its in zip(rows, own, theirs, strict=True)
                ]
            )
            branches += cell_branches([Cell(tuple(sites), (0,))], here, noise)
        out = held.reading.values(pairs.base.of_rows(rows), branches)
        patched = out.patched.double().cpu().numpy()
        return Part(pd.DataFrame({ROW: rows}), {"patched": patched})

    found = run_parts(stage, held.batches, compute, "states noised").tensors["patched"]
    return {NOISED: found[:, 0], NOISED_OTHER: found[:, 1]}


def _floor(stage: StageStore, pairs: DonorPairs, held: PatchingItems) -> float:
    """Return the largest move of a reading by the question's own states, as arithmetic alone
    makes.
    """
    cell = Cell((layer_sites([held.after.lm.n_layers // 2])[0],), (held.part(AFTER),))
    base, own = patched_readouts(stage, pairs.own, [cell], "own states")
    return float(np.abs(own - base[:, None]).max())


def _mapped(
    run: Run, stage: StageStore, lm: LanguageModel, items: int, layers: int
) -> dict[str, Any]:
    """Make the base model's map of swaps on ``items`` questions, paired among themselves: a map
    costs as much as all cuts together.
    """
    held = patching_items(run, lm, items)
    stated = readouts(stage, held.after, held.reading, held.batches, "confidence of the map")
    partner = pair_half_ranks_apart(stated)
    pairs = DonorPairs(held.after, held.after, partner, stated, held.batches, held.reading)
    other = random_token(held.after_answer_parts, OTHER_TOKEN, run.config.seed)
    chosen: Sequence[int] = spaced_layers(lm.n_layers, layers)
    axes = (
        Axis("layer", tuple(chosen)),
        Axis("part", tuple(part.name for part in held.parts)),
    )
    found = patching_map(stage, pairs, layer_sites(chosen), held.parts, axes, "map", other)
    effects = found.effects
    stage.save_tensors(
        MAP,
        {
            "base": effects.base,
            "donor": effects.donor,
            "patched": effects.patched,
            "own": found.own,
            "control_token": found.control_token,
        },
    )
    return {"axes": [[axis.name, list(axis.labels)] for axis in axes]}
