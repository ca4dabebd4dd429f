"""Train a model to state given confidences in its own answers, with a LoRA adapter.

The adapter acts on the confidence reply alone by default, so answers stay as they are. It is put
into a model object of its own on the same weights: the model that was asked stays as it was, and
nothing has to be undone. ``with workbench.teach.adapter_off(tuned): ...`` switches the adapter off,
``workbench.teach.remove_adapter(tuned)`` removes it, and a folder keeps it in PEFT's format.

What training does not show by itself: whether the model learned which answers are right, or a level
that suits most of them. Train on shuffled targets as a control.
"""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray

from workbench.api.confidence import DEFAULTS, Asked
from workbench.config import ModelSettings, TeachSettings
from workbench.elicit.conversation import answer_beginning
from workbench.elicit.reply_tokens import before_reply, reply_tokens
from workbench.errors import WorkbenchError
from workbench.models import LanguageModel
from workbench.models.share_weights import share_weights
from workbench.questions import prompt_text
from workbench.settings.defaults import TOKENS_PER_FORWARD
from workbench.teach.recipes.objectives import configured_objective
from workbench.teach.recipes.recipe import train_on_examples
from workbench.teach.targets import check_targets, shuffled_targets
from workbench.teach.training import Reply
from workbench.teach.training_job import TrainingJob
from workbench.trace.prefix_cache import PrefixCache


def train(
    asked: Asked,
    targets: pd.Series[float] | NDArray[np.floating],
    settings: TeachSettings = DEFAULTS.teach,
    *,
    shuffled: bool = False,
    folder: Path | None = None,
    tokens_per_forward: int = TOKENS_PER_FORWARD,
    kv_cache_bytes: int = ModelSettings().kv_cache_bytes,
    seed: int = DEFAULTS.seed,
    **changes: Any,
) -> LanguageModel:
    """Train an adapter that states ``targets``, and return the model with it on.

    Args:
        targets: a probability of a right answer for each question that is trained on: by row, as
            ``fit_probes(asked).targets`` gives them, or one for each of ``asked.train`` in order.
        settings: of training; ``changes`` are settings by name, as in ``epochs=2``.
        shuffled: permute the targets over the questions: the control.
        folder: keeps the adapter, in ``folder / "adapter"``; by default nothing is kept.
        tokens_per_forward, kv_cache_bytes: memory bounds.

    Raises:
        WorkbenchError: for targets that are no probabilities, fewer than 50 of them, or of
            questions on the test side.
    """
    chosen, values = _trained_on(asked, targets)
    check_targets(values)
    wanted = TeachSettings.model_validate({**settings.model_dump(), **changes})
    lm = share_weights(asked.lm)
    place = TemporaryDirectory() if folder is None else nullcontext(str(folder))
    with place as at:
        job = TrainingJob(
            lm=lm,
            fmt=chosen.format,
            numbers=chosen.scale_tokens,
            questions=[prompt_text(question) for question in chosen.questions],
            answers=list(chosen.answers),
            conversations=list(chosen.conversations),
            states=lambda position: _states_at(chosen, position),
            targets=shuffled_targets(values, seed) if shuffled else values,
            base=chosen.distribution,
            settings=wanted,
            seed=seed,
            reply=_reply(lm, chosen, wanted, tokens_per_forward, kv_cache_bytes),
            folder=Path(at),
            description=f"training on {'shuffled ' if shuffled else ''}targets",
        )
        trained = train_on_examples(configured_objective)(job).lm
    return replace(trained, name=f"{asked.lm.name}, tuned{' on shuffled' if shuffled else ''}")


def _trained_on(
    asked: Asked, targets: pd.Series[float] | NDArray[np.floating]
) -> tuple[Asked, NDArray[np.float64]]:
    """Return the questions that have a target, and their targets in the same order.

    Raises:
        WorkbenchError: for another number of targets than training questions, and targets of other
            rows.
    """
    available = asked.train
    if not isinstance(targets, pd.Series):
        values = np.asarray(targets).astype(np.float64)
        if values.shape != (len(available),):
            raise WorkbenchError(
                f"There are {len(available)} training questions and targets of shape "
                f"{values.shape}; give one each, or a series by row."
            )
        return available, values
    place = {int(row): index for index, row in enumerate(available.row)}
    strange = [row for row in targets.index if row not in place]
    if strange:
        raise WorkbenchError(
            f"Row {strange[0]} has a target and is no training question of what was asked; give "
            "targets of asked.train alone."
        )
    return available[[place[row] for row in targets.index]], targets.to_numpy().astype(np.float64)


def _reply(
    lm: LanguageModel,
    asked: Asked,
    settings: TeachSettings,
    tokens_per_forward: int,
    kv_cache_bytes: int,
) -> Reply | None:
    """Return where the adapter acts, with the keys and values of what comes before; None where it
    acts on the whole conversation.
    """
    if settings.adapter_scope == "conversation":
        return None
    tokens = reply_tokens(lm.tokenizer, asked.format, asked.scale_tokens)
    before = [before_reply(conversation, tokens) for conversation in asked.conversations]
    cache = PrefixCache(
        kv_cache_bytes,
        tokens_per_forward,
        torch.bfloat16 if lm.precision == "bfloat16" else None,
        shared=answer_beginning(lm.tokenizer, asked.format),
    )
    rows = asked.row.tolist()
    cache.fill(lm, rows, before, "reading up to the reply")
    return Reply(tokens, rows, cache)


def _states_at(asked: Asked, position: str) -> NDArray[np.float32]:
    """Return the states at ``position``, [n, layers, width].

    Raises:
        WorkbenchError: where none were recorded.
    """
    if asked.states is None or position not in asked.positions:
        raise WorkbenchError(f"No states were recorded at {position!r}; ask again with it.")
    return asked.states[:, :, asked.positions.index(position)]
