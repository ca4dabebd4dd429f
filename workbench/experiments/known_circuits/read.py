"""Patch a task's pairs and estimate the same from gradients: the bodies of the stages.

Both directions are patched: the donor's states into the prompt, and the prompt's into the donor.
Read is the same in both, positive for the prompt's own answer. Each has its controls
(:mod:`workbench.api.conditions`) and, over the same cells, the gradient's estimate. Single heads
are patched truly at the last token, every one; at the other places they are estimated, and the
largest and some random ones of all are patched to say how far to trust that.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from torch import Tensor

from workbench.api.attribution import attribute
from workbench.api.examples import LAST, CircuitPairs
from workbench.api.patching import patch_map
from workbench.api.prompts import encode_prompts
from workbench.experiments.known_circuits.maps import save_map
from workbench.experiments.known_circuits.tasks import TASKS, Task
from workbench.loop.run import Run
from workbench.models import LanguageModel
from workbench.patch.controls import control_layers
from workbench.patch.inputs import ModelInputs, Reading
from workbench.patch.metrics import Metric
from workbench.patch.verification import Check
from workbench.pipeline.store import StageStore

INTO_PROMPT, INTO_DONOR = "donor_into_prompt", "prompt_into_donor"
DIRECTIONS = (INTO_PROMPT, INTO_DONOR)
BEHAVIOUR = "behaviour"
PATCHED, ESTIMATED, HEADS, ESTIMATED_HEADS = "patched", "estimated", "heads", "estimated_heads"
_SURE = 1e9
"""A logit so high that its token has all the probability."""


def read_behaviour(context: Run, stage: StageStore, *, task: str, pairs: int) -> dict[str, Any]:
    """Run prompts and donors unpatched: the table ``pairs`` with their texts, what was most likely
    to come next, and whether that is right.
    """
    lm, drawn = context.lm, _drawn(context, task, pairs)
    budget = context.config.model.tokens_per_forward
    table = pd.DataFrame({"prompt": drawn.prompts, "donor": drawn.donors})
    for name, texts in (("prompt", drawn.prompts), ("donor", drawn.donors)):
        tokens = _most_likely(lm, texts, budget)
        table[f"{name}_next"] = [lm.tokenizer.decode([token]) for token in tokens]
        table[f"{name}_right"] = _right(lm, drawn, tokens, name)
    stage.save_table("pairs", table)
    return {"precision": context.lm.precision, "layers": context.lm.n_layers}


def read_direction(
    context: Run, stage: StageStore, *, task: str, pairs: int, layers: int, direction: str
) -> dict[str, Any]:
    """Patch layer by place in one direction and estimate the same cells."""
    lm, drawn = context.lm, _drawn(context, task, pairs)
    pair = drawn if direction == INTO_PROMPT else drawn.exchanged
    prompts, donors = list(pair.prompts), list(pair.donors)
    chosen = control_layers(range(lm.n_layers), layers)
    budget, seed = context.config.model.tokens_per_forward, context.config.seed
    patched = patch_map(
        lm,
        prompts,
        donors,
        read=pair.read,
        at=pair.at,
        layers=chosen,
        tokens_per_forward=budget,
        seed=seed,
    )
    estimated = attribute(
        lm,
        prompts,
        donors,
        read=pair.read,
        at=pair.at,
        layers=chosen,
        check=Check(cells=1, seed=seed, resamples=1),
        tokens_per_forward=budget,
    )
    return {
        PATCHED: save_map(stage, PATCHED, patched),
        ESTIMATED: save_map(stage, ESTIMATED, estimated),
    }


def read_heads(context: Run, stage: StageStore, *, task: str, pairs: int) -> dict[str, Any]:
    """Patch every single head at the last token, and estimate those of every place named; the
    table ``verified`` says what true patches of some say about the estimates.
    """
    lm, drawn = context.lm, _drawn(context, task, pairs)
    prompts, donors = list(drawn.prompts), list(drawn.donors)
    config, row = context.config, TASKS[task]
    patched = patch_map(
        lm,
        prompts,
        donors,
        read=drawn.read,
        over=("layer", "head"),
        at={LAST: drawn.at[LAST]},
        tokens_per_forward=config.model.tokens_per_forward,
        seed=config.seed,
    )
    estimated = attribute(
        lm,
        prompts,
        donors,
        read=drawn.read,
        at={place: drawn.at[place] for place in row.heads},
        component="heads",
        check=Check(seed=config.seed, resamples=config.bootstrap_resamples),
        tokens_per_forward=config.model.tokens_per_forward,
    )
    stage.save_table("verified", estimated.verification.table())
    return {
        HEADS: save_map(stage, HEADS, patched),
        ESTIMATED_HEADS: save_map(stage, ESTIMATED_HEADS, estimated),
    }


def _drawn(context: Run, task: str, pairs: int) -> CircuitPairs:
    row: Task = TASKS[task]
    return row.draw(context.lm.tokenizer, pairs, context.config.seed)


def _most_likely(lm: LanguageModel, texts: tuple[str, ...], budget: int) -> list[int]:
    def highest(logits: Tensor) -> Tensor:
        return logits.argmax(dim=-1).double()

    rows = encode_prompts(lm, list(texts)).rows
    found = Reading(Metric(highest), budget).unpatched(ModelInputs(lm, rows))
    return [int(token) for token in found.tolist()]


def _right(lm: LanguageModel, drawn: CircuitPairs, tokens: list[int], name: str) -> list[bool]:
    """Return whether the next token is the text's own answer; for a readout that is no pair of
    answers, whether it reads above zero for a prompt, below for a donor.
    """
    if callable(drawn.read):
        logits = np.zeros((len(tokens), int(lm.config.vocab_size)), dtype=np.float32)
        logits[np.arange(len(tokens)), tokens] = _SURE
        readings = drawn.read(Tensor(logits))
        return [bool(right) for right in (readings > 0 if name == "prompt" else readings < 0)]
    side = 0 if name == "prompt" else 1
    answers = [
        lm.tokenizer(pair[side], add_special_tokens=False)["input_ids"] for pair in drawn.read
    ]
    return [[token] == list(answer) for token, answer in zip(tokens, answers, strict=True)]
