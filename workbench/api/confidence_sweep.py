"""Sweep asked questions with controls, to find whose confidence the state at the confidence
position carries.

The tuned model's states are put into the base model after every layer, with all the controls of
:mod:`workbench.patch.controls`. The readout is the expected confidence, as a share of certainty. It
is the sweep of the loop's stage, computed by the same code.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol, runtime_checkable

import numpy as np
import torch

from workbench.api.donors import ModelPrompts, open_donor, run_as_named
from workbench.api.grid import chosen_layers
from workbench.api.prompts import PromptTokens, token_texts
from workbench.api.results import Readings, Role, Sweep
from workbench.elicit.conversation import QUESTION_END, Conversation, ScaleTokens
from workbench.elicit.format import Format
from workbench.elicit.thought_positions import THOUGHT_POSITIONS
from workbench.errors import WorkbenchError
from workbench.models import LanguageModel
from workbench.patch.controlled_sweep import ControlledSweep, SweepSettings, controlled_sweep
from workbench.patch.controls import CONDITIONS, Condition, sweep_positions
from workbench.patch.effect_map import Axis
from workbench.patch.model_states import ModelState
from workbench.settings.defaults import CONTROL_LAYERS

NAMED = ("answer_end", "after_answer", QUESTION_END, *THOUGHT_POSITIONS)
"""The names by which places of asked questions may be called, besides "last"."""


@runtime_checkable
class AskedQuestions(Protocol):
    """Questions that were asked, as far as a sweep needs to know them."""

    @property
    def conversations(self) -> Sequence[Conversation]: ...

    @property
    def format(self) -> Format: ...

    @property
    def scale_tokens(self) -> ScaleTokens: ...


def tokens_of(lm: LanguageModel, asked: AskedQuestions) -> PromptTokens:
    """Return the conversations up to the confidence position, as prompts."""
    rows = tuple(tuple(conversation.tokens) for conversation in asked.conversations)
    return PromptTokens(rows, tuple(token_texts(lm.tokenizer, row) for row in rows))


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
    prompts = tokens_of(lm, asked)
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
            asked.scale_tokens.trie,
            asked.scale_tokens.scale,
            SweepSettings(chosen_layers(lm, layers), CONTROL_LAYERS, tokens_per_forward, seed),
        )
        conditions = _readings(found, CONDITIONS if controls else CONDITIONS[:1])
        name = tuned.name
    what = f"resid_post of {name}, tuned, patched at the confidence position"
    return Sweep("expected confidence", what, conditions)


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
