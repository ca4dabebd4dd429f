"""Draw found subspaces beside their placebos."""

from __future__ import annotations

from collections.abc import Mapping

from workbench.plots.swapped_subspaces import SwappedSubspaces, SwapRow
from workbench.subspaces.result import PLACEBOS, FoundSubspace

_WORDS = {
    "found": "learned subspace",
    "shuffled_variable": "variable of shuffled questions",
    "random_model": "randomly initialised model",
    "other_variable": "another variable",
    "random_subspaces": "random subspaces (range)",
    "whole_state": "whole state",
}


def swapped_figure(found: Mapping[str, FoundSubspace]) -> SwappedSubspaces:
    """Return the figure of subspaces of one variable after one layer, by name: accuracy and donor
    slope of each and of its placebos.
    """
    first = next(iter(found.values()))
    return SwappedSubspaces(
        rows={
            name: [
                SwapRow(
                    _WORDS[swapped], measures.accuracy, measures.donor_slope, swapped in PLACEBOS
                )
                for swapped, measures in each.rows().items()
                if swapped in _WORDS
            ]
            for name, each in found.items()
        },
        nothing=(first.nothing.accuracy.value, first.nothing.donor_slope.value),
        title=f"Subspaces of {first.variable} after layer {first.layer}",
        caption=f"learned on training questions, measured on {first.measures.accuracy.n} held-out "
        "ones with another question's coordinates; dotted: no swap",
    )
