"""Run the sweep with pyvene, as its users write it: one IntervenableModel for each branch, with
states passed in.

Modules are named by path, which pyvene takes for every family. Passing ``source_representations``
saves pyvene the forward that recording each source anew would cost. Only the residual stream in
front of and after a layer is patched here.

pyvene takes every forward hook off the model when it cleans up, so no other hook may be on it.
"""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from workbench.bench.inputs import ONE_FORWARD
from workbench.errors import WorkbenchError
from workbench.models import LanguageModel
from workbench.trace.backends.inputs import BatchWrite, model_inputs, require_whole_model
from workbench.trace.backends.protocol import TokenRows
from workbench.trace.backends.strings import StringBatch, join_strings, string_batches
from workbench.trace.interventions import Branch, Patched, Readout
from workbench.trace.token_tree import NO_TREE

SIDES = {"resid_pre": "input", "resid_post": "output"}


def pyvene_installed() -> bool:
    """Return whether pyvene, of the benchmark's extra, is installed; it is not imported."""
    return importlib.util.find_spec("pyvene") is not None


@dataclass(frozen=True, eq=False)
class PyveneLibrary:
    """A backend that patches ``lm`` in place during each call."""

    lm: LanguageModel

    def __post_init__(self) -> None:
        require_whole_model(self.lm, "pyvene")

    def patch(self, prompts: TokenRows, branches: Sequence[Branch], readout: Readout) -> Patched:
        """Run every branch, as in :class:`~workbench.trace.backends.protocol.Backend`: one forward
        for each and one without.
        """
        batches = string_batches(self.lm, prompts, branches, NO_TREE, ONE_FORWARD, self.lm.device)
        readings = (self._readings(batch, readout) for batch in batches)
        return join_strings(batches, readings, len(prompts), NO_TREE)

    def _readings(self, batch: StringBatch, readout: Readout) -> list[Tensor]:
        # Imported here because it takes seconds and belongs to an extra.
        pyvene = importlib.import_module("pyvene")
        inputs, model = model_inputs(batch.prompts), self.lm.base()
        with torch.no_grad():
            read = [readout(model(**inputs).logits[:, -1].float())]
            for writes in batch.programs:
                intervenable = pyvene.IntervenableModel(
                    [self._place(write) for write in writes], model=model
                )
                names = list(intervenable.interventions)
                sources = {
                    name: write.value[:, None] for name, write in zip(names, writes, strict=True)
                }
                where: list[list[list[int]]] = [write.columns[:, None].tolist() for write in writes]
                outcome: Any = intervenable(
                    base=inputs,
                    source_representations=sources,
                    unit_locations={"sources->base": (None, where)},
                )
                read.append(readout(_logits(outcome)))
        return read

    def _place(self, write: BatchWrite) -> dict[str, Any]:
        side = SIDES.get(write.site.component)
        if side is None or write.add:
            raise WorkbenchError(
                "With pyvene the benchmark replaces resid_pre and resid_post and nothing else."
            )
        path = f"{self.lm.architecture.layers}[{write.site.layer}].{side}"
        return {"component": path, "unit": "pos", "max_number_of_units": 1}


def _logits(outcome: Any) -> Tensor:
    return outcome[1].logits[:, -1].float()
