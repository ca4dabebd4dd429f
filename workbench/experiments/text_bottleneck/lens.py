"""Read the scale's distribution after every layer of a run's model in a condition.

One stage a condition. A tuned lens is fitted on some training questions' states and kept; then the
logit lens and the tuned one read some training questions and every held-out one, in one packed pass
a batch. After a kill the batches that were done are read back.

Two scores of each held-out question at each layer are kept: the mean of the distribution that a
lens reads, and the best reading of all its values, fitted on the training questions.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray

from workbench import progress
from workbench.arrays import Rows
from workbench.bottleneck.readings import read_best
from workbench.bottleneck.scale_lens import (
    Lens,
    LogitLens,
    choose_tokens,
    node_states,
    read_layers,
)
from workbench.bottleneck.tuned_lens import fit_tuned_lens
from workbench.elicit.readout import expected_confidence
from workbench.elicit.trie import ScaleTrie
from workbench.experiments.text_bottleneck.conditions import ModelCondition, model_in
from workbench.experiments.text_bottleneck.read import Split, split_of
from workbench.loop.confidence import confidence_conversations
from workbench.loop.probes import probe_settings
from workbench.loop.questions import spread_rows
from workbench.loop.run import Run
from workbench.models import LanguageModel
from workbench.pipeline.store import ROW, Part, StageStore, run_parts
from workbench.trace.batches import map_batches, plan_batches

LENSES = ("logit", "tuned")
FITTED_ON = 96
FIT_BYTES = 2**29
"""The most that the states a tuned lens is fitted on take; fewer questions are used for it."""
LENS, SCORES = "lens.safetensors", "scores"
MEAN, BEST = "mean", "best"


def lens_stage(when: str) -> str:
    """Return the name of the stage of a condition."""
    return f"bottleneck_lens_{when}"


def read_lenses(
    context: Run, stage: StageStore, *, condition: ModelCondition, training_questions: int
) -> dict[str, Any]:
    """Fit and keep the condition's tuned lens, and save the scores [held-out, layers] of what both
    lenses read.
    """
    split = split_of(context)
    budget, trie = context.config.model.tokens_per_forward, context.scale_tokens.trie
    prompts = [conversation.tokens for conversation in confidence_conversations(context)]
    rows = np.sort(np.r_[spread_rows(split.train, training_questions), split.test])
    with model_in(context, condition) as lm:
        fitted = spread_rows(split.train, _fit_count(lm, context))
        states = _states(lm, [prompts[row] for row in fitted], trie, budget)
        chosen = choose_tokens(lm, states[:, -1], trie)
        tuned = fit_tuned_lens(lm, states, chosen)
        lenses: dict[str, Lens] = {"logit": LogitLens(), "tuned": tuned}

        def compute(batch: Rows) -> Part:
            read = read_layers(lm, [prompts[row] for row in rows[batch]], chosen, lenses)
            tensors = {name: found.astype(np.float32) for name, found in read.items()}
            return Part(pd.DataFrame({ROW: rows[batch]}), tensors)

        lengths = [len(prompts[row]) for row in rows]
        batches = plan_batches(lengths, budget, trie.tree.size)
        part = run_parts(stage, batches, compute, f"reading every layer {condition.label}")
    tuned.save(stage.folder / LENS)
    stage.save_tensors(SCORES, _scores(context, split, part))
    return {
        "closing": [context.lm.tokenizer.decode([token]) for token in chosen.closing],
        "divergence": [float(each) for each in tuned.divergence],
        "fitted_on": len(fitted),
    }


def _scores(context: Run, split: Split, part: Part) -> dict[str, NDArray[np.floating]]:
    """Return the mean and the best reading, [held-out, layers], of every lens."""
    place = {int(row): at for at, row in enumerate(part.table[ROW])}
    test = [place[row] for row in split.test.tolist()]
    known = [row for row in split.train.tolist() if row in place]
    right = split.questions.training_correct[np.isin(split.train, known)]
    scale = context.fmt.scale
    out: dict[str, NDArray[np.floating]] = {}
    for name in progress.track(LENSES, "reading numbers by layer"):
        read = part.tensors[name].astype(np.float64)
        p = np.exp(read[test])
        out[f"{name}.{MEAN}"] = expected_confidence(p, scale.values, scale.certain)
        training = read[[place[row] for row in known]]
        best = read_best(name, training, right, read[test], probe_settings(context))
        out[f"{name}.{BEST}"] = best.by_layer
    return out


def _fit_count(lm: LanguageModel, context: Run) -> int:
    nodes = context.scale_tokens.trie.tree.size + 1
    return max(8, min(FITTED_ON, FIT_BYTES // (lm.n_layers * nodes * lm.width * 4)))


def _states(
    lm: LanguageModel, prompts: list[tuple[int, ...]], trie: ScaleTrie, budget: int
) -> torch.Tensor:
    lengths = [len(prompt) for prompt in prompts]
    return map_batches(
        lengths,
        budget,
        lambda rows: node_states(lm, [prompts[row] for row in rows], trie).float().cpu(),
        trie.tree.size,
        description="recording states for the tuned lens",
    )
