"""Estimate the effect of every feature's donor activation from two forwards and one backward.

The score of feature i at a token is

    (a_i of the donor - a_i of the base) * d_i . gradient of the metric at the written state

the first-order estimate of what giving the feature the donor's activation adds to the metric, alone
and with all else as it was (:func:`workbench.features.patches.donor_features`). Positive: the patch
raises the metric. One backward gives every feature of every dictionary; scored are the features
that are active in either run, which are the only ones whose activation differs.

The scores of an autoencoder's features and of its error sum to the attribution of the whole state
(:mod:`workbench.patch.attribution`): ``error`` holds that remainder, what the donor's state would
move through the part that no feature explains. A large remainder says that the features are not the
story.

What the number does not show is what the tangent cannot see: saturation, norms that rescale, large
differences. :func:`workbench.features.verification.verify_features` patches the largest and some
random features truly. Memory: the activations of one forward with gradients, and for each place the
gradient at the asked-for tokens.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import Tensor

from workbench.errors import WorkbenchError
from workbench.features.dictionary import Dictionary
from workbench.features.sparse import SparseFeatures
from workbench.models import LanguageModel
from workbench.models.components import scale_of
from workbench.patch.components import seen, states_at
from workbench.patch.inputs import Batch, ModelInputs, batch_of, require_pair
from workbench.patch.metrics import Metric
from workbench.progress import task
from workbench.trace.batches import plan_batches
from workbench.trace.edits import SiteKey, gather_columns, place
from workbench.trace.forward import run_joint
from workbench.trace.hooks import Transform, hooked

ENTRIES = 65536
"""How many decoder rows are in memory together beside the dictionary's own."""


@dataclass(frozen=True, eq=False)
class FeatureScores:
    """The scores of one dictionary's features at the runs' positions.

    Attributes:
        row, position, feature: [entries] the item, the place in the runs' positions, the feature.
        score: [entries] the estimated effect.
        change: [entries] the donor's activation less the base's.
        error: [rows, positions] the estimated effect of what no feature explains.
    """

    dictionary: Dictionary
    row: Tensor
    position: Tensor
    feature: Tensor
    score: Tensor
    change: Tensor
    error: Tensor

    def table(self) -> pd.DataFrame:
        """Return one line per position and feature, largest first: mean ``score`` over all rows,
        with 0 where the feature is active in neither run; ``size``, the mean of absolute scores;
        ``rows`` where it is active; and the mean ``change`` of its activation.
        """
        lines = pd.DataFrame(
            {
                "position": self.position.numpy(),
                "feature": self.feature.numpy(),
                "score": self.score.double().numpy(),
                "change": self.change.double().numpy(),
            }
        )
        lines["size"] = lines["score"].abs()
        lines["rows"] = 1
        summed = lines.groupby(["position", "feature"], as_index=False).sum()
        for column in ("score", "size", "change"):
            summed[column] /= len(self.error)
        order = summed.sort_values("size", ascending=False, kind="stable", ignore_index=True)
        return order[["position", "feature", "score", "size", "rows", "change"]]


@dataclass(frozen=True, eq=False)
class FeatureAttribution:
    """The scores of several dictionaries, and the metric of ``base`` and ``donor`` [rows]."""

    base: Tensor
    donor: Tensor
    of: tuple[FeatureScores, ...]


def attribute_features(
    base: ModelInputs,
    donor: ModelInputs,
    dictionaries: Sequence[Dictionary],
    metric: Metric,
    *,
    tokens_per_forward: int,
) -> FeatureAttribution:
    """Score the features of ``dictionaries`` at the runs' positions.

    Args:
        base: the run that would be patched.
        donor: the run the activations come from; positions are paired by place.
        tokens_per_forward: most tokens of a pass; the pass with gradients keeps the activations of
            that many.

    Raises:
        WorkbenchError: before any forward, for runs that do not fit each other, no dictionary, and
            dictionaries that do not fit the model.
    """
    require_pair(base, donor, metric.tree.size)
    if not dictionaries:
        raise WorkbenchError("Give at least one dictionary whose features are scored.")
    for dictionary in dictionaries:
        dictionary.require_model(base.lm)
    books = [dictionary.to(base.lm.device) for dictionary in dictionaries]
    parts: list[tuple[NDArray[np.int64], Tensor, Tensor, list[FeatureScores]]] = []
    lengths = torch.maximum(base.lengths, donor.lengths).tolist()
    with task("attributing to features", total=len(lengths)) as progress:
        for rows in plan_batches(lengths, tokens_per_forward, metric.tree.size):
            chosen = torch.as_tensor(rows)
            parts.append((rows, *_batch(base, donor, chosen, books, metric)))
            progress.advance(len(rows))
    back = torch.as_tensor(np.argsort(np.concatenate([rows for rows, *_ in parts])))
    return FeatureAttribution(
        torch.cat([value for _, value, _, _ in parts])[back],
        torch.cat([value for _, _, value, _ in parts])[back],
        tuple(
            _joined(dictionary, [(rows, scores[index]) for rows, _, _, scores in parts], back)
            for index, dictionary in enumerate(dictionaries)
        ),
    )


def _joined(
    dictionary: Dictionary, parts: list[tuple[NDArray[np.int64], FeatureScores]], back: Tensor
) -> FeatureScores:
    row = torch.cat([torch.as_tensor(rows)[scores.row] for rows, scores in parts])
    names = ("position", "feature", "score", "change")
    columns = {name: torch.cat([getattr(scores, name) for _, scores in parts]) for name in names}
    error = torch.cat([scores.error for _, scores in parts])[back]
    return FeatureScores(dictionary, row, error=error, **columns)


def _batch(
    base: ModelInputs, donor: ModelInputs, rows: Tensor, books: list[Dictionary], metric: Metric
) -> tuple[Tensor, Tensor, list[FeatureScores]]:
    """Return the metric of base and donor [rows], and each dictionary's scores."""
    places = [*{at for book in books for at in (_key(book), _source_key(book))}]
    with donor.within(), torch.no_grad():
        final, donors = states_at(donor.lm, batch_of(donor, rows, metric.tree), places)
        value = metric.of(donor.lm, final).cpu()
    with base.within():
        own, bases, gradients = _gradients(
            base.lm, batch_of(base, rows, metric.tree), books, metric
        )
    return own, value, [_scores(book, bases, donors, gradients) for book in books]


def _gradients(
    lm: LanguageModel, batch: Batch, books: Sequence[Dictionary], metric: Metric
) -> tuple[Tensor, dict[SiteKey, Tensor], dict[SiteKey, Tensor]]:
    """Return the metric [rows], the states at every place that the dictionaries read or write, and
    the metric's gradients at those they write, [rows, n, width] in the component's units.
    """
    written = {_key(book) for book in books}
    places = {*written, *(_source_key(book) for book in books)}
    first = place(min(book.site.layer for book in books), "resid_pre")
    leaves: list[Tensor] = []
    states: dict[SiteKey, Tensor] = {}
    gradients: dict[SiteKey, Tensor] = {}

    def follow(at: SiteKey) -> Transform:
        scale = scale_of(lm, at[1])

        def transform(hidden: Tensor) -> Tensor:
            if at == first:
                leaves.append(hidden.detach().requires_grad_())
                # A view, because only a tensor inside the graph has its hooks called whatever the
                # backward is asked for.
                hidden = leaves[0].view_as(leaves[0])
            if at in places:
                states[at] = seen(lm, at, hidden, batch.columns)
            if at in written:

                def keep(gradient: Tensor) -> None:
                    gradients[at] = gather_columns(gradient, batch.columns) / scale

                hidden.register_hook(keep)
            return hidden

        return transform

    with hooked(lm, {at: follow(at) for at in {first, *places}}):
        final = run_joint(lm, batch.prompts, batch.tail, None, (), None, gradients=True)
    with torch.enable_grad():
        value = metric.of(lm, gather_columns(final, batch.ends))
        torch.autograd.grad(value.sum(), leaves)
    return value.detach().cpu(), states, gradients


def _key(book: Dictionary) -> SiteKey:
    return place(book.site.layer, book.site.component)


def _source_key(book: Dictionary) -> SiteKey:
    return place(book.source_site.layer, book.source_site.component)


def _scores(
    book: Dictionary,
    bases: Mapping[SiteKey, Tensor],
    donors: Mapping[SiteKey, Tensor],
    gradients: Mapping[SiteKey, Tensor],
) -> FeatureScores:
    gradient = gradients[_key(book)].to(book.encoder.device)
    gradient = gradient.to(torch.promote_types(gradient.dtype, torch.float32))
    rows, columns = gradient.shape[:2]
    flat = gradient.flatten(0, 1)
    source = bases[_source_key(book)].flatten(0, 1)
    change = _difference(book.encode(donors[_source_key(book)].flatten(0, 1)), book.encode(source))
    slope = flat.new_zeros(len(change.token))
    for start in range(0, len(slope), ENTRIES):
        part = slice(start, start + ENTRIES)
        decoder, _ = book.direction(change.feature[part], source[:1])
        slope[part] = (decoder.to(flat) * flat[change.token[part]]).sum(dim=-1)
    size = book.direction(change.feature[:1], source)[1]
    if size is not None:
        slope = slope * size[change.token, 0].to(slope)
    score = change.value.to(slope) * slope
    apart = (donors[_key(book)] - bases[_key(book)]).flatten(0, 1).to(flat)
    whole = (apart * flat).sum(dim=-1)
    explained = torch.zeros_like(whole).index_add_(0, change.token, score)
    return FeatureScores(
        book,
        (change.token // columns).cpu(),
        (change.token % columns).cpu(),
        change.feature.cpu(),
        score.cpu(),
        change.value.cpu(),
        (whole - explained).reshape(rows, columns).cpu(),
    )


def _difference(donor: SparseFeatures, base: SparseFeatures) -> SparseFeatures:
    """Return the donor's activations less the base's, of each feature active in either."""
    names = torch.cat([part.token * part.features + part.feature for part in (donor, base)])
    values = torch.cat([donor.value, -base.value])
    unique, inverse = names.unique(return_inverse=True)
    change = values.new_zeros(len(unique)).index_add_(0, inverse, values)
    return SparseFeatures(
        base.tokens, base.features, unique // base.features, unique % base.features, change
    )
