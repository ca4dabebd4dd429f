"""Fit one affine map a layer that carries its states to the last layer's, and read the scale after
it.

Layers change the basis that they write in, so a logit lens may fail where the information is there.
The map of a layer predicts the last layer's output at the same token by ridge regression: h_last ~
h W + b, penalised towards the identity, that is h_last - h is predicted. It is fitted on training
questions at the confidence position and the scale's inner nodes, each weighted by how probable it
is that the model comes there. The penalty is chosen on a fifth of these questions, by the
divergence of the scale's distribution from the model's own, KL(model || lens) in nats; that is what
the tuned lens of Belrose et al. 2023 minimises by gradient descent (the closed form is Din et al.
2023's).

Sign: a lower divergence, a better lens. A map is fitted to what the model itself says in the end,
never to grades. A lens belongs to the model it was fitted on; files name its fingerprint, and
another model's is refused.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor

from workbench.bottleneck.scale_lens import LensTokens, LogitLens
from workbench.errors import WorkbenchError
from workbench.files.writing import write_atomically
from workbench.models import LanguageModel
from workbench.models.unembed import unembed_tokens

PENALTIES = (1e-4, 1e-3, 1e-2, 1e-1, 1.0, 10.0, 100.0)
"""Shares of the mean variance of a state's entries."""
CHOSEN_ON = 5
"""One question of so many chooses the penalty."""


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
        return unembed_tokens(lm, lm.final_norm()(moved.to(states.dtype)), tokens)

    def save(self, path: Path) -> None:
        """Write the lens as safetensors."""
        tensors = {"change": self.change, "shift": self.shift, "divergence": self.divergence}
        kept = {name: each.contiguous() for name, each in tensors.items()}
        about = {"lens": json.dumps({"model": self.model})}
        write_atomically(path, lambda temporary: save_file(kept, temporary, metadata=about))


def load_lens(path: Path, lm: LanguageModel) -> TunedLens:
    """Read a lens of this model.

    Raises:
        WorkbenchError: for a file that is no lens, and a lens of another model.
    """
    try:
        with safe_open(path, "pt") as file:
            about = json.loads((file.metadata() or {}).get("lens", "null"))
            tensors = {name: file.get_tensor(name) for name in ("change", "shift", "divergence")}
    except Exception as error:  # safetensors raises its own for damaged files, OSError for missing
        raise WorkbenchError(f"{path} is no tuned lens: fit one and save it") from error
    if about is None or about["model"] != lm.revision:
        raise WorkbenchError(
            f"the lens in {path} was fitted on another model than {lm.name!r}: fit one on this"
        )
    return TunedLens(**tensors, model=str(about["model"]))


def fit_tuned_lens(lm: LanguageModel, states: Tensor, chosen: LensTokens) -> TunedLens:
    """Fit a lens on ``states`` [questions, layers, inner nodes, width] of training questions, as
    :func:`workbench.bottleneck.scale_lens.node_states` records them.

    Memory: a copy of one layer's states in float64 and a few matrices [width, width]. Time: one
    eigendecomposition of such a matrix a layer.

    Raises:
        WorkbenchError: for fewer than CHOSEN_ON questions.
    """
    if len(states) < CHOSEN_ON:
        raise WorkbenchError(
            f"a tuned lens needs states of at least {CHOSEN_ON} questions; there are {len(states)}"
        )
    with torch.no_grad():
        last = states[:, -1]
        own = LogitLens().logits(lm, lm.n_layers - 1, last.to(lm.dtype), chosen.tokens)
        own = own.double().log_softmax(dim=-1)
        weight = _reached(own, chosen)
        held = torch.arange(len(states)) % CHOSEN_ON == 0
        found = [
            _fit_layer(lm, states[:, layer], last, own, weight, held, chosen)
            for layer in range(states.shape[1])
        ]
    change, shift, divergence = (torch.stack(each) for each in zip(*found, strict=True))
    return TunedLens(change, shift, divergence, str(lm.revision))


def _reached(own: Tensor, chosen: LensTokens) -> Tensor:
    """Return the probability [questions, nodes] that the model comes to each inner node."""
    trie, column = chosen.trie, {token: n for n, token in enumerate(chosen.tokens)}
    reached = [torch.ones_like(own[:, 0, 0])]
    for path, parent in zip(trie.inner[1:], trie.parent[1:], strict=True):
        reached.append(reached[parent] * own[:, parent, column[path[-1]]].exp())
    return torch.stack(reached, dim=1)


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
    x, y = x - mean_x, y - mean_y
    values, vectors = torch.linalg.eigh((w * x).T @ x)
    across = vectors.T @ ((w * x).T @ y)
    typical = values.clamp(min=0).mean()
    nothing = torch.zeros_like(across), torch.zeros_like(mean_y)
    maps = [nothing]
    for penalty in PENALTIES:
        change = vectors @ (across / (values.clamp(min=0) + penalty * typical)[:, None])
        maps.append((change, mean_y - mean_x @ change))
    divergences = torch.stack(
        [_divergence(lm, here[held], own[held], weight[held], each, chosen) for each in maps]
    )
    best = int(divergences.argmin())
    change, shift = maps[best]
    return change.float(), shift.float(), divergences[best].float()


def _divergence(
    lm: LanguageModel,
    here: Tensor,
    own: Tensor,
    weight: Tensor,
    affine: tuple[Tensor, Tensor],
    chosen: LensTokens,
) -> Tensor:
    wide = here.double()
    moved = (wide + wide @ affine[0] + affine[1]).to(lm.dtype)
    logits = unembed_tokens(lm, lm.final_norm()(moved), chosen.tokens)
    found = logits.double().log_softmax(dim=-1)
    apart = (own.exp() * (own - found)).sum(dim=-1)
    return (weight * apart).sum() / weight.sum()
