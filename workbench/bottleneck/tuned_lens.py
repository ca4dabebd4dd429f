"""Fit one affine map a layer that carries its states to the last layer's, and read the scale after
it.

Layers change the basis that they write in, so a logit lens may fail where the information is there.
The map of a layer predicts the last layer's output at the same token by ridge regression: h_last ~
h W + b, penalised towards the identity, that is h_last - h is predicted. It is fitted on training
questions at the confidence position and the scale's inner nodes, each weighted by how probable it
is that the model comes there. The penalty is chosen on a fifth of these questions, by the
divergence of the scale's distribution from the model's own
(:mod:`workbench.bottleneck.lens_divergence`); that is what the tuned lens of Belrose et al. 2023
minimises by gradient descent (the closed form is Din et al. 2023's).

Sign: a lower divergence, a better lens. A map is fitted to what the model itself says in the end,
never to grades. A lens belongs to the model it was fitted on; files name its fingerprint, and
another model's is refused.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from workbench.bottleneck.lens_divergence import (
    divergence,
    node_probability,
    own_log_probabilities,
)
from workbench.bottleneck.lens_file import load_lens, save_lens
from workbench.bottleneck.scale_lens import LensTokens, LogitLens
from workbench.errors import WorkbenchError
from workbench.models import LanguageModel
from workbench.models.adapter_fingerprint import fingerprint_as_run

KIND = "tuned"
PENALTIES = (1e-4, 1e-3, 1e-2, 1e-1, 1.0, 10.0, 100.0)
"""Shares of the mean variance of a state's entries."""
CHOSEN_ON = 5
"""One question of so many chooses the penalty."""
SMALLEST = 1e-12
"""Directions in which states vary less than this share of their largest are left out."""


@dataclass(frozen=True, eq=False)
class TunedLens:
    """The maps of all layers: h -> h + h ``change`` + ``shift``.

    Attributes:
        change: [layers, width, width] float32.
        shift: [layers, width] float32.
        divergence: [layers] KL(model || lens) in nats on the questions that chose the penalty.
        model: the fingerprint of the model that it was fitted on.
    """

    change: Tensor
    shift: Tensor
    divergence: Tensor
    model: str

    def logits(
        self, lm: LanguageModel, layer: int, states: Tensor, tokens: Sequence[int]
    ) -> Tensor:
        """Return the logits [..., tokens] of ``states`` [..., width] after ``layer``."""
        wide = states.float()
        moved = wide + wide @ self.change[layer].to(wide.device) + self.shift[layer].to(wide.device)
        return LogitLens().logits(lm, layer, moved.to(states.dtype), tokens)

    def save(self, path: Path) -> None:
        """Write the lens as safetensors."""
        tensors = {"change": self.change, "shift": self.shift, "divergence": self.divergence}
        save_lens(path, KIND, self.model, tensors)


def load_tuned_lens(path: Path, lm: LanguageModel) -> TunedLens:
    """Read a lens of this model.

    Raises:
        WorkbenchError: for a file that is no tuned lens, and a lens of another model.
    """
    tensors, about = load_lens(path, KIND, ("change", "shift", "divergence"), lm)
    return TunedLens(**tensors, model=str(about["model"]))


def choosing_rows(count: int) -> Tensor:
    """Return which of ``count`` questions choose the penalty and are not fitted on, [count]
    bool.
    """
    return torch.arange(count) % CHOSEN_ON == 0


def fit_tuned_lens(lm: LanguageModel, states: Tensor, chosen: LensTokens) -> TunedLens:
    """Fit a lens on ``states`` [questions, layers, inner nodes, width] of training questions, as
    :func:`workbench.bottleneck.scale_lens.node_states` records them.

    Memory: a copy of one layer's states in float64 and a few matrices [width, width]. Time: a
    layer's is that of one eigendecomposition, of a matrix as large as the width or as the states
    fitted on, whichever is smaller.

    Raises:
        WorkbenchError: for fewer than CHOSEN_ON questions.
    """
    if len(states) < CHOSEN_ON:
        raise WorkbenchError(
            f"a tuned lens needs states of at least {CHOSEN_ON} questions; there are {len(states)}"
        )
    with torch.no_grad():
        last = states[:, -1]
        own = own_log_probabilities(lm, last, chosen)
        weight = node_probability(own, chosen)
        held = choosing_rows(len(states))
        found = [
            _fit_layer(lm, states[:, layer], last, own, weight, held, chosen)
            for layer in range(states.shape[1])
        ]
    change, shift, apart = (torch.stack(each) for each in zip(*found, strict=True))
    return TunedLens(change, shift, apart, fingerprint_as_run(lm))


def _fit_layer(
    lm: LanguageModel,
    here: Tensor,
    last: Tensor,
    own: Tensor,
    weight: Tensor,
    held: Tensor,
    chosen: LensTokens,
) -> tuple[Tensor, Tensor, Tensor]:
    """Return change, shift and divergence of one layer's map: the best penalty's, or none of a
    change where that is better still.
    """
    x, y, w = (
        each[~held].flatten(0, 1).double() for each in (here, last - here, weight.unsqueeze(-1))
    )
    w = w / w.sum()
    mean_x, mean_y = (w * x).sum(dim=0), (w * y).sum(dim=0)
    values, vectors = _directions(w.sqrt() * (x - mean_x))
    across = vectors.T @ ((w * (x - mean_x)).T @ (y - mean_y))
    typical = values.sum() / len(mean_x)
    judged = here[held].double()
    along = (judged - mean_x) @ vectors

    def apart(moved: Tensor) -> Tensor:
        read = LogitLens().logits(lm, lm.n_layers - 1, moved.to(lm.dtype), chosen.tokens)
        return divergence(own[held], read, weight[held])

    divergences = torch.stack(
        [apart(judged)]
        + [
            apart(judged + mean_y + (along / (values + penalty * typical)) @ across)
            for penalty in PENALTIES
        ]
    )
    best = int(divergences.argmin())
    if best == 0:
        change, shift = torch.zeros(2 * mean_x.shape, dtype=x.dtype), torch.zeros_like(mean_y)
    else:
        change = vectors @ (across / (values + PENALTIES[best - 1] * typical)[:, None])
        shift = mean_y - mean_x @ change
    return change.float(), shift.float(), divergences[best].float()


def _directions(x: Tensor) -> tuple[Tensor, Tensor]:
    """Return the eigenvalues [r] of x' x and its eigenvectors [width, r], of the directions in
    which the rows of ``x`` [n, width] vary at all, by way of the smaller of x' x and x x'.
    """
    tall = len(x) >= x.shape[1]
    values, vectors = torch.linalg.eigh(x.T @ x if tall else x @ x.T)
    kept = values > SMALLEST * values[-1]
    values, vectors = values[kept], vectors[:, kept]
    return values, vectors if tall else x.T @ vectors / values.sqrt()
