"""Read the scale's distribution after every layer of a run's model in a condition.

One stage a condition. A tuned lens and a Jacobian lens are fitted on some training questions and
kept; then they and the logit lens read some training questions and every held-out one, in one
packed pass a batch. After a kill the batches that were done are read back.

Two scores of each held-out question at each layer are kept: the mean of the distribution that a
lens reads, and the best reading of all its values, fitted on the training questions. How far each
lens is from the model (:mod:`workbench.bottleneck.lens_divergence`) is measured on those training
questions that chose the tuned lens's penalty and that neither map was fitted on.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from torch import Tensor

from workbench import progress
from workbench.arrays import Rows
from workbench.bottleneck.jacobian_lens import KIND as JACOBIAN
from workbench.bottleneck.jacobian_lens import JacobianLens, fit_jacobian_lens, why_no_gradients
from workbench.bottleneck.lens_divergence import divergence_by_layer
from workbench.bottleneck.readings import read_best
from workbench.bottleneck.scale_lens import Lens, LensTokens, LogitLens, choose_tokens, read_layers
from workbench.bottleneck.tuned_lens import KIND as TUNED
from workbench.bottleneck.tuned_lens import choosing_rows, fit_tuned_lens
from workbench.elicit.readout import expected_confidence
from workbench.experiments.text_bottleneck.conditions import ModelCondition, model_in
from workbench.experiments.text_bottleneck.lens_inputs import LensInputs, lens_inputs
from workbench.experiments.text_bottleneck.read import Split, split_of
from workbench.loop.probes import probe_settings
from workbench.loop.questions import spread_rows
from workbench.loop.run import Run
from workbench.models import LanguageModel
from workbench.pipeline.store import ROW, Part, StageStore, run_parts
from workbench.trace.batches import plan_batches
from workbench.trace.prompt_cache import CachedPrompts

LOGIT = "logit"
LENSES = (LOGIT, TUNED, JACOBIAN)
JACOBIAN_ON = 4
"""Questions that a Jacobian lens is fitted on. On the default model 2 to 76 of them gave the same
divergence, to a few hundredths of it.
"""
SCORES = "scores"
MEAN, BEST = "mean", "best"


def lens_stage(when: str) -> str:
    """Return the name of the stage of a condition."""
    return f"bottleneck_lens_{when}"


def lens_file(kind: str) -> str:
    """Return the name of a fitted lens's file in its stage's folder."""
    return f"{kind.lower()}_lens.safetensors"


def read_lenses(
    context: Run, stage: StageStore, *, condition: ModelCondition, training_questions: int
) -> dict[str, Any]:
    """Fit and keep the condition's lenses, and save the scores [held-out, layers] of what all of
    them read.
    """
    split = split_of(context)
    with model_in(context, condition) as lm:
        inputs = lens_inputs(context, lm, split, training_questions)
        states = inputs.states(lm, inputs.fitted)
        chosen = choose_tokens(lm, states[:, -1], inputs.trie)
        tuned = fit_tuned_lens(lm, states, chosen)
        jacobian = _fit_jacobian(lm, inputs, chosen)
        lenses: dict[str, Lens] = {LOGIT: LogitLens(), TUNED: tuned}
        if jacobian is not None:
            lenses[JACOBIAN] = jacobian
        divergence = _divergence(lm, lenses, states, chosen)
        del states

        def compute(batch: Rows) -> Part:
            read = read_layers(lm, inputs.some(batch), chosen, lenses, inputs.kept(batch))
            tensors = {name: found.astype(np.float32) for name, found in read.items()}
            return Part(pd.DataFrame({ROW: inputs.rows[batch]}), tensors)

        lengths = [len(prompt) for prompt in inputs.prompts]
        batches = plan_batches(lengths, inputs.budget, inputs.trie.tree.size)
        part = run_parts(stage, batches, compute, f"reading every layer {condition.label}")
    tuned.save(stage.folder / lens_file(TUNED))
    if jacobian is not None:
        jacobian.save(stage.folder / lens_file(JACOBIAN))
    stage.save_tensors(SCORES, _scores(context, split, part))
    return {
        "closing": [context.lm.tokenizer.decode([token]) for token in chosen.closing],
        "divergence": {name: each.tolist() for name, each in divergence.items()},
        "fitted_on": len(inputs.fitted),
    }


def _fit_jacobian(lm: LanguageModel, inputs: LensInputs, chosen: LensTokens) -> JacobianLens | None:
    """Fit the Jacobian lens on questions that do not choose the tuned lens's penalty; None for a
    model that it cannot be fitted on.
    """
    if why_no_gradients(lm):
        return None
    held = choosing_rows(len(inputs.fitted)).numpy()
    places = spread_rows(inputs.fitted[~held], JACOBIAN_ON)

    def kept(batch: Rows) -> CachedPrompts:
        found = inputs.kept(places[batch])
        assert found is not None
        return found

    return fit_jacobian_lens(
        lm,
        inputs.some(places),
        chosen,
        tokens_per_forward=inputs.budget,
        beginnings=None if inputs.beginnings is None else kept,
    )


def _divergence(
    lm: LanguageModel, lenses: Mapping[str, Lens], states: Tensor, chosen: LensTokens
) -> dict[str, Tensor]:
    held = states[choosing_rows(len(states))]
    return {name: divergence_by_layer(lm, lens, held, chosen) for name, lens in lenses.items()}


def _scores(context: Run, split: Split, part: Part) -> dict[str, NDArray[np.floating]]:
    """Return the mean and the best reading, [held-out, layers], of every lens."""
    place = {int(row): at for at, row in enumerate(part.table[ROW])}
    test = [place[row] for row in split.test.tolist()]
    known = [row for row in split.train.tolist() if row in place]
    right = split.questions.training_correct[np.isin(split.train, known)]
    scale = context.fmt.scale
    out: dict[str, NDArray[np.floating]] = {}
    for name in progress.track(list(part.tensors), "reading numbers by layer"):
        read = part.tensors[name].astype(np.float64)
        p = np.exp(read[test])
        out[f"{name}.{MEAN}"] = expected_confidence(p, scale.values, scale.certain)
        training = read[[place[row] for row in known]]
        best = read_best(name, training, right, read[test], probe_settings(context))
        out[f"{name}.{BEST}"] = best.by_layer
    return out
