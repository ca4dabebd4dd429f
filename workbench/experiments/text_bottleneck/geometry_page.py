"""Draw the geometry of a run's directions over layers, and write it at the probe's layer in words
and numbers.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd

from workbench.bottleneck.geometry import (
    AFTER_NORM,
    CONFIDENCE,
    COVARIANCE,
    IN_HEAD,
    IN_READOUT,
    ISOTROPIC,
    PROBE,
    RANK,
    SHUFFLED,
    WITH_CONFIDENCE,
    WITH_CONTRAST,
    Form,
    Space,
)
from workbench.experiments.text_bottleneck.geometry import JACOBIAN, LOGIT_LENS
from workbench.measure.interval import IntervalCurve
from workbench.plots.random_ranges import RandomRangeRow, RandomRanges
from workbench.report import Section


@dataclass(frozen=True)
class ShownQuantity:
    """A quantity of the table that is shown, and the kind of random direction beside it.

    ``shown`` is its name in a legend, ``words`` in a table.
    """

    shown: str
    words: str
    quantity: str
    direction: str
    form: Form
    space: Space
    readout: str
    random: str

    def of(self, table: pd.DataFrame) -> pd.DataFrame:
        """Return the quantity's rows of a condition's ``table``, one a layer."""
        wanted = {
            "quantity": self.quantity,
            "direction": self.direction,
            "form": self.form,
            "space": self.space,
            "readout": self.readout,
            "random": self.random,
        }
        mine = np.logical_and.reduce([table[name] == value for name, value in wanted.items()])
        return table[mine].sort_values("layer")


AGREEMENT = (
    ShownQuantity(
        "stated confidence", "correlation of probe's reading and stated confidence's",
        WITH_CONFIDENCE, PROBE, "filter", "covariance", "", SHUFFLED,
    ),
    ShownQuantity(
        "high against low numbers", "correlation of probe's reading and high against low numbers'",
        WITH_CONTRAST, PROBE, "filter", "covariance", JACOBIAN, SHUFFLED,
    ),
    ShownQuantity(
        "confidence with high against low",
        "correlation of stated confidence's reading and high against low numbers'",
        WITH_CONTRAST, CONFIDENCE, "filter", "covariance", JACOBIAN, COVARIANCE,
    ),
)  # fmt: skip
HELD = (
    ShownQuantity(
        "Jacobian", "share of the probe's reading in the number readout",
        IN_READOUT, PROBE, "filter", "covariance", JACOBIAN, SHUFFLED,
    ),
    ShownQuantity(
        "logit lens", "the same through the logit lens",
        IN_READOUT, PROBE, "filter", "covariance", LOGIT_LENS, SHUFFLED,
    ),
)  # fmt: skip
SURVIVES = (
    ShownQuantity(
        "after the norm", "share of the probe's pattern that survives the norm",
        AFTER_NORM, PROBE, "pattern", "raw", "", SHUFFLED,
    ),
    ShownQuantity(
        "of that, in the head's numbers", "share of that in the head's number rows",
        IN_HEAD, PROBE, "pattern", "raw", "", SHUFFLED,
    ),
)  # fmt: skip
RANKS = (
    ShownQuantity(
        "Jacobian", "effective rank of the number readout",
        RANK, "", "rows", "covariance", JACOBIAN, ISOTROPIC,
    ),
    ShownQuantity(
        "logit lens", "the same of the logit lens",
        RANK, "", "rows", "covariance", LOGIT_LENS, ISOTROPIC,
    ),
)  # fmt: skip
FIGURE_ROWS = (
    ("correlation", AGREEMENT, (0.0,)),
    ("share of probe's reading", HELD, (0.0,)),
    ("share of probe's pattern", SURVIVES, (0.0, 1.0)),
    ("effective rank", RANKS, (1.0,)),
)


def geometry_section(table: pd.DataFrame, labels: Mapping[str, str], caption: str) -> Section:
    """Return the section with the figure, from the ``table`` of all conditions, whose names on the
    page are ``labels``.
    """
    by_label = {label: table[table["condition"] == when] for when, label in labels.items()}
    rows = [
        RandomRangeRow(
            y,
            {
                label: {each.shown: _curve(each.of(mine)) for each in shown}
                for label, mine in by_label.items()
            },
            levels,
        )
        for y, shown, levels in FIGURE_ROWS
    ]
    figure = RandomRanges(
        layers=np.unique(table["layer"].to_numpy()),
        rows=rows,
        title="The probe's direction and the numbers' directions",
        caption=caption,
    )
    return Section(
        "Geometry by layer",
        "From the top: what the probe's direction at the confidence position has in common with "
        "those that confidence is written along, as correlations of readings over held-out "
        "questions; how much of the probe's reading the differences of the number logits hold, to "
        "first order; how much of the pattern in the states that goes with the probe the final "
        "norm leaves and, of that, how much lies where the head reads numbers; along how many "
        "dimensions questions move the numbers. Bands, the middle 95 %: in the probe's place "
        "probes of grades shuffled within domain, in stated confidence's random mixtures of "
        "states, in the readout's random rows. Where stated confidence was taught from a probe, "
        "its direction agrees with the probe's below the adapter too.",
        figure.figure(),
        "geometry",
    )


def geometry_rows(
    table: pd.DataFrame, labels: Mapping[str, str], layers: Mapping[str, int]
) -> list[dict[str, str]]:
    """Write what is drawn at the probe's layer of each condition, ``layers``, as lines of a
    table.
    """
    found = []
    for when, layer in layers.items():
        mine = table[(table["condition"] == when) & (table["layer"] == layer)]
        for _, shown, _ in FIGURE_ROWS:
            for each in shown:
                row = each.of(mine).iloc[0]
                found.append(
                    {
                        "condition": f"{labels[when]} (layer {layer})",
                        "what": each.words,
                        "value": f"{row['value']:.3f}",
                        "random": f"{row['random_low']:.3f} to {row['random_high']:.3f}",
                        "p": f"{row['p']:.3f}",
                    }
                )
    return found


def _curve(rows: pd.DataFrame) -> IntervalCurve:
    return IntervalCurve(
        *(rows[name].to_numpy() for name in ("value", "random_low", "random_high"))
    )
