"""Read a Jacobian lens that others published for a model, and use it on that model.

The form of anthropics/jacobian-lens: lens(h) = unembed(J h), J [width, width] for every layer but
the last, whose map is the identity. J is the mean derivative of the last layer's output with
respect to the layer's own over any text; :mod:`workbench.bottleneck.jacobian_lens` says how the one
fitted here differs. Artifacts are read by transformer-lens. They are torch files (``.pt``) and so
pickles: its loader opens them with ``weights_only=True``, which makes tensors and plain values
alone and runs no code; one that holds anything else is refused.

An artifact names at most a model, never its weights: that it was fitted on this model is the
caller's word. Only number of layers and width are checked.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from workbench.bottleneck.scale_lens import LogitLens
from workbench.errors import WorkbenchError
from workbench.models import LanguageModel


@dataclass(frozen=True, eq=False)
class PublishedLens:
    """The maps [layers - 1, width, width] float32 of all layers below the last: h -> ``jacobian``
    h.
    """

    jacobian: Tensor

    def logits(
        self, lm: LanguageModel, layer: int, states: Tensor, tokens: Sequence[int]
    ) -> Tensor:
        """Return the logits [..., tokens] of ``states`` [..., width] after ``layer``."""
        if layer < len(self.jacobian):
            carried = states.float() @ self.jacobian[layer].T.to(states.device)
            states = carried.to(states.dtype)
        return LogitLens().logits(lm, layer, states, tokens)


def load_published_lens(path: Path, lm: LanguageModel) -> PublishedLens:
    """Read a published lens for this model.

    Raises:
        WorkbenchError: for a file that is no such lens, or that holds more than tensors and plain
            values, and for a lens of other layers or another width than the model's.
    """
    found = _artifact(path)
    fitted, below = sorted(found.jacobians), list(range(lm.n_layers - 1))
    target = found.metadata.get("target_layer", lm.n_layers - 1)
    if found.d_model != lm.width or fitted != below or target != lm.n_layers - 1:
        raise WorkbenchError(
            f"the lens in {path} maps layers {fitted[0]} to {fitted[-1]} ({len(fitted)} of them) "
            f"of width {found.d_model} to layer {target}; {lm.name!r} needs layers 0 to "
            f"{lm.n_layers - 2} of width {lm.width}: give the lens of this model"
        )
    return PublishedLens(torch.stack([found.jacobians[layer] for layer in below]))


def _artifact(path: Path) -> Any:
    # Imported late: transformer-lens takes seconds, and nothing else here needs it.
    from transformer_lens.tools.analysis.jacobian_lens import JacobianLens

    try:
        found = JacobianLens.load(str(path))
    except Exception as error:  # torch's and transformer-lens' errors for damaged or other files
        raise WorkbenchError(
            f"{path} is no published Jacobian lens, or holds more than tensors and plain values: "
            "give a file in the format of anthropics/jacobian-lens"
        ) from error
    if not all(bool(torch.isfinite(each).all()) for each in found.jacobians.values()):
        raise WorkbenchError(f"the lens in {path} holds NaN or infinity: fetch the file again")
    return found
