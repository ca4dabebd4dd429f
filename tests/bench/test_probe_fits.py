from __future__ import annotations

import numpy as np
import pytest

from workbench.bench.probe_fits import FEATURES, GRAM, bench_probes
from workbench.bench.probe_page import growth_figure, table_rows
from workbench.bench.probe_states import make_states
from workbench.probe import ProbeSettings, fit_layerwise


def test_labels_can_be_read_from_the_states_and_directions_fall_off() -> None:
    data = make_states(300, 2, 64, seed=0)
    assert data.states.shape == (300, 2, 1, 64)
    assert 0.3 < data.labels.mean() < 0.7
    probe = fit_layerwise(data.states, data.labels, ProbeSettings(3, 2, (0.001, 0.01), 0))
    assert probe.out_of_fold_auroc2.min() > 0.6
    values = np.linalg.eigvalsh(np.cov(data.states[:, 0, 0].T))
    assert values[-1] > 3 * np.median(values)


@pytest.fixture(scope="module")
def found():
    return bench_probes(
        rows=60, width=24, layers=5, positions=2, strengths=2, sampled_sites=2,
        growth_rows=(60, 90), growth_widths=(12, 24), gram_rows=60, parts=("goal", "growth"),
    )  # fmt: skip


def test_the_goal_is_scaled_to_all_sites_and_agrees_with_sklearn(found) -> None:
    values = found.values
    assert values["sites"] == 10
    assert values["goal.sklearn_fits_made"] == 4
    assert values["goal.largest_auroc2_difference"] <= 0.005
    ratio = values["goal.sklearn_processor_seconds"] / values["goal.processor_seconds"]
    assert values["goal.sklearn_over_ours_processor"] == pytest.approx(ratio)
    words = [row["measured"] for row in table_rows(values)]
    assert "scikit-learn / ours, clock" in words


def test_every_size_has_its_points_and_few_rows_those_of_both_ways(found) -> None:
    sizes = {(point.method, point.rows, point.width) for point in found.points}
    assert sizes == {
        (FEATURES, 60, 24), (GRAM, 60, 24), (FEATURES, 90, 24), (FEATURES, 60, 12), (GRAM, 60, 12)
    }  # fmt: skip
    panels = growth_figure(found).panels
    assert list(panels) == ["questions (width 24)", "width (60 questions)"]
    assert panels["questions (width 24)"][FEATURES].at.tolist() == [60, 90]
