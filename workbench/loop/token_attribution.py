"""Run the stage that attributes the expected confidence to the tokens of the patched questions'
conversations, of the base model and of the taught one.

A token's score is the first-order estimate of what the expected confidence would lose if another
token of the training conversations, of none that only mark turns, stood in its place
(:mod:`workbench.patch.token_attribution`), the mean over :data:`DRAWS` of them. Tokens of some
questions are truly replaced, and the rank agreement of estimates and true losses of the same
replacements is kept beside the scores: where it is low, the colours on the page rank nothing.

The stage's share of the run is bounded by ``attribution.share``, in tokens times layers as in
:mod:`workbench.loop.patched_items`. A model whose passes cannot be differentiated here (read layer
by layer, or split into tensors over processes) has no attribution, and the stage says why.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import nullcontext
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from workbench.compat_processes import process_count
from workbench.elicit.conversation import Conversation
from workbench.loop.confidence import confidence_conversations
from workbench.loop.patched_items import work_before
from workbench.loop.questions import load_questions
from workbench.loop.run import Run
from workbench.models import LanguageModel
from workbench.models.adapter_switch import adapter_off
from workbench.models.dispatch import keeps_weights_away
from workbench.patch.inputs import ModelInputs
from workbench.patch.metrics import Metric, expected_confidence_of
from workbench.patch.token_attribution import attribute_tokens, replaced_values
from workbench.patch.verification import compare
from workbench.pipeline.store import ROW, Part, StageStore, run_parts
from workbench.stream.model import stream_of
from workbench.trace.batches import plan_batches

BASE, TAUGHT = "base", "taught"
MODELS = (BASE, TAUGHT)
DRAWS = 8
"""Replacements that a token's score is the mean over."""
CHECKED_QUESTIONS, CHECKED_TOKENS = 16, 2
"""Questions of which tokens are truly replaced, and how many tokens of each."""
GRADIENT_SHARE = 16
"""A pass with gradients keeps its activations, so it has so many times fewer tokens."""


def attribute(context: Run, stage: StageStore) -> dict[str, Any]:
    """Attribute the confidence of base and taught model to tokens, and save the tensors
    "attribution" ([questions, longest] by model, NaN after a conversation's end) with the tables
    "attributed" (row, and the confidence by model) and "replaced" (row, model, position, estimate,
    effect).
    """
    everyone = confidence_conversations(context)
    rows = attributed_rows(context, everyone)
    why_not = no_gradients_reason(context.lm)
    if why_not or not len(rows):
        return {"items": 0, "why_not": why_not or "attribution.share leaves room for none"}
    drawn = draw_replacements(context, everyone, rows)
    lengths = [len(everyone[row].tokens) for row in rows]
    batches = plan_batches(lengths, gradient_tokens(context), context.scale_tokens.trie.tree.size)
    scores: dict[str, NDArray[Any]] = {}
    values, tables = {}, []
    facts: dict[str, Any] = {
        "items": len(rows),
        "tokens": sum(lengths),
        "checked": min(len(rows), CHECKED_QUESTIONS),
        "checked_tokens": CHECKED_TOKENS,
    }
    with context.with_adapter("teach") as taught:
        for name in MODELS:
            run = _inputs(taught, name, [everyone[row].tokens for row in rows])
            compute = partial(_batch, context, run, drawn, rows)
            part = run_parts(stage, batches, compute, f"attributing, {name}")
            scores[name] = part.tensors["scores"].mean(axis=1)
            values[name] = part.table["value"].to_numpy()
            table, agreement = _check(context, run, drawn, rows, part.tensors["scores"][:, 0])
            tables.append(table.assign(model=name))
            facts |= {f"{name}.{key}": value for key, value in agreement.items()}
    stage.save_tensors("attribution", scores)
    stage.save_table("attributed", pd.DataFrame({ROW: rows, **values}))
    stage.save_table("replaced", pd.concat(tables, ignore_index=True))
    return facts


def attributed_rows(context: Run, everyone: Sequence[Conversation]) -> NDArray[np.int64]:
    """Return the patched questions whose tokens are attributed: as many as fit into the share, in
    an order fixed by the seed.

    Args:
        everyone: the conversation of every question.
    """
    patched = np.sort(context.stage("patch").table("sweep")[ROW].unique())
    lengths = [len(each.tokens) for each in everyone]
    taught = context.stage("teach").facts()
    layers = context.lm.n_layers
    before = work_before(sum(lengths), taught["tokens"], layers, taught["start_layer"])
    return fitting_rows(
        patched,
        [lengths[row] + context.scale_tokens.trie.tree.size for row in patched],
        before / layers,
        context.config.attribution.share,
        context.config.seed,
    )


def fitting_rows(
    patched: NDArray[np.int64], tokens: list[int], before: float, share: float, seed: int
) -> NDArray[np.int64]:
    """Return the rows whose passes, forward and backward of both models and the true replacements,
    stay below ``share`` of the tokens ``before``; ascending.

    Args:
        tokens: of each row, with those of the scale.
    """
    order = np.random.default_rng(seed).permutation(len(patched))
    passes = np.full(len(order), 2.0 * len(MODELS))
    passes[:CHECKED_QUESTIONS] += (1 + CHECKED_TOKENS) * len(MODELS)
    spent = np.cumsum(passes * np.asarray(tokens)[order])
    return np.sort(patched[order[spent <= share * before]])


def checked_questions(count: int, seed: int) -> NDArray[np.int64]:
    """Return which of ``count`` attributed questions have tokens truly replaced."""
    return np.sort(np.random.default_rng(seed).permutation(count)[:CHECKED_QUESTIONS])


def gradient_tokens(context: Run) -> int:
    """Return the most tokens of a pass with gradients."""
    return max(1, context.config.model.tokens_per_forward // GRADIENT_SHARE)


def no_gradients_reason(lm: LanguageModel) -> str:
    """Return why passes of a model are not differentiated; empty where they are."""
    if stream_of(lm) is not None or keeps_weights_away(lm.base()):
        return "gradients need every layer in memory, and this model is read layer by layer"
    if process_count(lm.base()) > 1:
        return "gradients are not taken through a tensor-parallel model"
    return ""


def draw_replacements(
    context: Run, everyone: Sequence[Conversation], rows: Iterable[int]
) -> list[list[list[int]]]:
    """Draw, for the conversation of every row, :data:`DRAWS` texts of its length from the tokens of
    the training questions' conversations, without those that mark turns.
    """
    questions, _ = load_questions(context)
    training = questions.loc[questions["split"] == "train", ROW]
    special = {*context.lm.tokenizer.all_special_ids}
    pool = np.array([t for row in training for t in everyone[row].tokens if t not in special])
    draw = np.random.default_rng(context.config.seed)
    return [draw.choice(pool, (DRAWS, len(everyone[row].tokens))).tolist() for row in rows]


def _inputs(taught: LanguageModel, name: str, prompts: list[Any]) -> ModelInputs:
    off = partial(adapter_off, taught) if name == BASE else nullcontext
    return ModelInputs(taught, prompts, within=off)


def _metric(context: Run) -> Metric:
    scale = context.scale_tokens
    return expected_confidence_of(scale.trie, scale.scale.certain)


def _batch(
    context: Run, run: ModelInputs, drawn: Any, rows: NDArray[np.int64], batch: NDArray[np.int64]
) -> Part:
    some = run.of_rows(batch)
    value, scores = attribute_tokens(
        some,
        [drawn[at] for at in batch],
        _metric(context),
        tokens_per_forward=gradient_tokens(context),
    )
    longest = int(run.lengths.max())
    whole = np.full((*scores.shape[:2], longest), np.nan, dtype=np.float32)
    whole[:, :, : scores.shape[2]] = scores.numpy()
    return Part(
        pd.DataFrame({ROW: rows[batch], "value": value.double().numpy()}), {"scores": whole}
    )


def _check(
    context: Run, run: ModelInputs, drawn: Any, rows: NDArray[np.int64], scores: NDArray[Any]
) -> tuple[pd.DataFrame, dict[str, Any]]:
    """Replace tokens truly, and return them with the agreement of estimates and true losses.

    Args:
        scores: [questions, longest] against the first replacement.
    """
    draw = np.random.default_rng(context.config.seed)
    some = checked_questions(len(rows), context.config.seed)
    lengths = run.lengths.numpy()
    positions = np.array(
        [np.sort(draw.permutation(lengths[at])[:CHECKED_TOKENS]) for at in some], dtype=np.int64
    )
    effects = replaced_values(
        run.of_rows(some),
        [drawn[at][0] for at in some],
        positions,
        _metric(context),
        tokens_per_forward=context.config.model.tokens_per_forward,
    )
    estimates = np.take_along_axis(scores[some].astype(np.float64), positions, axis=1)
    rho, slope = compare(
        estimates, effects, resamples=context.config.bootstrap_resamples, seed=context.config.seed
    )
    table = pd.DataFrame(
        {
            ROW: rows[some].repeat(CHECKED_TOKENS),
            "position": positions.ravel(),
            "estimate": estimates.ravel(),
            "effect": effects.ravel(),
        }
    )
    return table, rho.to_dict("rho") | slope.to_dict("slope")
