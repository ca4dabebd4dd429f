"""Say which passes each stage of a finished run needed, from its settings, its tables and the shape
of its model.

An uninterrupted run is counted: what a resumed one computes again for its caches is left out.
Counted is what the algorithm needs, as :mod:`workbench.bench.products` says, with two
simplifications: the last layer of a training step is counted whole, and so are the prompts of a
patched batch though some of it may come from kept states. Stages that fit probes or draw need no
products of the model, and have no passes here.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from safetensors.numpy import load_file

from workbench.bench.products import Pass, ProductShape, triangle, whole_pass
from workbench.bench.run_tokens import Generated, Rows, RunTokens
from workbench.config import TeachSettings
from workbench.patch.controls import CONDITIONS, Condition, control_layers, sweep_positions
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


def teach_passes(stage: str) -> Callable[[RunTokens, ProductShape], Passes]:
    """Return what counts the steps of a training, and the states below its adapter."""

    def passes(run: RunTokens, shape: ProductShape) -> Passes:
        facts = run.run.stage(stage).facts()
        settings = TeachSettings.model_validate(facts["teach"])
        first = first_layer(settings, shape.layers)
        visits = facts["examples"] * settings.epochs
        return step_passes(
            shape,
            tokens=facts["tokens"],
            forwards=facts["steps"] * settings.gradient_accumulation_steps,
            visits=visits,
            epochs=settings.epochs,
            first=first,
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
    patch, context = run.run.config.patch, run.run
    table = context.stage("patch").table("sweep")
    items = table.drop_duplicates("item").sort_values("item")["row"].tolist()
    conversations = [run.conversations[row] for row in items]
    reply = None if context.reply is None else len(context.reply)
    positions = sweep_positions(
        context.lm.tokenizer, context.fmt, conversations, reply, context.config.seed
    )
    lengths = [len(each.tokens) for each in conversations]
    weights, acts_on = adapter_weights(run, "teach"), reply
    batches = len(run.batches(lengths))
    record = whole_pass("recorded states", shape, 0, [(0, n) for n in lengths], run.depths)
    record = replace(record, per_product=max(1, record.tokens // batches))
    tuned = sum((n if acts_on is None else acts_on) + len(run.depths) for n in lengths)
    found = [record, replace(record, adapter=weights * tuned)]
    layers = sorted(int(layer) for layer in table["layer"].unique())
    swept = {
        one: layers if one.all_layers else control_layers(layers, patch.control_layers)
        for one in CONDITIONS
    }
    found += [
        sweep_pass(one, shape, lengths, _copied(one, lengths, positions), swept[one], run.depths)
        for one in CONDITIONS
    ]
    few = lengths[: patch.n_reference]
    compared = sweep_pass(
        CONDITIONS[0], shape, few, [1] * len(few), swept[CONDITIONS[0]], run.depths
    )
    looped = whole_pass(
        "loop of hooked forwards",
        shape,
        0,
        [(0, n) for _ in range(1 + len(layers)) for n in few],
        run.depths,
        logits_per_row=1 + len(run.depths),
    )
    looped = replace(looped, per_product=max(1, looped.tokens // (1 + len(layers))))
    return [*found, *(replace(each, float32=True) for each in (compared, looped))]


def _copied(condition: Condition, lengths: Sequence[int], positions: Any) -> list[int]:
    """Return how many tokens of each prompt a branch computes anew: those from the patch on."""
    if not condition.random_position:
        return [1] * len(lengths)
    return [n - int(at) for n, at in zip(lengths, positions[:, 0], strict=True)]


def sweep_pass(
    condition: Condition,
    shape: ProductShape,
    lengths: Sequence[int],
    copied: Sequence[int],
    layers: Sequence[int],
    depths: Sequence[int],
) -> Pass:
    """Count a packed sweep: the prompts once, and for every layer the tokens from the patch on,
    through the layers after it.
    """
    base = whole_pass("", shape, 0, [(0, n) for n in lengths], depths)
    after = sum(shape.layers - 1 - layer for layer in layers)
    tokens = sum(new + len(depths) for new in copied)
    pairs = sum(
        triangle(n - new, new) + sum(n + depth for depth in depths)
        for n, new in zip(lengths, copied, strict=True)
    )
    return Pass(
        f"sweep of {condition.name.replace('_', ' ')}",
        max(1, base.tokens + tokens * len(layers)),
        base.tokens + tokens * len(layers),
        base.token_layers + tokens * after,
        base.pair_layers + pairs * after,
        len(lengths) * (1 + len(depths)) * (1 + len(layers)),
    )


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
