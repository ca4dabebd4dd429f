"""Sweep asked questions with controls, to find whose confidence the state at the confidence
position carries.

The donor is a tuned model, or another checkpoint of the same shape, which is given the same
questions and answers by its own tokenizer and template. Its states are put into the base model
after every layer, with all the controls of :mod:`workbench.patch.controls`. The readout is the
expected confidence, as a share of certainty. It is the sweep of the loop's stage, computed by the
same code.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from peft import PeftModel

from workbench.api.asked_prompts import AskedQuestions, conversations_for, tokens_of
from workbench.api.donor_match import node_texts, require_nodes
from workbench.api.donors import ModelPrompts, open_donor
from workbench.api.grid import chosen_layers
from workbench.api.prompt_runs import run_as_named
from workbench.api.results import Readings, Role, Sweep
from workbench.elicit.conversation import QUESTION_END, scale_tokens
from workbench.elicit.thought_positions import THOUGHT_POSITIONS
from workbench.errors import WorkbenchError
from workbench.models import LanguageModel
from workbench.patch.controlled_sweep import ControlledSweep, SweepSettings, controlled_sweep
from workbench.patch.controls import CONDITIONS, Condition, sweep_positions
from workbench.patch.effect_map import Axis
from workbench.patch.model_states import ModelState, SweptItems
from workbench.settings.defaults import CONTROL_LAYERS

NAMED = ("answer_end", "after_answer", QUESTION_END, *THOUGHT_POSITIONS)
"""The names by which places of asked questions may be called, besides "last"."""


def at_positions(at: Any, asked: AskedQuestions, donor: Any) -> Any:
    """Return places in which named positions of conversations are the tokens they stand at, in
    every conversation and in its donor.

    Args:
        at: as :func:`workbench.api.patching.sweep` takes it; its names may be those of
            :data:`NAMED`.

    Raises:
        WorkbenchError: where donors are prompts that were not asked, and where a conversation has
            no such position.
    """
    single = isinstance(at, str | int) or at is None
    specs = dict(at) if isinstance(at, Mapping) else {str(s): s for s in ([at] if single else at)}
    if not any(isinstance(spec, str) and spec in NAMED for spec in specs.values()):
        return at
    if isinstance(donor, str | Sequence | torch.Tensor | np.ndarray):
        raise WorkbenchError(
            "A named position is known in asked questions alone; give asked questions, or a model, "
            "as donor, or name the places by their text."
        )
    theirs = donor if isinstance(donor, AskedQuestions) else asked
    return {
        name: tuple([c.position(spec) for c in each.conversations] for each in (asked, theirs))
        if isinstance(spec, str) and spec in NAMED
        else spec
        for name, spec in specs.items()
    }


def sweep_confidence(
    lm: LanguageModel,
    asked: AskedQuestions,
    donor: Any,
    *,
    layers: Any,
    controls: bool,
    tokens_per_forward: int,
    seed: int,
) -> Sweep:
    """Sweep asked questions with a tuned model, another model or an adapter as donor.

    Raises:
        WorkbenchError: for a donor that is no model, and fewer than two questions.
    """
    prompts, numbers = tokens_of(lm, asked), asked.scale_tokens
    with open_donor(lm, donor, prompts) as source:
        if not isinstance(source, ModelPrompts):
            raise WorkbenchError("Asked questions are swept with a model or an adapter as donor.")
        tuned = source.lm
        found = controlled_sweep(
            ModelState(lm, lambda: run_as_named(lm)),
            ModelState(tuned, lambda: run_as_named(tuned)),
            prompts.rows,
            sweep_positions(
                lm.tokenizer, asked.format, asked.conversations, tuned.invocation_length, seed
            ),
            numbers.trie,
            numbers.scale,
            SweepSettings(chosen_layers(lm, layers), CONTROL_LAYERS, tokens_per_forward, seed),
            donor_items=_items_in(lm, source, asked, seed),
        )
        conditions = _readings(found, CONDITIONS if controls else CONDITIONS[:1])
        # A tuned model has the name of its base model.
        name = f"{tuned.name}, tuned," if isinstance(tuned.model, PeftModel) else tuned.name
    what = f"resid_post of {name} patched at the confidence position"
    return Sweep("expected confidence", what, conditions)


def _items_in(
    lm: LanguageModel, source: ModelPrompts, asked: AskedQuestions, seed: int
) -> SweptItems | None:
    """Return the questions as the donor's own tokens; None where its tokenizer is the base
    model's.

    Raises:
        WorkbenchError: for a scale whose texts the donor cuts otherwise.
    """
    tuned = source.lm
    if tuned.tokenizer is lm.tokenizer:
        return None
    numbers = scale_tokens(tuned.tokenizer, asked.format)
    require_nodes(
        node_texts(lm, asked.scale_tokens.trie.tree), node_texts(tuned, numbers.trie.tree)
    )
    conversations = conversations_for(tuned, asked)
    positions = sweep_positions(
        tuned.tokenizer, asked.format, conversations, tuned.invocation_length, seed
    )
    return SweptItems(source.prompts.rows, positions, numbers.trie)


def _readings(found: ControlledSweep, wanted: Sequence[Condition]) -> tuple[Readings, ...]:
    """Return every condition's readings, the effect first."""
    # Donors' readouts are those of unpatched runs, the tuned one's from the sweep into it.
    reverse = next(condition for condition in CONDITIONS if condition.into_tuned)
    needed = list(dict.fromkeys([*wanted, reverse]))
    read = {condition: found.read(condition) for condition in needed}
    donors = found.donor_readouts({c: (items, base) for c, (items, base, _) in read.items()})
    out = []
    for condition in wanted:
        items, base, patched = read[condition]
        order = np.argsort(items)
        out.append(
            Readings(
                condition.name,
                _role(condition),
                (Axis("layer", tuple(found.swept_layers(condition))),),
                base[order],
                donors[condition],
                patched[order],
            )
        )
    return tuple(out)


def _role(condition: Condition) -> Role:
    if condition is CONDITIONS[0]:
        return "effect"
    own = condition.donor == "own_base" and not condition.into_tuned
    return "floor" if own else "control"
