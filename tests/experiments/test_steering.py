from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from workbench.elicit.conversation import POSITIONS
from workbench.experiments.steering import (
    BASE,
    NOTHING,
    PROBE,
    SteeringPlan,
    effects_table,
    steered_confidence,
    steering_effects,
    steering_figure,
    steering_summary,
)
from workbench.loop.run import Run
from workbench.measure import auroc2_within
from workbench.patch.steering import spread_of
from workbench.pipeline.store import StageStore

PLAN = SteeringPlan(layers=(1, 2), lengths=(-1.0, 2.0), random=1, items=12)


def stage_in(folder: Path) -> StageStore:
    stage = StageStore(folder / "steering", "key")
    stage.begin()
    return stage


def test_the_unsteered_model_reads_as_the_run_read_it(context: Run, tmp_path: Path) -> None:
    table = steered_confidence(context, PLAN, stage_in(tmp_path))
    assert table.groupby(["direction", "layer", "length"]).size().tolist() == [12] * 11
    base = table[table["direction"] == BASE].set_index("row")
    read = context.stage("elicit").table("confidence").set_index("row").loc[base.index]
    np.testing.assert_allclose(base["expected"], read["expected"], atol=1e-4)
    questions = context.stage("questions").table("questions").set_index("row")
    assert set(questions.loc[base.index, "split"]) == {"test"}
    assert table["expected"].between(0, 1).all()
    still = table[table["direction"] == NOTHING]
    assert sorted(still["layer"].unique()) == [1, 2]
    np.testing.assert_allclose(still["expected"], base["expected"].loc[still["row"]], atol=1e-5)


def test_a_push_along_the_probe_moves_the_probes_reading_by_its_length(context: Run) -> None:
    """The direction's own log-odds rise by length times spread times the norm of its weights."""
    from workbench.experiments.steering import _pushes

    pushes, names = _pushes(context, PLAN)
    at = POSITIONS.index("confidence")
    weights = context.stage("probe").tensors("probe")["weights"]
    questions = context.stage("questions").table("questions")
    states = context.stage("elicit").tensors("readings")["states"][questions["split"] == "train"]
    assert len(names) == len(pushes) + 1
    for push, name in zip(pushes, names.to_dict("records")[1:], strict=True):
        spread = spread_of(states[:, push.layer, at])
        assert float(push.vector.norm()) == pytest.approx(abs(name["length"]) * spread, rel=1e-5)
        along = weights[push.layer, at]
        if name["direction"] == PROBE:
            expected = name["length"] * spread * np.linalg.norm(along)
            assert float(push.vector.numpy() @ along) == pytest.approx(expected, rel=1e-4)


def planted(shift: float) -> tuple[pd.DataFrame, np.ndarray, np.ndarray]:
    """40 questions in two domains whose confidence knows nothing; under the probe's long push it
    knows by ``shift``.
    """
    rng = np.random.default_rng(0)
    correct, domain = np.arange(40) % 2 == 0, np.asarray(["a", "b"])[np.arange(40) // 20]
    lines, base = [], rng.random(40)
    for direction, length in (
        (BASE, 0.0),
        (NOTHING, 0.0),
        (PROBE, 1.0),
        (PROBE, 2.0),
        ("random 1", 1.0),
        ("random 1", 2.0),
    ):
        known = shift if (direction, length) == (PROBE, 2.0) else 0.0
        noises = base if direction in (BASE, NOTHING) else rng.random(40)
        for row, noise in enumerate(noises):
            value = float(np.clip(0.5 * noise + known * correct[row], 0, 1)) + 0.01 * (
                direction == NOTHING
            )
            layer = -1 if direction == BASE else 3
            lines.append((row, direction, layer, length, value, value, 1.0))
    columns = ["row", "direction", "layer", "length", "expected", "written", "mass"]
    return pd.DataFrame(lines, columns=columns).sample(frac=1, random_state=1), correct, domain


@pytest.mark.parametrize(("shift", "verdict"), [(0.0, "stands"), (0.5, "rejected")])
def test_the_rule_finds_a_planted_gain_and_nothing_else(shift: float, verdict: str) -> None:
    table, correct, domain = planted(shift)
    summary = steering_summary(table, correct, domain, resamples=400, seed=0)
    assert summary["expected.null"] == summary["written.null"] == verdict
    assert summary["pushes"] == 2
    if shift:
        assert summary["expected.largest_gain.length"] == 2.0


def test_effects_and_figure_hold_what_the_table_says() -> None:
    table, correct, domain = planted(0.5)
    effects = steering_effects(table, correct, domain, resamples=50, seed=0)
    lines = effects_table(effects).set_index(["direction", "length"])
    for key in ((BASE, 0.0), (PROBE, 2.0)):
        mine = table[(table["direction"] == key[0]) & (table["length"] == key[1])].sort_values(
            "row"
        )
        assert lines.loc[key, "level"] == pytest.approx(mine["expected"].mean())
        assert lines.loc[key, "expected"] == pytest.approx(
            auroc2_within(mine["expected"], correct, domain)
        )
    assert lines.loc[(BASE, 0.0), "expected_change"] == 0
    change = lines.loc[(PROBE, 2.0), "expected"] - lines.loc[(BASE, 0.0), "expected"]
    assert lines.loc[(PROBE, 2.0), "expected_change"] == pytest.approx(change)
    drawn = steering_figure(effects, "t", "c")
    assert drawn.lengths.tolist() == [0, 1, 2]
    assert {line.direction for line in drawn.lines} == {"along the probe", "random direction"}
    assert drawn.floors == pytest.approx((0.01, 0, 0))
    along = next(line for line in drawn.lines if line.direction == "along the probe")
    assert along.level.value[2] == pytest.approx(lines.loc[(PROBE, 2.0), "level"])
