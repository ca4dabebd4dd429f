"""Hold, save and read what searching, swapping and taking out did after each layer.

A subspace is read back as a :class:`~workbench.subspaces.result.FoundSubspace`, which cannot be
built without its placebos; so none is ever shown without them.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from dataclasses import dataclass
from typing import Any

import pandas as pd
import torch

from workbench.measure.interval import Estimate
from workbench.pipeline.store import StageStore
from workbench.subspaces.removal import Losses, Removal
from workbench.subspaces.result import PLACEBOS, FoundSubspace, Placebos, SwapMeasures
from workbench.trace.subspace import Subspace

SWAPS, REMOVALS, BASES = "swaps", "removals", "bases"
N = "held_out"


@dataclass(frozen=True, eq=False)
class SearchedSubspace:
    """A subspace that a search of this seed found, and what is lost without it."""

    seed: int
    found: FoundSubspace
    removal: Removal

    @property
    def exceeds_placebos(self) -> bool:
        """Whether its donor slope's interval lies above those of all placebos."""
        others = [measures.donor_slope.high for _, measures in self.found.placebos]
        return self.found.measures.donor_slope.low > max(others)

    def name(self, *, with_seed: bool) -> str:
        """Return its rank, and its seed where there are several, in words."""
        return f"{self.found.name}, seed {self.seed}" if with_seed else self.found.name


@dataclass(frozen=True, eq=False)
class LayerSubspaces:
    """The subspaces found after a layer in a condition of the model."""

    condition: str
    layer: int
    searched: tuple[SearchedSubspace, ...]

    @property
    def named(self) -> dict[str, SearchedSubspace]:
        """The subspaces by their names."""
        several = len({each.seed for each in self.searched}) > 1
        return {each.name(with_seed=several): each for each in self.searched}

    def swaps(self) -> pd.DataFrame:
        """Return a line for each subspace, each of its placebos and both ends."""
        return self._lines([each.found.table() for each in self.searched])

    def removals(self) -> pd.DataFrame:
        """Return a line for each subspace and each kind of random ones, taken out."""
        return self._lines(
            [
                pd.DataFrame(
                    [
                        {"layer": self.layer, "rank": each.found.rank, "taken_out": name}
                        | losses.spread_lost.to_dict("spread_lost")
                        | losses.auroc2_lost.to_dict("auroc2_lost")
                        for name, losses in each.removal.rows().items()
                    ]
                )
                for each in self.searched
            ]
        )

    def _lines(self, tables: list[pd.DataFrame]) -> pd.DataFrame:
        for number, (table, each) in enumerate(zip(tables, self.searched, strict=True)):
            table.insert(0, "condition", self.condition)
            table.insert(1, "number", number)
            table.insert(2, "seed", each.seed)
            table.insert(3, "boundless", each.found.boundless)
            table[N] = each.found.measures.accuracy.n
        return pd.concat(tables, ignore_index=True)


def save_layer(stage: StageStore, layer: LayerSubspaces) -> None:
    """Save the measures of a layer and its directions."""
    stage.save_table(SWAPS, layer.swaps())
    stage.save_table(REMOVALS, layer.removals())
    bases = {str(at): each.found.subspace.basis.numpy() for at, each in enumerate(layer.searched)}
    stage.save_tensors(BASES, bases)


def read_layer(stage: StageStore, condition: str, layer: int) -> LayerSubspaces:
    """Read what :func:`save_layer` saved."""
    swaps, removals, bases = stage.table(SWAPS), stage.table(REMOVALS), stage.tensors(BASES)
    searched = []
    for number, lines in swaps.groupby("number", sort=True):
        first = lines.iloc[0]
        swapped = {line["swapped"]: _swap(line) for line in lines.to_dict("records")}
        found = FoundSubspace(
            variable=str(first["variable"]),
            layer=layer,
            subspace=Subspace(torch.as_tensor(bases[str(number)])),
            boundless=bool(first["boundless"]),
            measures=swapped["found"],
            placebos=Placebos(**{name: swapped[name] for name in PLACEBOS}),
            nothing=swapped["nothing"],
            whole=swapped["whole_state"],
        )
        lost = {
            line["taken_out"]: _losses(line)
            for line in removals[removals["number"] == number].to_dict("records")
        }
        removal = Removal(
            found=lost["found"], random=lost["random"], random_of_states=lost["random_of_states"]
        )
        searched.append(SearchedSubspace(int(first["seed"]), found, removal))
    return LayerSubspaces(condition, layer, tuple(searched))


def summary_of(layers: list[LayerSubspaces]) -> dict[str, Any]:
    """Return the measures of every subspace by condition, layer and rank, each beside the largest
    of its placebos, or the larger of the random subspaces' means.
    """
    out: dict[str, Any] = {}
    for one in layers:
        for name, each in one.named.items():
            key = f"{one.condition}.layer{one.layer}.{_key(name)}"
            found, placebos = each.found, [measures for _, measures in each.found.placebos]
            out |= found.measures.accuracy.to_dict(f"{key}.accuracy")
            out[f"{key}.accuracy.placebos"] = max(each.accuracy.value for each in placebos)
            out |= found.measures.donor_slope.to_dict(f"{key}.donor_slope")
            out[f"{key}.donor_slope.placebos"] = max(each.donor_slope.value for each in placebos)
            out[f"{key}.exceeds_placebos"] = each.exceeds_placebos
            for loss in ("spread_lost", "auroc2_lost"):
                lost, *random = (getattr(every, loss) for every in each.removal.rows().values())
                out |= lost.to_dict(f"{key}.{loss}")
                out[f"{key}.{loss}.random"] = max(every.value for every in random)
    return out


def _key(name: str) -> str:
    return name.replace("(found)", "found").replace(",", "").replace(" ", "_")


def _estimate(line: Mapping[Hashable, Any], name: str) -> Estimate:
    value, low, high = (float(line[name + end]) for end in ("", ".low", ".high"))
    return Estimate(value, low, high, int(line[N]))


def _swap(line: Mapping[Hashable, Any]) -> SwapMeasures:
    names = ("accuracy", "donor_slope", "base_slope")
    return SwapMeasures(*(_estimate(line, name) for name in names))


def _losses(line: Mapping[Hashable, Any]) -> Losses:
    return Losses(_estimate(line, "spread_lost"), _estimate(line, "auroc2_lost"))
