"""List the trainings that are compared, by name: which trainer, and where the adapter begins."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from workbench.bench.trainers import Trained, train_here, train_with_trl
from workbench.config import TeachSettings
from workbench.models import LanguageModel
from workbench.teach.examples import Example


@dataclass(frozen=True)
class Kind:
    """A kind of training: by TRL or by the workbench, and whether the adapter begins at the chosen
    layer.
    """

    trl: bool
    upper: bool


KINDS = {
    "trl": Kind(trl=True, upper=False),
    "full": Kind(trl=False, upper=False),
    "trl_upper": Kind(trl=True, upper=True),
    "partial": Kind(trl=False, upper=True),
}


def settings_of(kind: Kind, start_layer: int, **changes: Any) -> TeachSettings:
    """Return the training settings: the published rate on whole conversations with the text as
    target, and defaults otherwise.
    """
    first = start_layer if kind.upper else 0
    return TeachSettings(
        adapter_scope="conversation",
        target="text",
        learning_rate=2e-4,
        start_layer=first,
        **changes,
    )


def run_kind(
    kind: Kind, lm: LanguageModel, examples: Sequence[Example], settings: TeachSettings, seed: int
) -> Trained:
    return (train_with_trl if kind.trl else train_here)(lm, examples, settings, seed)
