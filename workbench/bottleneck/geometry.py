"""Place the probe's direction at one layer among the directions that confidence is written along.

Compared are the probe's direction, the direction of stated confidence (a regression of it on the
same states), and number readouts (:mod:`workbench.bottleneck.number_readout`): their direction of
high against low numbers, and the span of their row differences, outside of which nothing changes a
difference between number logits. Cosines are of filters, in the space and in the covariance of
held-out states; shares that survive norm and head are of the probe's pattern, the way states differ
where it reads high, and beside it of the filter taken as a displacement, as steering does
(:mod:`workbench.bottleneck.directions` tells the two apart).

Every number stands beside the same number of random directions put in the direction's place. The
probe, its pattern and what is random come from training questions; what they are measured on is
held-out states. A share near the random one says that the readout is no closer to the probe than to
any direction states vary along; a share below it, that the readout avoids it. Neither shows what
layers above make of it by other positions, or beyond first order.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Literal

import numpy as np

from workbench.arrays import Bools, Floats
from workbench.bottleneck.directions import (
    RandomRange,
    cosines,
    deviations_of,
    draw_isotropic,
    draw_shuffled_probes,
    draw_with_covariance,
    patterns,
    range_of,
    readings,
    shares_within,
    span_of,
)
from workbench.bottleneck.norm_survival import NormDerivative
from workbench.bottleneck.readout_rank import (
    effective_rank,
    participation_ratio,
    row_differences,
)

Form = Literal["filter", "pattern", "rows"]
Space = Literal["raw", "covariance"]

PROBE, CONFIDENCE = "probe", "stated confidence"
WITH_CONFIDENCE = "cosine with stated confidence"
WITH_CONTRAST = "cosine with high minus low"
IN_READOUT = "share in the number readout"
AFTER_NORM = "share after the norm"
IN_HEAD = "share of that in the head's numbers"
RANK, PARTICIPATION = "effective rank", "participation ratio"
ISOTROPIC, COVARIANCE, SHUFFLED = "isotropic", "states' covariance", "shuffled grades"
RANK_DRAWS = 100


@dataclass(frozen=True, eq=False)
class LayerDirections:
    """The directions and states at one layer's confidence position.

    Attributes:
        training, held_out: [m, width] and [n, width] states.
        correct, domain: [m] grades that the probe was fitted on, and the questions' domains.
        probe: [width] filter; ``inverse_penalty`` it was fitted with.
        confidence: [width] filter of stated confidence.
        readouts: number readouts [tokens, width] by name.
        contrast: [tokens] weights of high against low numbers.
        norm: the final norm's derivative at some of the held-out states.
        head: [tokens, width] the head's rows.
    """

    training: Floats
    held_out: Floats
    correct: Bools
    domain: np.ndarray
    probe: Floats
    inverse_penalty: float
    confidence: Floats
    readouts: Mapping[str, Floats]
    contrast: Floats
    norm: NormDerivative
    head: Floats


@dataclass(frozen=True)
class Quantity:
    """A number of one layer.

    Attributes:
        name: what is measured, one of this module's names.
        direction: of which direction; "" for numbers of a readout alone.
        form: whether the direction is taken as a filter or as a pattern.
        space: the inner product.
        readout: which readout is compared with; "" for none.
        random: by kind, the range of the same number over random directions.
    """

    name: str
    direction: str
    form: Form
    space: Space
    readout: str
    value: float
    random: Mapping[str, RandomRange]


@dataclass(frozen=True, eq=False)
class _Compared:
    """A direction [k] in the coordinates of a space, and random ones [draws, k] by kind."""

    direction: str
    form: Form
    space: Space
    observed: Floats
    random: Mapping[str, Floats]

    def quantity(self, name: str, readout: str, number: Callable[[Floats], Floats]) -> Quantity:
        """Return ``number`` [m, k] -> [m] of the direction, beside that of the random ones."""
        value = float(number(self.observed[None])[0])
        ranges = {kind: range_of(value, number(drawn)) for kind, drawn in self.random.items()}
        return Quantity(name, self.direction, self.form, self.space, readout, value, ranges)


def measure_layer(layer: LayerDirections, draws: int, seed: int) -> list[Quantity]:
    """Measure all quantities of a layer beside ``draws`` random directions of each kind."""
    deviations = deviations_of(layer.training)
    width = deviations.shape[1]
    common = {
        ISOTROPIC: draw_isotropic(draws, width, seed),
        COVARIANCE: draw_with_covariance(draws, deviations, seed),
    }
    shuffled = draw_shuffled_probes(
        draws, layer.training, layer.correct, layer.domain, layer.inverse_penalty, seed
    )
    filters = {**common, SHUFFLED: shuffled}
    displaced = {**common, SHUFFLED: patterns(shuffled, deviations)}
    pattern = patterns(layer.probe, deviations)
    return [
        *_of_filter(layer, PROBE, layer.probe, filters),
        *_of_filter(layer, CONFIDENCE, layer.confidence, common),
        *_of_displacement(layer, _Compared(PROBE, "pattern", "raw", pattern, displaced)),
        *_of_displacement(layer, _Compared(PROBE, "filter", "raw", layer.probe, filters)),
        *_of_readouts(layer, seed),
    ]


def _of_filter(
    layer: LayerDirections, name: str, observed: Floats, random: Mapping[str, Floats]
) -> Iterator[Quantity]:
    """Measure a filter against stated confidence and every readout, in both spaces."""
    for space, see in _spaces(layer):
        seen = {kind: see(drawn) for kind, drawn in random.items()}
        mine = _Compared(name, "filter", space, see(observed), seen)
        if name != CONFIDENCE:
            yield mine.quantity(WITH_CONFIDENCE, "", partial(cosines, other=see(layer.confidence)))
        for readout, matrix in layer.readouts.items():
            rows = row_differences(matrix)
            contrast, basis = see(layer.contrast @ rows), span_of(see(rows))
            yield mine.quantity(WITH_CONTRAST, readout, partial(cosines, other=contrast))
            yield mine.quantity(IN_READOUT, readout, partial(shares_within, basis=basis))


def _of_displacement(layer: LayerDirections, mine: _Compared) -> Iterator[Quantity]:
    """Measure what of a displacement survives norm and head, and lies in each readout's rows."""
    head = span_of(row_differences(layer.head))
    yield mine.quantity(AFTER_NORM, "", layer.norm.norm_shares)
    yield mine.quantity(IN_HEAD, "", partial(layer.norm.head_shares, basis=head))
    if mine.form == "filter":
        return  # its shares in the readouts are measured with its cosines
    for readout, matrix in layer.readouts.items():
        basis = span_of(row_differences(matrix))
        yield mine.quantity(IN_READOUT, readout, partial(shares_within, basis=basis))


def _of_readouts(layer: LayerDirections, seed: int) -> Iterator[Quantity]:
    """Measure the dimensions of every readout, beside random rows, as many."""
    drawn = np.random.default_rng([seed, 3])
    shape = layer.head.shape
    random = [row_differences(drawn.standard_normal(shape)) for _ in range(RANK_DRAWS)]
    for space, see in _spaces(layer):
        seen = [see(rows) for rows in random]
        for what, number in ((RANK, effective_rank), (PARTICIPATION, participation_ratio)):
            of_random = np.array([number(rows) for rows in seen])
            for readout, matrix in layer.readouts.items():
                value = number(see(row_differences(matrix)))
                ranges = {ISOTROPIC: range_of(value, of_random)}
                yield Quantity(what, "", "rows", space, readout, value, ranges)


def _spaces(layer: LayerDirections) -> Iterator[tuple[Space, Callable[[Floats], Floats]]]:
    """Yield each space with the function that puts directions [..., width] into coordinates whose
    plain inner product is the space's.
    """
    yield "raw", lambda directions: directions
    yield "covariance", partial(readings, deviations=deviations_of(layer.held_out))
