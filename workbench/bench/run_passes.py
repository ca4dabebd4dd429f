"""Say which passes each stage of a finished run needed, from its settings, its tables and the shape
of its model.

An uninterrupted run is counted: what a resumed one computes again for its caches is left out.
Counted is what the algorithm needs, as :mod:`workbench.plan.products` says, with two
simplifications: the last layer of a training step is counted whole, and what precedes the reply is
taken as kept for all questions though memory may hold it for some alone. A patched layer counts
where an adapter that begins at its first layer gives the donor another state. Stages that fit
probes or draw need no products of the model, and have no passes here.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

import numpy as np
from safetensors.numpy import load_file

from workbench.bench.run_tokens import Generated, Rows, RunTokens
from workbench.bench.sweep_passes import (
    SweptAdapter,
    computed_rows,
    copied_tokens,
    sweep_pass,
)
from workbench.config import TeachSettings
from workbench.patch.controls import CONDITIONS, layers_run, sweep_positions, swept_layers
from workbench.plan.products import Pass, ProductShape, whole_pass
from workbench.teach.training import first_layer

Passes = list[Pass]


def answer_passes(run: RunTokens, shape: ProductShape) -> Passes:
    """Count the answers to all questions; none where a file gave them."""
    if run.given():
        return []
    return _answers(run, shape, "answer", "answers")


def _answers(run: RunTokens, shape: ProductShape, stage: str, name: str) -> Passes:
    found = []
    for what, rows, generated in run.answer_rows(run.run.stage(stage).table(name)):
        prompts = whole_pass(f"prompts of {what}", shape, 0, rows)
        batches = len(generated.batches)
        found += [
            replace(
                prompts,
                per_product=max(1, prompts.tokens // batches),
                logits=len(generated.prompts),
            ),
            _generation(what, shape, generated),
        ]
    return found


def _generation(what: str, shape: ProductShape, generated: Generated, adapter: int = 0) -> Pass:
    """Count the forwards of one token each, all of which are unembedded."""
    found = whole_pass(
        f"{what}, token by token", shape, generated.per_product, generated.rows, adapter=adapter
    )
    return replace(found, logits=found.tokens)


def elicit_passes(run: RunTokens, shape: ProductShape) -> Passes:
    """Count the base model's confidence: what follows the kept prompts, the scale, and the text."""
    rows = [(begun, length - begun) for begun, length in zip(run.begun, run.lengths, strict=True)]
    return _reading(run, shape, "elicit", rows, run.lengths, 0)


def _reading(
    run: RunTokens, shape: ProductShape, stage: str, rows: Rows, lengths: list[int], adapter: int
) -> Passes:
    found = whole_pass(
        "conversations and scale",
        shape,
        0,
        rows,
        run.depths,
        logits_per_row=2 + len(run.depths),
        adapter=adapter,
    )
    per_product = max(1, found.tokens // len(run.batches(lengths)))
    stated = run.stated(run.run.stage(stage).table("confidence"), lengths)
    return [
        replace(found, per_product=per_product),
        _generation("stated confidence", shape, stated, adapter),
    ]


def tuned_passes(stage: str, taught: str) -> Callable[[RunTokens, ProductShape], Passes]:
    """Return what counts the confidence of the adapter of ``taught``, and the answers given anew
    with it.
    """

    def passes(run: RunTokens, shape: ProductShape) -> Passes:
        lengths = [run.lengths[row] for row in run.answered_rows(stage)]
        reply = run.run.reply
        # An adapter on the whole conversation is merged into the weights while it reads.
        adapter = 0 if reply is None else adapter_weights(run, taught)
        own = [length if reply is None else len(reply) for length in lengths]
        rows = [(length - new, new) for length, new in zip(lengths, own, strict=True)]
        found = _reading(run, shape, stage, rows, lengths, adapter)
        store = run.run.stage(stage)
        for name in ("answers", "answers_adapter_on"):
            if store.holds(f"{name}.parquet"):
                found += _answers(run, shape, stage, name)
        return found

    return passes


def adapter_weights(run: RunTokens, taught: str) -> int:
    """Return how many weights the adapter's factors have, in all layers together."""
    file = run.run.stage(taught).checked("adapter") / "adapter_model.safetensors"
    return sum(weight.size for name, weight in load_file(file).items() if "lora_" in name)


def _first_layer(run: RunTokens, taught: str, shape: ProductShape) -> int:
    """Return the layer at which the adapter of ``taught`` begins."""
    settings = TeachSettings.model_validate(run.run.stage(taught).facts()["teach"])
    return first_layer(settings, shape.layers)


def teach_passes(stage: str) -> Callable[[RunTokens, ProductShape], Passes]:
    """Return what counts the steps of a training, and the states below its adapter."""

    def passes(run: RunTokens, shape: ProductShape) -> Passes:
        facts = run.run.stage(stage).facts()
        settings = TeachSettings.model_validate(facts["teach"])
        visits = facts["examples"] * settings.epochs
        return step_passes(
            shape,
            tokens=facts["tokens"],
            forwards=facts["steps"] * settings.gradient_accumulation_steps,
            visits=visits,
            epochs=settings.epochs,
            first=_first_layer(run, stage, shape),
            lengths=[run.lengths[row] for row in run.run.stage(stage).table("targets")["row"]],
            reply=None if run.run.reply is None else len(run.run.reply),
            adapter=adapter_weights(run, stage),
        )

    return passes


def step_passes(
    shape: ProductShape,
    *,
    tokens: int,
    forwards: int,
    visits: int,
    epochs: int,
    first: int,
    lengths: Sequence[int],
    reply: int | None,
    adapter: int,
) -> Passes:
    """Count a training: every step forward and backward above the adapter's first layer, and once
    the states below it.

    Args:
        tokens: of all steps together.
        visits: examples seen in all steps, each as often as there were ``epochs``.
        lengths: tokens of the examples' conversations.
        reply: tokens at a conversation's end that are computed; None for all.
    """
    own = float(np.mean(lengths)) if reply is None else float(reply)
    context = float(np.mean(lengths)) - own
    nodes = max(0.0, tokens / visits - own)
    seen = own * (context + (own + 1) / 2) + nodes * (context + own + 1)
    pairs = round(visits * seen)
    above, logits = shape.layers - first, visits + round(visits * nodes)
    step = Pass(
        "steps, forward and backward",
        max(1, tokens // forwards),
        tokens,
        tokens * above,
        pairs * above,
        logits,
        adapter * tokens,
        backward=True,
    )
    below = Pass(
        "states below the adapter",
        step.per_product,
        tokens // epochs,
        tokens // epochs * first,
        pairs // epochs * first,
        0,
    )
    return [step, below] if first else [step]


def patch_passes(run: RunTokens, shape: ProductShape) -> Passes:
    """Count the recorded states, the sweeps of all conditions, and the comparison with the loop."""
    patch, context, depths = run.run.config.patch, run.run, run.depths
    table = context.stage("patch").table("sweep")
    items = table.drop_duplicates("item").sort_values("item")["row"].tolist()
    conversations = [run.conversations[row] for row in items]
    reply = None if context.reply is None else len(context.reply)
    positions = sweep_positions(
        context.lm.tokenizer, context.fmt, conversations, reply, context.config.seed
    )
    lengths = [len(each.tokens) for each in conversations]
    kept = reply if context.lm.architecture.packable else None
    acted = [n if reply is None else reply for n in lengths]
    first = _first_layer(run, "teach", shape)
    adapter = SweptAdapter(adapter_weights(run, "teach"), first, acted)
    record = whole_pass(
        "recorded states", shape, 0, computed_rows(lengths, positions, kept), depths
    )
    record = replace(record, per_product=max(1, record.tokens // len(run.batches(lengths))))
    tuned = adapter.weights * sum(tokens + len(depths) for tokens in acted)
    found = [record, replace(record, adapter=tuned)]
    layers = sorted(int(layer) for layer in table["layer"].unique())
    for one in CONDITIONS:
        swept = swept_layers(one, layers, patch.control_layers)
        at = positions[:, 0 if one.random_position else 1]
        rows, copied = computed_rows(lengths, at, kept), copied_tokens(one, lengths, positions)
        changed = layers_run(one, swept, first)
        found.append(sweep_pass(one, shape, rows, copied, changed, depths, adapter))
    few = lengths[: patch.n_reference]
    changed = layers_run(CONDITIONS[0], layers, first)
    # Beginnings that were kept in another precision are left out of a comparison in float32.
    exact = kept if context.lm.precision == "float32" else None
    rows = computed_rows(few, positions[: len(few), 1], exact)
    compared = sweep_pass(CONDITIONS[0], shape, rows, [1] * len(few), changed, depths, adapter)
    looped = whole_pass(
        "loop of hooked forwards",
        shape,
        0,
        [(0, n) for _ in range(1 + len(changed)) for n in few],
        depths,
        logits_per_row=1 + len(depths),
    )
    looped = replace(looped, per_product=max(1, looped.tokens // (1 + len(changed))))
    return [*found, *(replace(each, float32=True) for each in (compared, looped))]


STAGE_PASSES: Mapping[str, Callable[[RunTokens, ProductShape], Passes]] = {
    "answer": answer_passes,
    "elicit": elicit_passes,
    "teach": teach_passes("teach"),
    "teach_control": teach_passes("teach_control"),
    "elicit_tuned": tuned_passes("elicit_tuned", "teach"),
    "elicit_control": tuned_passes("elicit_control", "teach_control"),
    "patch": patch_passes,
}
"""What counts the passes of each stage that needs any."""
