from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from workbench.loop.run import Run
from workbench.measure import auroc2


def test_the_summary_has_each_training_and_the_spread(seeds_context: Run, seeds_run: Any) -> None:
    summary = seeds_run.summary
    table = seeds_context.stage("report").table("held_out_seeds")
    values = [auroc2(table[f"expected_{name}"], table["correct"]) for name in ("after", "seed1")]
    written = [summary[f"auroc2.expected.{name}"] for name in ("after", "seed1")]
    assert written == pytest.approx(values)
    assert (
        summary["auroc2.expected.seed1.low"] <= values[1] <= summary["auroc2.expected.seed1.high"]
    )
    assert summary["seeds.mean.auroc2.expected"] == pytest.approx(sum(values) / 2)
    assert summary["seeds.sd.auroc2.expected"] == pytest.approx(
        abs(values[0] - values[1]) / np.sqrt(2)
    )
    assert summary["seeds.min.auroc2.expected"] == pytest.approx(min(values))
    assert summary["seeds.max.auroc2.expected"] == pytest.approx(max(values))
    for name in ("layer_gradient", "shift.last_layer", "donor_slope.half_layer"):
        assert summary[f"patching.{name}.after"] == summary[f"patching.{name}"]
    assert summary["seeds.trainings"] == 2
    assert summary["seconds.seeds/1/teach"] > 0
    distribution = seeds_context.stage("seeds/1/elicit").tensors("readings")["distribution"]
    shares = distribution / distribution.sum(axis=1, keepdims=True)
    bits = -np.sum(np.where(shares > 0, shares * np.log2(np.maximum(shares, 1e-300)), 0), axis=1)
    assert summary["shape.entropy.seed1"] == pytest.approx(bits.mean())
    assert summary["shape.mean.seed1"] == pytest.approx(table["expected_seed1"].mean())
