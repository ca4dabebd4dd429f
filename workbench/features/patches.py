"""Patch features: set, scale, silence them, or give them a donor's activations.

At a token the pass reads the old activations from that very state and adds

    sum_i (new_i - old_i) d_i,        new_i = value_i + factor * old_i

with the decoder rows d_i (times the state's own scale where the dictionary normalises states). The
dictionary's error and all other features' parts of the state stay as they are, so a patch that
gives features the activations they have changes nothing. After an autoencoder's patch the state may
encode to other activations than were asked for, because encoder rows are not orthogonal: what is
set is what is added, not what would be read back.

Such a patch is one of a branch like any other (:func:`workbench.trace.patch_branches`): packed,
looped and from copies of states. Its sign is the feature's own: larger activations add more of its
row.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from workbench.errors import WorkbenchError
from workbench.features.dictionary import Dictionary
from workbench.trace.interventions import Patch
from workbench.trace.sites import Component


@dataclass(frozen=True, eq=False)
class FeatureChange:
    """The addition by which ``features`` [n] of a dictionary get new activations; values are [rows,
    n].

    Raises:
        WorkbenchError: for features that the dictionary lacks or that are named twice.
    """

    dictionary: Dictionary
    features: Tensor

    def __post_init__(self) -> None:
        self.dictionary.require_features(self.features)

    @property
    def source(self) -> Component | None:
        """The component that is read; None for the written site itself."""
        return self.dictionary.source

    @property
    def size(self) -> int:
        """The number of features."""
        return len(self.features)

    @property
    def source_width(self) -> int:
        """How many numbers a state has that is read."""
        return self.dictionary.source_width

    @property
    def width(self) -> int:
        """How many numbers a state has that is written."""
        return self.dictionary.width

    def added(self, states: Tensor, value: Tensor, factor: float) -> Tensor:
        """Return what is added [..., width] where source ``states`` [..., source_width] stand, for
        activations ``value`` [..., n] + ``factor`` * the old ones.
        """
        book = self.dictionary
        old = book.activations(states, self.features)
        change = value.to(old) + (factor - 1.0) * old
        rows, size = book.direction(self.features, states)
        added = change @ rows
        return (added if size is None else added * size).to(states.device)


def set_features(
    dictionary: Dictionary, features: Sequence[int], values: Tensor, positions: Tensor
) -> Patch:
    """Return the patch that gives ``features`` [n] the activations ``values`` [rows, n] at token
    ``positions`` [rows].

    Raises:
        WorkbenchError: for features the dictionary lacks, and values of another shape.
    """
    return _patch(dictionary, features, values, positions, 0.0)


def scale_features(
    dictionary: Dictionary, features: Sequence[int], factor: float, positions: Tensor
) -> Patch:
    """Return the patch that multiplies the activations of ``features`` by ``factor``.

    Raises:
        WorkbenchError: for features the dictionary lacks, and a factor that is not finite.
    """
    nothing = torch.zeros((len(positions), len(features)))
    return _patch(dictionary, features, nothing, positions, factor)


def zero_features(dictionary: Dictionary, features: Sequence[int], positions: Tensor) -> Patch:
    """Return the patch that takes ``features`` out of the state.

    Raises:
        WorkbenchError: for features the dictionary lacks.
    """
    return scale_features(dictionary, features, 0.0, positions)


def donor_features(
    dictionary: Dictionary, features: Sequence[int], states: Tensor, positions: Tensor
) -> Patch:
    """Return the patch that gives ``features`` the activations they have at a donor's ``states``
    [rows, read width], recorded at :attr:`~workbench.features.dictionary.Dictionary.source_site`.

    Raises:
        WorkbenchError: for features the dictionary lacks, and states of another width.
    """
    wanted = torch.as_tensor(list(features))
    dictionary.require_features(wanted)
    if states.dim() != 2 or states.shape[1] != dictionary.source_width:
        raise WorkbenchError(
            f"The donor's states are {[*states.shape]}, and {dictionary.name} reads [rows, "
            f"{dictionary.source_width}] at {dictionary.source_site}."
        )
    values = dictionary.activations(states, wanted)
    return set_features(dictionary, features, values, positions)


def _patch(
    dictionary: Dictionary,
    features: Sequence[int],
    values: Tensor,
    positions: Tensor,
    factor: float,
) -> Patch:
    change = FeatureChange(dictionary, torch.as_tensor(list(features)))
    if values.dim() != 2 or values.shape[1] != len(features):
        raise WorkbenchError(
            f"Activations to set are [rows, {len(features)}], one for each feature, not "
            f"{[*values.shape]}."
        )
    return Patch(dictionary.site, positions, values, "computed", factor=factor, addition=change)
