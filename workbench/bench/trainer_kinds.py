"""The trainings that are compared, by name: whose trainer, and where the adapter begins."""

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
    """One of the trainings: by TRL or by the workbench, and whether the adapter begins at the
    chosen layer.
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
    """The published rate on whole conversations with the text as target; everything else is the
    default.
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
