"""Draw what changes of the probe's direction did, and write what the rank-one map made of the
text.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from workbench.arrays import Floats
from workbench.experiments.text_bottleneck.condition_model import MEANS, OWN, PROBE
from workbench.experiments.text_bottleneck.intervention_results import (
    EXPECTED,
    SAID,
    WRITTEN,
    Interventions,
    Removal,
)
from workbench.experiments.text_bottleneck.interventions import RANDOM, WHOLE
from workbench.plots.curve_panels import Curve, CurvePanels
from workbench.report import Section

NAMED: Mapping[tuple[str, int], str] = {
    (PROBE, 0): "the probe's direction",
    (RANDOM, 0): "a random direction of the probe's variance",
    (OWN, 0): "its own probe's direction",
    (MEANS, 0): "the difference of means",
    (RANDOM, 1): "a random direction of the difference's variance",
    (WHOLE, 0): "the whole state",
}
"""What a direction and its number are called."""
PUSHED_ALONG = {PROBE: "the probe's direction", RANDOM: "a random direction"}
SHOWN = {EXPECTED: "expected confidence", WRITTEN: "text"}
Found = Mapping[str, Interventions]
"""The interventions of every condition, by what it is called on the page."""


def intervention_sections(found: Found, caption: str) -> list[Section]:
    """Return the sections: directions taken out, swapped, and pushed."""
    return [_removals(found, caption), _swaps(found, caption), _pushes(found, caption)]


def _counted(found: Found) -> Interventions:
    return next(iter(found.values()))


def map_rows(found: Found) -> list[dict[str, str]]:
    """Write what the rank-one map made of the text, one row a condition."""
    return [
        {
            "teaching": when,
            "after layer": str(each.mapped.chosen.layer),
            "nats per standard deviation": f"{each.mapped.chosen.strength:g}",
            "nats for all": f"{each.mapped.chosen.offset:.1f}",
            "text, AUROC2 within domain": f"{each.mapped.within:.2f}",
            "more than the text": f"{each.mapped.gain:.2f}",
            "another question's reading": f"{each.mapped.another:.2f}",
            "a random direction": ", ".join(f"{one:.2f}" for one in each.mapped.random),
            "text follows the reading, rho": f"{each.mapped.follows:.2f}",
        }
        for when, each in found.items()
    ]


def intervention_tables(found: Found) -> dict[str, pd.DataFrame]:
    """Write all changes as tables, by file name; none without interventions."""
    if not found:
        return {}
    return {
        "removed.csv": pd.DataFrame(
            [
                {"condition": when, "layer": one.layer, "direction": one.direction}
                | {"number": one.number}
                | one.within[name].to_dict(f"{name}.auroc2_within")
                | one.lost[name].to_dict(f"{name}.lost")
                for when, each in found.items()
                for one in each.removals
                for name in SAID
            ]
        ),
        "swapped.csv": pd.DataFrame(
            [
                {
                    "condition": when,
                    "layer": layer,
                    "direction": one.direction,
                    "number": one.number,
                    "followed": one.followed.value[at],
                    "low": one.followed.low[at],
                    "high": one.followed.high[at],
                }
                for when, each in found.items()
                for one in each.swaps
                for at, layer in enumerate(each.layers)
            ]
        ),
        "pushed.csv": pd.DataFrame(
            [
                {"condition": when, "layer": one.layer, "direction": one.direction}
                | {"number": one.number, "length": one.length}
                | one.moved[EXPECTED].to_dict(EXPECTED)
                | one.moved[WRITTEN].to_dict(WRITTEN)
                for when, each in found.items()
                for one in each.pushes
            ]
        ),
    }


def _removals(found: Found, caption: str) -> Section:
    panels = {f"{when}: {SHOWN[name]}": _removed(each, name)
              for when, each in found.items() for name in SAID}  # fmt: skip
    left = "; ".join(
        f"{when} without {NAMED[name, 0]} {', '.join(f'{one:.2f}' for one in probes)}"
        for when, each in found.items()
        for name, probes in each.left.items()
    )
    figure = CurvePanels(
        layers=np.asarray(_counted(found).layers),
        panels=panels,
        y="AUROC2 within domain",
        title="With one direction taken out",
        caption=f"{caption}, {_counted(found).patched} of them patched",
        levels=(0.5,),
        y_range=(0.3, 0.95),
    )
    return Section(
        "Is the probe's direction needed?",
        "The projection onto the direction is set to its mean at the confidence position and the "
        "number's further tokens, after one layer. A drop below the unpatched line that random "
        "directions of equal variance do not show: what is said came through this direction. No "
        "drop: it came another way, or not at all. Without the difference between right and wrong "
        "answers' mean states no linear reading tells training questions apart, so what is still "
        "said is read otherwise (no norm is linear) or from other positions. What new probes read "
        "from such states, "
        f"by layer: {left}.",
        figure.figure(),
        "removed",
    )


def _removed(each: Interventions, name: str) -> list[Curve]:
    unpatched = np.full(len(each.layers), each.said[name].value)
    curves = [Curve("unpatched", "unpatched", unpatched)]
    for key in dict.fromkeys((one.direction, one.number) for one in each.removals):
        of = [one for one in each.removals if (one.direction, one.number) == key]
        label = f"without {NAMED[key]}"
        curves.append(Curve(label, label, _by_layer(of, name, each.layers)))
    return curves


def _by_layer(removals: Sequence[Removal], name: str, layers: Sequence[int]) -> Floats:
    at = {one.layer: one.within[name].value for one in removals}
    return np.array([at[layer] for layer in layers])


def _swaps(found: Found, caption: str) -> Section:
    panels = {
        when: [
            Curve(label, label, one.followed.value)
            for one in each.swaps
            for label in (NAMED[one.direction, one.number],)
        ]
        for when, each in found.items()
    }
    figure = CurvePanels(
        layers=np.asarray(_counted(found).layers),
        panels=panels,
        y="slope on the other question's confidence",
        title="With another question's projection",
        caption=f"{caption}, {_counted(found).patched} of them patched",
        y_range=(-0.2, 1.15),
    )
    return Section(
        "Does the text follow one direction?",
        "Another question's projection takes the place of this one's. At 1 the expected confidence "
        "becomes the other question's, at 0 it stays. What the whole state moves and the direction "
        "does not goes by other directions.",
        figure.figure(),
        "swapped",
    )


def _pushes(found: Found, caption: str) -> Section:
    panels = {f"{when}: {SHOWN[name]}": _pushed(each, name)
              for when, each in found.items() for name in SAID}  # fmt: skip
    figure = CurvePanels(
        layers=_lengths(_counted(found)),
        panels=panels,
        y="mean change",
        title="Pushed along the direction",
        caption=f"{caption}, {_counted(found).pushed} of them pushed",
        levels=(0.0,),
        x="length of the push (standard deviations of the probe's reading)",
    )
    return Section(
        "How much does it take?",
        "One line a layer: the mean change of what is said under a push along the displacement "
        "that goes with the probe's direction, and along random ones of the same length. The "
        "mean of a number sampled at temperature 1 is the expected confidence: one curve.",
        figure.figure(),
        "pushed",
    )


def _lengths(each: Interventions) -> Floats:
    return np.array(sorted({0.0, *(one.length for one in each.pushes)}))


def _pushed(each: Interventions, name: str) -> list[Curve]:
    lengths, curves = _lengths(each), []
    lines = dict.fromkeys((one.direction, one.number, one.layer) for one in each.pushes)
    for line in lines:
        at = {
            one.length: one.moved[name].value
            for one in each.pushes
            if (one.direction, one.number, one.layer) == line
        }
        values = np.array([0.0 if length == 0 else at[length] for length in lengths])
        named = PUSHED_ALONG[line[0]]
        curves.append(Curve(f"{named}, layer {line[2]}", named, values))
    return curves
