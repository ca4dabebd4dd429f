"""Measure the geometry of a run's directions after every layer.

One stage a condition. States at the confidence position and probes stand in the run; the model is
needed for its number readouts: the Jacobian's from one pass over some training questions and a
backward of one column for each token that a number can begin with. The stage's table has one row a
layer, quantity and kind of random direction; see :mod:`workbench.bottleneck.geometry` for what is
measured, and what it does not show.
"""

from __future__ import annotations

from collections.abc import Sequence
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
from workbench.experiments.text_bottleneck.conditions import ModelCondition, model_in
from workbench.experiments.text_bottleneck.read import (
    AT_CONFIDENCE,
    PROBES,
    split_of,
    steps_stage,
    vectors_at,
)
from workbench.loop.confidence import confidence_conversations
from workbench.loop.questions import spread_rows
from workbench.loop.run import Run
from workbench.pipeline.store import ROW, StageStore
from workbench.probe import confidence_direction

LOGIT_LENS, JACOBIAN = READOUTS = ("logit lens", "Jacobian")
TABLE = "geometry"
DRAWS = 200
LINEARISED_ON, LENS_STATES = 12, 64
"""Questions over which the Jacobian's gradients are means, and the logit lens's and the norm's."""


def geometry_stage(name: str) -> str:
    """Return the name of the stage of a condition."""
    return f"bottleneck_geometry_{name}"


def read_geometry(context: Run, stage: StageStore, *, condition: ModelCondition) -> dict[str, Any]:
    """Measure every layer, and save the table "geometry"."""
    split = split_of(context, condition)
    states = vectors_at(context, condition, AT_CONFIDENCE)
    training, held_out = states.of(split.train), states.of(split.test)
    said = context.stage(condition.readings).table("confidence").set_index(ROW)["expected"]
    expected = said.loc[split.train.tolist()].to_numpy(dtype=float)
    probes = context.stage(steps_stage(condition.name)).tensors(PROBES)
    weights = probes["weights"].astype(np.float64)
    trie, config = context.scale_tokens.trie, context.config
    tokens, contrast = first_tokens(trie), high_minus_low(trie)
    conversations = confidence_conversations(context)
    linearised = spread_rows(split.train, LINEARISED_ON)
    lensed, normed = (
        torch.as_tensor(np.asarray(each[spread_rows(np.arange(len(each)), LENS_STATES)]))
        for each in (training, held_out)
    )
    tables: list[pd.DataFrame] = []
    with model_in(context, condition) as lm:
        jacobian = jacobian_rows(
            lm,
            [conversations[row].tokens for row in linearised],
            tokens,
            tokens_per_forward=config.model.tokens_per_forward,
        )
        final = lensed[:, -1].to(lm.device, lm.dtype)
        with torch.no_grad():
            head = head_rows(lm, lm.final_norm()(final), tokens)
        for layer in progress.track(range(lm.n_layers), f"comparing directions {condition.label}"):
            known = np.asarray(training[:, layer], dtype=np.float64)
            found = measure_layer(
                LayerDirections(
                    known,
                    np.asarray(held_out[:, layer], dtype=np.float64),
                    split.questions.training_correct,
                    split.questions.training_domain,
                    weights[layer],
                    float(probes["inverse_penalties"][layer]),
                    _confidence(known, expected, config.probe.ridge_penalties),
                    {
                        LOGIT_LENS: lens_rows(lm, lensed[:, layer], tokens),
                        JACOBIAN: jacobian[layer],
                    },
                    contrast,
                    norm_derivative(lm, normed[:, layer]),
                    head,
                ),
                DRAWS,
                config.seed,
            )
            tables.append(_table(layer, found))
    stage.save_table(TABLE, pd.concat(tables, ignore_index=True))
    return {"tokens": [lm.tokenizer.decode([token]) for token in tokens]}


def geometry_table(context: Run, conditions: Sequence[ModelCondition]) -> pd.DataFrame:
    """Return the kept tables of the ``conditions``, with their names as the column "condition"."""
    return pd.concat(
        [
            context.stage(geometry_stage(each.name)).table(TABLE).assign(condition=each.name)
            for each in conditions
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
