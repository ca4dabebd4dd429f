"""Measure what pushes do, paired over questions, and judge whether steering discriminates better.

The measures are the level of confidence, its AUROC2 within domain, and the change of that against
the unsteered model. Sign: positive changes are gains of the push. The published finding is a null:
steering moves how much confidence is stated, not how well it tells right answers from wrong ones.
The rule for it, fixed beforehand, is in :func:`steering_summary`.

The verdict does not show that no direction steers better: one probe's direction was tried, with a
few random ones, at a few layers.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from workbench.config import RunConfig
from workbench.experiments.steering.read import BASE, NOTHING, PROBE
from workbench.measure import Estimate, auroc2_difference, auroc2_within_estimate, bootstrap
from workbench.pipeline.store import ROW

if TYPE_CHECKING:
    from workbench.experiments.parameters import Parameters


@dataclass(frozen=True)
class SteeringEffect:
    """The effect of one push over all questions; the changes are against the unsteered model,
    paired over questions.
    """

    direction: str
    layer: int
    length: float
    level: Estimate
    expected: Estimate
    written: Estimate
    expected_change: Estimate
    written_change: Estimate


def steering_effects(
    table: pd.DataFrame,
    correct: NDArray[np.bool_],
    domain: NDArray[np.str_],
    *,
    resamples: int,
    seed: int,
) -> list[SteeringEffect]:
    """Return the effects of every push of a table of :mod:`workbench.experiments.steering.read`,
    the unsteered model first.

    Args:
        correct, domain: of every row of the run's tables, in order.
    """
    base = table[table["direction"] == BASE].sort_values(ROW)
    rows = base[ROW].to_numpy()
    right, where = correct[rows], domain[rows]
    statistics = {"resamples": resamples, "seed": seed}
    out = []
    for (direction, layer, length), lines in _by_push(table):
        ordered = lines.sort_values(ROW)
        expected, written = (
            ordered[name].to_numpy(dtype=np.float64) for name in ("expected", "written")
        )
        out.append(
            SteeringEffect(
                direction=direction,
                layer=layer,
                length=length,
                level=bootstrap(np.mean, expected, **statistics),
                expected=auroc2_within_estimate(expected, right, where, **statistics),
                written=auroc2_within_estimate(written, right, where, **statistics),
                expected_change=auroc2_difference(
                    expected, base["expected"], right, where, **statistics
                ),
                written_change=auroc2_difference(
                    written, base["written"], right, where, **statistics
                ),
            )
        )
    return out


def _by_push(table: pd.DataFrame) -> Iterator[tuple[tuple[str, int, float], pd.DataFrame]]:
    """Yield direction, layer and length of every push with its lines, in order of appearance."""
    columns = (table[name] for name in ("direction", "layer", "length"))
    keys = list(zip(*(column.tolist() for column in columns), strict=True))
    for key in dict.fromkeys(keys):
        yield key, table[[other == key for other in keys]]


def steering_summary(
    table: pd.DataFrame,
    correct: NDArray[np.bool_],
    domain: NDArray[np.str_],
    *,
    resamples: int,
    seed: int,
) -> dict[str, Any]:
    """Return the largest gain of AUROC2 within domain along the probe, with an interval that holds
    for all pushes together, and a verdict.

    ``rejected`` says that steering discriminates better: for the readout ``expected`` or
    ``written`` some push along the probe has its whole interval above zero and gains more than
    every random direction at that layer and length.
    """
    pushed = table[table["direction"] == PROBE][["layer", "length"]].drop_duplicates()
    level = 1 - 0.05 / max(1, len(pushed))
    summary: dict[str, Any] = {"questions": int(table[ROW].nunique()), "pushes": len(pushed)}
    for readout in ("expected", "written"):
        gains = {
            push: _gain(
                table, lines, readout, correct, domain, resamples=resamples, seed=seed, level=level
            )
            for push, lines in _by_push(table)
            if push[0] not in (BASE, NOTHING)
        }
        mine = {
            key: gain for key, gain in gains.items() if key[0] == PROBE and not np.isnan(gain.value)
        }
        if not mine:
            summary[f"{readout}.null"] = (
                "undecided: one class or one confidence within every domain"
            )
            continue
        best = max(mine, key=lambda key: mine[key].value)
        beaten = {
            key: max(
                (
                    g.value
                    for other, g in gains.items()
                    if other[0] != PROBE and other[1:] == key[1:]
                ),
                default=0.0,
            )
            for key in mine
        }
        rejected = any(gain.low > 0 and gain.value > beaten[key] for key, gain in mine.items())
        summary |= mine[best].to_dict(f"{readout}.largest_gain")
        summary |= {
            f"{readout}.largest_gain.layer": best[1],
            f"{readout}.largest_gain.length": best[2],
        }
        summary[f"{readout}.largest_gain.random"] = beaten[best]
        summary[f"{readout}.null"] = "rejected" if rejected else "stands"
    return summary


def _gain(
    table: pd.DataFrame,
    lines: pd.DataFrame,
    readout: str,
    correct: NDArray[np.bool_],
    domain: NDArray[np.str_],
    *,
    resamples: int,
    seed: int,
    level: float,
) -> Estimate:
    """Return AUROC2 within domain under a push minus that of the unsteered model, paired."""
    base = table[table["direction"] == BASE].sort_values(ROW)
    rows = base[ROW].to_numpy()
    pushed = lines.sort_values(ROW)[readout].to_numpy(dtype=np.float64)
    unsteered = base[readout].to_numpy(dtype=np.float64)
    return auroc2_difference(
        pushed, unsteered, correct[rows], domain[rows], seed=seed, resamples=resamples, level=level
    )


def noise_floors(effects: Sequence[SteeringEffect]) -> tuple[float, float, float]:
    """Return the largest change of level and of both AUROC2 under a push of nothing: what the
    arithmetic alone does.
    """
    base = next(effect for effect in effects if effect.direction == BASE)
    still = [effect for effect in effects if effect.direction == NOTHING]

    def largest(name: str) -> float:
        return max(abs(getattr(effect, name).value - getattr(base, name).value) for effect in still)

    return largest("level"), largest("expected"), largest("written")


def effects_table(effects: Sequence[SteeringEffect]) -> pd.DataFrame:
    """Return one line per push, every estimate with its interval."""
    names = ("level", "expected", "written", "expected_change", "written_change")
    return pd.DataFrame(
        [
            {"direction": e.direction, "layer": e.layer, "length": e.length}
            | {
                key: value
                for name in names
                for key, value in getattr(e, name).to_dict(name).items()
            }
            for e in effects
        ]
    )


@dataclass(frozen=True)
class SteeringResults:
    """The results of steering a run's base model.

    Attributes:
        config: the run's settings.
        table: one line per question and push, as
            :func:`workbench.experiments.steering.read.steered_confidence` gives it.
        effects: the unsteered model first, then every push.
        summary: that of :func:`steering_summary`.
        precision: precision of the matrix products.
    """

    config: RunConfig
    parameters: Parameters
    table: pd.DataFrame
    effects: list[SteeringEffect]
    summary: dict[str, Any]
    precision: str
