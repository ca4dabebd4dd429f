"""Measure the geometry of a run's directions after every layer, before and after teaching.

One stage a condition. States at the confidence position and probes stand in the run; the model is
needed for its number readouts: the Jacobian's from one pass over some training questions and a
backward of one column for each token that a number can begin with. The stage's table has one row a
layer, quantity and kind of random direction; see :mod:`workbench.bottleneck.geometry` for what is
measured, and what it does not show.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import torch

from workbench import progress
from workbench.arrays import Floats
from workbench.bottleneck.geometry import LayerDirections, Quantity, measure_layer
from workbench.bottleneck.norm_survival import norm_derivative
from workbench.bottleneck.number_readout import (
    first_tokens,
    head_rows,
    high_minus_low,
    jacobian_rows,
    lens_rows,
)
from workbench.experiments.text_bottleneck.lens import model_of
from workbench.experiments.text_bottleneck.read import (
    AT_CONFIDENCE,
    STAGE,
    STAGES_OF,
    penalties_of,
    split_of,
    weights_of,
)
from workbench.loop.confidence import confidence_conversations
from workbench.loop.positions import run_positions
from workbench.loop.questions import spread_rows
from workbench.loop.run import Run
from workbench.pipeline.store import ROW, StageStore
from workbench.probe import confidence_direction

LOGIT_LENS, JACOBIAN = READOUTS = ("logit lens", "Jacobian")
TABLE = "geometry"
DRAWS = 400
LINEARISED_ON, LENS_STATES = 12, 64
"""Questions over which the Jacobian's gradients are means, and the logit lens's and the norm's."""


def geometry_stage(when: str) -> str:
    """Return the name of the stage of a condition."""
    return f"bottleneck_geometry_{when}"


def read_geometry(context: Run, stage: StageStore, *, when: str) -> dict[str, Any]:
    """Measure every layer, and save the table "geometry"."""
    split = split_of(context)
    at = run_positions(context).index("confidence")
    states = context.stage(STAGES_OF[when]).tensors("readings")["states"][:, :, at]
    said = context.stage(STAGES_OF[when]).table("confidence").set_index(ROW)["expected"]
    expected = said.loc[split.train.tolist()].to_numpy(dtype=float)
    read = context.stage(STAGE)
    weights = read.tensors(weights_of(when))[AT_CONFIDENCE].astype(np.float64)
    penalties = read.tensors(penalties_of(when))[AT_CONFIDENCE]
    trie, config = context.scale_tokens.trie, context.config
    tokens, contrast = first_tokens(trie), high_minus_low(trie)
    conversations = confidence_conversations(context)
    linearised = spread_rows(split.train, LINEARISED_ON)
    lensed, normed = (spread_rows(rows, LENS_STATES) for rows in (split.train, split.test))
    tables: list[pd.DataFrame] = []
    with model_of(context, when) as lm:
        jacobian = jacobian_rows(
            lm,
            [conversations[row].tokens for row in linearised],
            tokens,
            tokens_per_forward=config.model.tokens_per_forward,
        )
        final = torch.as_tensor(states[lensed, -1]).to(lm.device, lm.dtype)
        with torch.no_grad():
            head = head_rows(lm, lm.final_norm()(final), tokens)
        for layer in progress.track(range(lm.n_layers), f"comparing directions {when} teaching"):
            here = states[:, layer]
            found = measure_layer(
                LayerDirections(
                    here[split.train],
                    here[split.test],
                    split.questions.training_correct,
                    split.questions.training_domain,
                    weights[layer],
                    float(penalties[layer]),
                    _confidence(here[split.train], expected, config.probe.ridge_penalties),
                    {
                        LOGIT_LENS: lens_rows(lm, torch.as_tensor(here[lensed]), tokens),
                        JACOBIAN: jacobian[layer],
                    },
                    contrast,
                    norm_derivative(lm, torch.as_tensor(here[normed])),
                    head,
                ),
                DRAWS,
                config.seed,
            )
            tables.append(_table(layer, found))
    stage.save_table(TABLE, pd.concat(tables, ignore_index=True))
    return {"tokens": [lm.tokenizer.decode([token]) for token in tokens]}


def geometry_table(context: Run) -> pd.DataFrame:
    """Return the kept tables of both conditions, with the column "condition"."""
    return pd.concat(
        [
            context.stage(geometry_stage(when)).table(TABLE).assign(condition=when)
            for when in STAGES_OF
        ],
        ignore_index=True,
    )


def _confidence(states: Floats, expected: Floats, penalties: Any) -> Floats:
    """Return the filter of expected confidence, zero where it is the same for all questions."""
    if np.nanmax(expected) == np.nanmin(expected):
        return np.zeros(states.shape[1])
    return confidence_direction(states, expected, penalties).weights


def _table(layer: int, found: list[Quantity]) -> pd.DataFrame:
    return pd.DataFrame(
        [
            {
                "layer": layer,
                "quantity": each.name,
                "direction": each.direction,
                "form": each.form,
                "space": each.space,
                "readout": each.readout,
                "value": each.value,
                "random": kind,
                "random_low": span.low,
                "random_high": span.high,
                "p": span.p,
            }
            for each in found
            for kind, span in each.random.items()
        ]
    )
