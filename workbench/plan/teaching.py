"""Say which forward passes a training of the main loop makes: the states below the adapter once,
then every step forward and backward.

Examples, their order and the columns of a step come from the code that trains: objective, sampler
and what of a conversation is computed in a step
(:mod:`workbench.teach.training_forward`). Targets are not known before probes are fitted, so evenly
spread ones are assumed; how many tokens a target takes depends on it a little.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from workbench.arrays import Floats
from workbench.plan.forwards import Group, Task, whole_forward
from workbench.plan.questions import PlannedQuestions
from workbench.plan.run_stages import PlannedRun
from workbench.settings.teaching import TeachSettings
from workbench.teach.examples import Example, distribution_examples, text_examples
from workbench.teach.sampler import SeededOrder
from workbench.teach.targets import scale_targets, shuffled_targets, spread_targets
from workbench.trace.batches import plan_batches
from workbench.trace.suffix import common_prefix


def assumed_targets(count: int, seed: int) -> Floats:
    """Return evenly spread probabilities in random order, [count]."""
    spread = np.resize(np.linspace(0.05, 0.95, 19), count)
    found: Floats = np.random.default_rng(seed).permutation(spread)
    return found


def planned_examples(
    asked: PlannedQuestions, settings: TeachSettings, targets: Floats
) -> list[Example]:
    """Return the examples of the training questions, whose targets are ``targets``.

    Equal targets are followed by equal tokens, so each is written out once.

    Raises:
        WorkbenchError: for too few of them.
    """
    conversations = [asked.conversations[row] for row in asked.side("train")]
    fmt, numbers, tokenizer = asked.fmt, asked.numbers, asked.tokenizer
    _, first, which = np.unique(targets, return_index=True, return_inverse=True)
    some = [conversations[row] for row in first]
    if settings.target == "distribution":
        bells = spread_targets(targets, fmt.scale, settings.target_std)[first]
        made = distribution_examples(tokenizer, fmt, numbers, some, bells)
    else:
        written = scale_targets(targets, fmt.scale)[first].tolist()
        made = text_examples(tokenizer, fmt, numbers, some, written)
    return [
        replace(made[number], prompt=each.tokens)
        for each, number in zip(conversations, which, strict=True)
    ]


def teach_stage(run: PlannedRun) -> list[Group]:
    """Plan a training, one forward after another."""
    return _training(run, run.targets)


def teach_control_stage(run: PlannedRun) -> list[Group]:
    """Plan the training of the control, on the same targets of other questions."""
    return _training(run, shuffled_targets(run.targets, run.config.seed))


def _training(run: PlannedRun, targets: Floats) -> list[Group]:
    asked, first, settings = run.questions, run.start, run.config.teach
    examples = planned_examples(asked, settings, targets)
    shared = len(common_prefix([e.prompt for e in examples])) if asked.reply is None else 0
    own = [run.reply or len(e.prompt) - shared for e in examples]
    sizes = [length + e.tree.size for length, e in zip(own, examples, strict=True)]
    rows = asked.side("train")

    def columns(numbers: Sequence[int]) -> int:
        trees = max(examples[number].tree.size for number in numbers)
        return max(own[number] for number in numbers) + trees

    def kept(numbers: Sequence[int]) -> int:
        if asked.reply is None:
            return shared
        return max(run.before_reply([rows[number] for number in numbers]))

    task: Task = []

    def begin(layers: int, backward: bool) -> None:
        if shared:
            task.append(whole_forward("shared beginning", layers, 1, shared, backward=backward))

    def missing(numbers: Sequence[int]) -> None:
        if asked.reply is not None:
            task.extend(run.replies_kept([rows[number] for number in numbers]))

    if first:
        for batch in plan_batches(sizes, settings.batch_size * max(sizes)):
            numbers = batch.tolist()
            missing(numbers)
            begin(first, False)
            task.append(
                whole_forward(
                    "states below the adapter",
                    first,
                    len(numbers),
                    columns(numbers),
                    kept=kept(numbers),
                )
            )
    order = SeededOrder(own, settings.batch_size, run.config.seed)
    run.taught_tokens = 0
    for epoch in range(settings.epochs):
        order.set_epoch(epoch)
        visits = list(order)
        for at in range(0, len(visits), settings.batch_size):
            numbers = visits[at : at + settings.batch_size]
            missing(numbers)
            begin(run.layers - first, True)
            rows_columns = len(numbers) * columns(numbers)
            task.append(
                whole_forward(
                    "steps, forward and backward",
                    run.layers - first,
                    len(numbers),
                    columns(numbers),
                    kept=kept(numbers),
                    logits=len(numbers) * (1 + max(examples[n].tree.size for n in numbers)),
                    adapted=rows_columns * (run.layers - first),
                    backward=True,
                )
            )
            run.taught_tokens += sum(sizes[n] + shared for n in numbers)
    return [[task]]
