"""Define the trainings of one precision: every variant with every seed, and their stages' names."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from workbench.config import RunConfig, TeachSettings
from workbench.experiments.robustness.variants import VARIANTS
from workbench.models.shape import read_shape


@dataclass(frozen=True)
class Training:
    """One training: a variant with a seed, in the precision of the run it belongs to."""

    variant: str
    seed: int
    teach: TeachSettings

    def stage(self, kind: str) -> str:
        """Return name and folder of its stage ``teach``, ``elicit``, ``patch`` or ``windows``."""
        return f"trainings/{self.variant}/{self.seed}/{kind}"

    def windows(self, variants: Sequence[str]) -> bool:
        """Return whether it is read in windows of layers, as these ``variants`` are where their
        adapter acts on the reply.
        """
        return self.variant in variants and self.teach.adapter_scope == "reply"


def trainings_of(config: RunConfig, variants: Sequence[str], seeds: int) -> list[Training]:
    """Return the trainings of one precision, ``seeds`` from the run's seed on. All variants of a
    seed come before the next seed, so that an unfinished grid has whole seeds.
    """
    n_layers = read_shape(config.model).n_layers
    return [
        Training(name, seed, VARIANTS[name].settings(config.teach, n_layers))
        for seed in range(config.seed, config.seed + seeds)
        for name in dict.fromkeys(variants)
    ]
