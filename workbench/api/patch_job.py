"""Hold what a grid of patches is read from: model, prompts, donor, places and grid."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from workbench.api.donors import Donor, ModelPrompts, RecordedDonor
from workbench.api.grid import Grid
from workbench.api.positions import Places
from workbench.api.prompts import PromptTokens
from workbench.api.readouts import Readout
from workbench.models import LanguageModel
from workbench.trace.backends import Backend, engine
from workbench.trace.subspace import Subspace


@dataclass(frozen=True, eq=False)
class PatchJob:
    """The inputs from which a grid of patches is read.

    Attributes:
        donor_readout: reads the donor's run, with its own vocabulary.
        subspaces: by layer, what alone of the states is patched; None for all.
    """

    lm: LanguageModel
    prompts: PromptTokens
    donor: Donor
    places: Places
    grid: Grid
    readout: Readout
    donor_readout: Readout
    engine: str
    tokens_per_forward: int
    seed: int
    subspaces: Mapping[int, Subspace] | None = None
    backends: dict[int, Backend] = field(default_factory=dict)

    def backend(self, lm: LanguageModel) -> Backend:
        """Return the backend of ``lm`` in its present state. It is made once, because some backends
        copy the model.
        """
        if id(lm) not in self.backends:
            self.backends[id(lm)] = engine(self.engine)(lm)
        return self.backends[id(lm)]

    @property
    def rows(self) -> int:
        return len(self.prompts)

    @property
    def donor_prompts(self) -> PromptTokens | None:
        """The prompts of the donor's run, None where the donor is no run."""
        return self.donor.prompts if isinstance(self.donor, ModelPrompts | RecordedDonor) else None

    @property
    def other_model(self) -> bool:
        """Whether the donor is a run of another model, with a prompt of its own for each."""
        other = isinstance(self.donor, RecordedDonor) or (
            isinstance(self.donor, ModelPrompts) and self.donor.lm is not self.lm
        )
        prompts = self.donor_prompts
        return other and prompts is not None and len({*prompts.rows}) > 1
