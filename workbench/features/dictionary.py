"""Hold a dictionary of features: a sparse autoencoder of one site, or a transcoder from one to
another.

With encoder rows e_i, decoder rows d_i and a state x, normalised where the dictionary was trained
so (:mod:`workbench.features.normalisation`),

    a_i = active(e_i . (x - centre) + b_i)          the activation of feature i
    reconstruction = sum_i a_i d_i + b + skip x      of the state that is written

A sparse autoencoder reads and writes one site and has no skip. A transcoder reads what the MLP is
given and writes what it gives. ``error`` is the written state minus the reconstruction: what the
dictionary does not explain. No patch here throws it away, since a patch adds the change of some
features along their decoder rows and leaves everything else as it is.

That a feature's change moves a readout does not show that the feature means what its label says,
nor that the dictionary's direction is one the model uses: a random direction of that length moves
something too.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from workbench.errors import WorkbenchError
from workbench.features.activation import Activation
from workbench.features.normalisation import Normalisation, Scale, scale_of_states
from workbench.features.sparse import SparseFeatures, in_order
from workbench.models import LanguageModel
from workbench.trace.checks import require_site, site_width
from workbench.trace.sites import Component, Site

BLOCK_BYTES = 64 * 2**20
"""The most memory that encoder outputs of a block of tokens and features take, and a block of
weights made wider."""


@dataclass(frozen=True, eq=False)
class Dictionary:
    """The weights of a dictionary, in any one precision; products are made in float32 or wider.

    Attributes:
        name: for messages and tables.
        site: where features are written.
        source: the component of the site's layer that is read; None for an autoencoder, which reads
            the site.
        encoder: [features, numbers of a state that is read].
        encoder_bias: [features].
        decoder: [features, numbers of a state that is written].
        decoder_bias: [numbers of a state that is written].
        centre: taken from a normalised state before the encoder; None for nothing.
        skip: [written, read], a linear map beside the features; None without one.

    Raises:
        WorkbenchError: for weights that do not fit each other, and sites that are slices.
    """

    name: str
    site: Site
    source: Component | None
    encoder: Tensor
    encoder_bias: Tensor
    decoder: Tensor
    decoder_bias: Tensor
    activation: Activation
    centre: Tensor | None = None
    skip: Tensor | None = None
    normalisation: Normalisation = "none"

    def __post_init__(self) -> None:
        if self.site.index is not None:
            raise WorkbenchError(f"Features are read of whole components, not of {self.site}.")
        if self.encoder.dim() != 2 or self.decoder.dim() != 2:
            raise WorkbenchError(f"The encoder and decoder of {self.name} are not matrices.")
        wanted: dict[str, tuple[Tensor | None, list[int]]] = {
            "encoder_bias": (self.encoder_bias, [self.features]),
            "decoder": (self.decoder, [self.features, self.width]),
            "decoder_bias": (self.decoder_bias, [self.width]),
            "centre": (self.centre, [self.source_width]),
            "skip": (self.skip, [self.width, self.source_width]),
        }
        for name, (found, shape) in wanted.items():
            if found is not None and [*found.shape] != shape:
                raise WorkbenchError(
                    f"The {name} of {self.name} is {[*found.shape]}, which does not fit an encoder "
                    f"of {self.features} features that read {self.source_width} numbers: expected "
                    f"{shape}."
                )
        threshold = self.activation.threshold
        if threshold is not None and [*threshold.shape] not in ([1], [self.features]):
            raise WorkbenchError(
                f"The thresholds of {self.name} are {[*threshold.shape]}, not one or "
                f"[{self.features}]."
            )
        if self.activation.k > self.features:
            raise WorkbenchError(
                f"{self.name} has {self.features} features and would keep {self.activation.k} a "
                "token."
            )

    @property
    def features(self) -> int:
        """The number of features."""
        return self.encoder.shape[0]

    @property
    def source_width(self) -> int:
        """How many numbers a state has that is read."""
        return self.encoder.shape[1]

    @property
    def width(self) -> int:
        """How many numbers a state has that is written."""
        return self.decoder.shape[1]

    @property
    def source_site(self) -> Site:
        """The site that is read."""
        return self.site if self.source is None else Site(self.site.layer, self.source)

    def to(self, device: torch.device) -> Dictionary:
        """Return the same on a device."""
        moved: dict[str, Any] = {
            name: None if part is None else part.to(device)
            for name in ("encoder", "encoder_bias", "decoder", "decoder_bias", "centre", "skip")
            for part in [getattr(self, name)]
        }
        return replace(self, **moved)

    def require_model(self, lm: LanguageModel) -> None:
        """Refuse a model without the layer or component, or with states of another width.

        Raises:
            WorkbenchError: for any of these.
        """
        for site, width in ((self.source_site, self.source_width), (self.site, self.width)):
            require_site(lm, site)
            if site_width(lm, site) != width:
                raise WorkbenchError(
                    f"The features of {self.name} are {width} wide and the states of {lm.name} at "
                    f"{site} {site_width(lm, site)}; take a dictionary trained on this model."
                )

    def require_features(self, features: Tensor) -> None:
        """Refuse features that the dictionary lacks or that are named twice.

        Raises:
            WorkbenchError: for both, and for none at all.
        """
        if features.dim() != 1 or len(features) == 0 or features.is_floating_point():
            raise WorkbenchError("Name the features by a list of whole numbers, at least one.")
        outside = features[(features < 0) | (features >= self.features)]
        if len(outside):
            raise WorkbenchError(
                f"Feature {int(outside[0])} does not exist; {self.name} has features 0 to "
                f"{self.features - 1}."
            )
        if len(features.unique()) < len(features):
            raise WorkbenchError("Name each feature of a patch once.")

    def activations(self, states: Tensor, features: Tensor) -> Tensor:
        """Return the activations [..., n] of ``features`` [n] at ``states`` [..., read width],
        from their encoder rows alone where the rule looks at each feature by itself.
        """
        if self.activation.kind == "topk":
            flat = states.reshape(-1, states.shape[-1])
            return self.encode(flat).chosen(features).reshape(*states.shape[:-1], -1)
        inner = self._inner(states)[0]
        index = features.to(self.encoder.device)
        weight, bias = self.encoder[index].to(inner), self.encoder_bias[index].to(inner)
        return self.activation.active_of(inner @ weight.T + bias, features)

    def encode(self, states: Tensor) -> SparseFeatures:
        """Return the active features of ``states`` [tokens, read width].

        Costs 2 * tokens * features * width operations; holds :data:`BLOCK_BYTES` besides the
        result.
        """
        inner, _ = self._inner(states)
        return self._largest(inner) if self.activation.kind == "topk" else self._active(inner)

    def decode(self, found: SparseFeatures, states: Tensor) -> Tensor:
        """Return the reconstruction [tokens, written width] of the active features ``found`` at
        source ``states`` [tokens, read width].
        """
        inner, scale = self._inner(states)
        out = self.decoder_bias.to(inner).repeat(len(states), 1)
        entries = max(1, BLOCK_BYTES // (4 * self.width))
        for start in range(0, len(found.token), entries):
            part = slice(start, start + entries)
            rows = self.decoder[found.feature[part].to(self.decoder.device)].to(inner)
            weighted = rows * found.value[part, None].to(inner)
            out.index_add_(0, found.token[part].to(out.device), weighted)
        if scale is not None:
            out = out * scale.size + scale.middle
        if self.skip is not None:
            wide = states.to(inner)
            out = out + wide @ self.skip.to(inner).T
        return out

    def direction(self, features: Tensor, states: Tensor) -> tuple[Tensor, Tensor | None]:
        """Return the decoder rows [n, written width] of ``features``, and the factor [..., 1] by
        which they are added at source ``states``; None for 1.
        """
        inner, scale = self._inner(states)
        rows = self.decoder[features.to(self.decoder.device)].to(inner)
        return rows, None if scale is None else scale.size

    def _inner(self, states: Tensor) -> tuple[Tensor, Scale | None]:
        """Return what the encoder is given for ``states``, float32 or wider, and how they were
        normalised.
        """
        wide = states.to(self.encoder.device)
        wide = wide.to(torch.promote_types(wide.dtype, torch.float32))
        scale = scale_of_states(self.normalisation, wide)
        if scale is not None:
            wide = (wide - scale.middle) / scale.divisor
        return (wide if self.centre is None else wide - self.centre.to(wide)), scale

    def _blocks(self, inner: Tensor) -> Iterator[tuple[int, int, Tensor]]:
        """Yield the encoder's output [tokens of a block, features of a block] with the first token
        and the first feature of each block.
        """
        wide = max(1, BLOCK_BYTES // (4 * self.source_width))
        for first in range(0, self.features, wide):
            weight = self.encoder[first : first + wide].to(inner)
            bias = self.encoder_bias[first : first + wide].to(inner)
            tall = max(1, BLOCK_BYTES // (4 * len(bias)))
            for token in range(0, len(inner), tall):
                yield token, first, inner[token : token + tall] @ weight.T + bias

    def _active(self, inner: Tensor) -> SparseFeatures:
        parts: list[tuple[Tensor, Tensor, Tensor]] = []
        for start, first, pre in self._blocks(inner):
            values = self.activation.active(pre, first)
            at, feature = values.nonzero(as_tuple=True)
            parts.append((at + start, feature + first, values[at, feature]))
        token, feature, value = (torch.cat(part) for part in zip(*parts, strict=True))
        return in_order(len(inner), self.features, token, feature, value)

    def _largest(self, inner: Tensor) -> SparseFeatures:
        k = self.activation.k
        values = inner.new_full((len(inner), k), -torch.inf)
        features = torch.zeros((len(inner), k), dtype=torch.long, device=inner.device)
        for start, first, pre in self._blocks(inner):
            rows = slice(start, start + len(pre))
            both = torch.cat([values[rows], pre], dim=1)
            mine = torch.arange(first, first + pre.shape[1], device=inner.device)
            names = torch.cat([features[rows], mine.expand(len(pre), -1)], dim=1)
            values[rows], at = both.topk(k, dim=1)
            features[rows] = names.gather(1, at)
        token, place = (values > 0).nonzero(as_tuple=True)
        return in_order(
            len(inner), self.features, token, features[token, place], values[token, place]
        )
