"""Steering a finished run's base model along its probe's direction, on held-out questions.

The direction of a layer is that of its probe of correctness at the confidence position, fitted on
training questions; beside it stand random directions, pushed by the same lengths, and a push of
nothing, whose effect is the noise floor. Measured are the level of confidence, its AUROC2 within
domain, and the change of that against the unsteered model, paired over questions.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray

from workbench.elicit.conversation import POSITIONS
from workbench.elicit.readout import expected_confidence
from workbench.elicit.scales import Scale
from workbench.loop.confidence import confidence_conversations
from workbench.loop.patching import choose_items
from workbench.loop.questions import load_questions
from workbench.loop.run import Run
from workbench.measure import Estimate, auroc2_difference, auroc2_within_estimate, bootstrap
from workbench.measure.interval import IntervalCurve
from workbench.patch.steering import Push, Steered, pushes_along, spread_of, steer
from workbench.pipeline.store import ROW, Part, StageStore, run_parts
from workbench.plots.steering import SteeringCurves, SteeringLine
from workbench.trace.batches import plan_batches

PROBE = "probe"
BASE = "none"
NOTHING = "nothing"
Floats = NDArray[np.float64]


@dataclass(frozen=True)
class SteeringPlan:
    """What is pushed: ``layers``, signed ``lengths`` in standard deviations of a layer's states,
    and how many random directions.
    """

    layers: tuple[int, ...]
    lengths: tuple[float, ...]
    random: int
    items: int


def steered_confidence(context: Run, plan: SteeringPlan, stage: StageStore) -> pd.DataFrame:
    """Confidence of held-out questions under every push.

    Returns:
        One line a question and push: ``row``, ``direction`` ("none" once, "nothing", "probe",
            "random 1", ...), ``layer``, ``length``,
        ``expected`` and ``written`` in [0, 1], ``mass`` on the scale.
    """
    questions, _ = load_questions(context)
    rows = choose_items(questions, plan.items, context.config.seed)
    everyone = confidence_conversations(context)
    pushes, names = _pushes(context, plan)
    scale, trie = context.fmt.scale, context.scale_tokens.trie
    budget = context.config.model.tokens_per_forward

    def compute(batch: NDArray[np.int64]) -> Part:
        chosen = rows[batch]
        tokens = [everyone[row].tokens for row in chosen]
        return Part(
            _lines(
                chosen,
                names,
                steer(context.lm, tokens, trie, pushes, tokens_per_forward=budget),
                scale,
            ),
            {},
        )

    lengths = [len(everyone[row].tokens) for row in rows]
    # Prompts take a part of each pass; the rest is for their branches.
    return run_parts(stage, plan_batches(lengths, max(1, budget // 4)), compute, "steering").table


def _lines(
    rows: NDArray[np.int64], names: pd.DataFrame, found: Steered, scale: Scale
) -> pd.DataFrame:
    pushes = len(names)
    table = pd.concat([names] * len(rows), ignore_index=True)
    table[ROW] = np.repeat(rows, pushes)
    table["expected"] = expected_confidence(found.distribution, scale.values, scale.certain).ravel()
    table["written"] = found.written.ravel() / scale.certain
    table["mass"] = found.distribution.sum(axis=-1).ravel()
    return table


def _pushes(context: Run, plan: SteeringPlan) -> tuple[list[Push], pd.DataFrame]:
    """Every push, and its direction, layer and length behind those of the unsteered model."""
    at = POSITIONS.index("confidence")
    questions, _ = load_questions(context)
    train = np.flatnonzero(questions["split"] == "train")
    states = context.stage("elicit").tensors("readings")["states"]
    weights = context.stage("probe").tensors("probe")["weights"]
    layers = list(plan.layers)
    spreads = np.asarray([spread_of(states[train][:, layer, at]) for layer in layers])
    lengths = spreads[:, None] * np.asarray(plan.lengths)
    rng = np.random.default_rng(context.config.seed)
    directions = {PROBE: weights[layers, at]}
    for number in range(1, plan.random + 1):
        directions[f"random {number}"] = rng.standard_normal((len(layers), weights.shape[-1]))
    pushes = [Push(layer, torch.zeros(weights.shape[-1])) for layer in layers]
    names = [{"direction": BASE, "layer": -1, "length": 0.0}]
    names += [{"direction": NOTHING, "layer": layer, "length": 0.0} for layer in layers]
    for name, direction in directions.items():
        pushes += pushes_along(direction, layers, lengths)
        names += [
            {"direction": name, "layer": layer, "length": length}
            for layer in layers
            for length in plan.lengths
        ]
    return pushes, pd.DataFrame(names)


@dataclass(frozen=True)
class SteeringEffect:
    """One push over all questions; the changes are against the unsteered model, paired over
    questions.
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
    """Effects of every push of a table of :func:`steered_confidence`, the unsteered model first.

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
    """Direction, layer and length of every push with its lines, in order of appearance."""
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
    """The largest gain of AUROC2 within domain along the probe, with an interval that holds for all
    pushes together, and a verdict.

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
    """AUROC2 within domain under a push minus that of the unsteered model, paired."""
    base = table[table["direction"] == BASE].sort_values(ROW)
    rows = base[ROW].to_numpy()
    pushed = lines.sort_values(ROW)[readout].to_numpy(dtype=np.float64)
    unsteered = base[readout].to_numpy(dtype=np.float64)
    return auroc2_difference(
        pushed, unsteered, correct[rows], domain[rows], seed=seed, resamples=resamples, level=level
    )


def steering_figure(effects: Sequence[SteeringEffect], title: str, caption: str) -> SteeringCurves:
    """Curves of the probe's and the first random direction, with the unsteered model at length
    0.
    """
    base = next(effect for effect in effects if effect.direction == BASE)
    shown = [effect for effect in effects if effect.direction in (PROBE, "random 1")]
    lengths = sorted({0.0, *(effect.length for effect in shown)})
    lines = []
    for direction, layer in dict.fromkeys((effect.direction, effect.layer) for effect in shown):
        mine = {e.length: e for e in shown if (e.direction, e.layer) == (direction, layer)} | {
            0.0: base
        }
        along = [mine[length] for length in lengths]
        name = "along the probe" if direction == PROBE else "random direction"
        lines.append(
            SteeringLine(
                name,
                layer,
                _curve([e.level for e in along]),
                _curve([e.expected for e in along]),
                _curve([e.written for e in along]),
            )
        )
    return SteeringCurves(
        lengths=np.asarray(lengths),
        lines=lines,
        floors=noise_floors(effects),
        title=title,
        caption=caption,
    )


def noise_floors(effects: Sequence[SteeringEffect]) -> tuple[float, float, float]:
    """Largest change of level and of both AUROC2 under a push of nothing: what the arithmetic
    alone does.
    """
    base = next(effect for effect in effects if effect.direction == BASE)
    still = [effect for effect in effects if effect.direction == NOTHING]

    def largest(name: str) -> float:
        return max(abs(getattr(effect, name).value - getattr(base, name).value) for effect in still)

    return largest("level"), largest("expected"), largest("written")


def _curve(estimates: Sequence[Estimate]) -> IntervalCurve:
    return IntervalCurve(
        *(np.asarray([getattr(e, name) for e in estimates]) for name in ("value", "low", "high"))
    )


def effects_table(effects: Sequence[SteeringEffect]) -> pd.DataFrame:
    """One line a push, every estimate with its interval."""
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
