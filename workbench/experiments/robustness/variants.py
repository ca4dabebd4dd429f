"""List the ways of teaching that are compared, one row each, and what a default must do.

A variant is the main loop's arm with other training settings: the targets are the same. The
criterion for a default was written down before any of them was trained.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Literal

from workbench.config import TeachSettings
from workbench.teach.recipes.probe import PUBLISHED

VariantName = Literal[
    "all-layers",
    "published",
    "upper-half",
    "upper-half-longer",
    "upper-third",
    "low-ratio",
    "low-rank",
    "more-decay",
]


@dataclass(frozen=True)
class Variant:
    """A way of teaching.

    Attributes:
        teach: changes to the run's training settings.
        begins: share of the layers below the adapter, which begins after them; 0: it is in all
            layers.
    """

    name: VariantName
    about: str
    teach: Mapping[str, Any] = field(default_factory=lambda: MappingProxyType({}))
    begins: float = 0.0

    def settings(self, run: TeachSettings, n_layers: int) -> TeachSettings:
        """Return the training settings of a run with this variant's changes, for a model of
        ``n_layers``.
        """
        start = {"start_layer": int(self.begins * n_layers)}
        lora = self.teach.get("lora", {})
        whole = run.model_dump() | dict(self.teach) | start
        whole["lora"] = run.lora.model_dump() | dict(lora)
        return TeachSettings.model_validate(whole)


VARIANTS: Mapping[str, Variant] = {
    row.name: row
    for row in (
        Variant("all-layers", "the run's own settings, the adapter in all layers"),
        Variant("published", "rank 16, rate 2e-4, number as text, whole conversation", PUBLISHED),
        Variant("upper-half", "the adapter begins at half of the layers", begins=1 / 2),
        Variant(
            "upper-half-longer",
            "the same, six passes over the questions in place of four",
            {"epochs": 6},
            begins=1 / 2,
        ),
        Variant("upper-third", "the adapter begins at two thirds of the layers", begins=2 / 3),
        Variant(
            "low-ratio",
            "all layers, B matrices at twice the rate of A, not eight times",
            {"loraplus_lr_ratio": 2.0},
        ),
        Variant("low-rank", "all layers, rank 4 in place of 16", {"lora": {"rank": 4, "alpha": 8}}),
        Variant("more-decay", "all layers, weight decay 8 in place of 2", {"weight_decay": 8.0}),
    )
}


@dataclass(frozen=True)
class Criterion:
    """What a default must do in every training, whatever its seed and precision.

    Attributes:
        gain: the least that AUROC2 of the text must gain over the base model.
        below_probe: by how much AUROC2 of the expected confidence within domain may stay below
            that of the base model's probe.
        gradient: the least Spearman correlation of layer and shift.
        overshoot: the largest mean shift of any layer.
    """

    gain: float = 0.15
    below_probe: float = 0.05
    gradient: float = 0.9
    overshoot: float = 1.2

    def __str__(self) -> str:
        return (
            f"gain of the text at least {self.gain:g}, expected confidence within domain at least "
            f"the probe's less {self.below_probe:g}, layer gradient at least {self.gradient:g}, "
            f"largest shift at most {self.overshoot:g}"
        )


CRITERION = Criterion()
