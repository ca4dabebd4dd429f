"""The stage's numbers are those of the run's own states, probes and model."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from workbench.bottleneck.geometry import (
    AFTER_NORM,
    CONFIDENCE,
    IN_HEAD,
    IN_READOUT,
    PROBE,
    RANK,
    WITH_CONFIDENCE,
)
from workbench.errors import WorkbenchError
from workbench.experiments.text_bottleneck.conditions import AFTER, BEFORE
from workbench.experiments.text_bottleneck.geometry import (
    DRAWS,
    JACOBIAN,
    LOGIT_LENS,
)
from workbench.experiments.text_bottleneck.geometry_page import (
    FIGURE_ROWS,
    geometry_rows,
    geometry_section,
)
from workbench.experiments.text_bottleneck.page import page_of
from workbench.experiments.text_bottleneck.read import (
    AT_CONFIDENCE,
    PROBES,
    split_of,
    steps_stage,
    vectors_at,
)
from workbench.experiments.text_bottleneck.results import BottleneckResults
from workbench.experiments.text_bottleneck.run import BottleneckParameters, run_bottleneck
from workbench.loop import open_run
from workbench.probe import confidence_direction
from workbench.report import write_page

LAYERS = 4


@pytest.fixture(scope="module")
def place(followed_run: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the finished run whose steps were followed."""
    return Path(shutil.copytree(followed_run, tmp_path_factory.mktemp("copy") / "run"))


@pytest.fixture(scope="module")
def results(place: Path) -> BottleneckResults:
    parameters = BottleneckParameters(lens=False, interventions=False, ceiling=False)
    return run_bottleneck(None, place, parameters, figures=place.parent / "figures")


@pytest.fixture(scope="module")
def table(results: BottleneckResults) -> pd.DataFrame:
    assert results.geometry is not None
    return results.geometry


def test_every_quantity_stands_at_every_layer(table: pd.DataFrame) -> None:
    assert list(dict.fromkeys(table["condition"])) == [BEFORE.name, AFTER.name]
    named = ["condition", "quantity", "direction", "form", "space", "readout", "random"]
    layers = table.groupby(named)["layer"].agg(lambda each: tuple(sorted(each)))
    assert set(layers) == {tuple(range(LAYERS))}
    assert table["value"].notna().all()
    assert (table["random_low"] <= table["random_high"]).all()
    assert table["p"].between(1 / (DRAWS + 1), 1).all()
    shares = table[table["quantity"].isin([IN_READOUT, AFTER_NORM, IN_HEAD])]
    assert shares["value"].between(0, 1 + 1e-9).all()
    assert table[table["quantity"] == RANK]["value"].between(1, 9).all()


def test_the_correlation_of_two_readings_is_that_over_held_out_questions(
    place: Path, table: pd.DataFrame
) -> None:
    run = open_run(place, place.parent / "figures")
    for condition in (BEFORE, AFTER):
        steps = steps_stage(condition.name)
        run.keys[steps] = run.store.stage(steps, "").facts()["key"]
        split, states = split_of(run, condition), vectors_at(run, condition, AT_CONFIDENCE)
        training, held_out = (
            states.of(rows)[:, 2].astype(float) for rows in (split.train, split.test)
        )
        probe = run.stage(steps).tensors(PROBES)["weights"][2]
        expected = run.stage(condition.readings).table("confidence")["expected"].to_numpy()
        stated = confidence_direction(
            training, expected[split.train], run.config.probe.ridge_penalties
        )
        wanted = np.corrcoef(held_out @ probe, held_out @ stated.weights)[0, 1]
        mine = table[
            (table["condition"] == condition.name)
            & (table["quantity"] == WITH_CONFIDENCE)
            & (table["space"] == "covariance")
            & (table["layer"] == 2)
        ]
        np.testing.assert_allclose(mine["value"], wanted, atol=1e-6)


def test_at_the_last_layer_both_readouts_hold_stated_confidence(table: pd.DataFrame) -> None:
    """Nothing stands above it, so the numbers are read from there, and the two readouts differ only
    in the questions whose norms they are means over.
    """
    mine = table[
        (table["layer"] == LAYERS - 1)
        & (table["quantity"] == IN_READOUT)
        & (table["space"] == "covariance")
    ]
    stated = mine[mine["direction"] == CONFIDENCE]
    assert (stated["value"] > 0.8).all()
    probe = mine[mine["direction"] == PROBE]
    by_readout = [
        probe[probe["readout"] == readout]["value"].to_numpy() for readout in (JACOBIAN, LOGIT_LENS)
    ]
    np.testing.assert_allclose(*by_readout, atol=0.02)


def test_the_page_shows_what_the_table_holds(
    results: BottleneckResults, table: pd.DataFrame, tmp_path: Path
) -> None:
    compared = [each for each in results.conditions if each.when != "control"]
    labels = {each.when: each.label for each in compared}
    section = geometry_section(table, labels, "caption")
    curves = [trace for trace in section.figure.data if trace.fill is None]
    assert len(curves) == 2 * sum(len(shown) for _, shown, _ in FIGURE_ROWS)
    layers = {each.when: each.layers[AT_CONFIDENCE] for each in compared}
    lines = geometry_rows(table, labels, layers)
    assert len(lines) == len(curves)
    first = FIGURE_ROWS[0][1][0].of(table[table["condition"] == "before"])
    np.testing.assert_allclose(curves[0].y, first["value"])
    assert lines[0]["value"] == f"{first['value'].iloc[layers['before']]:.3f}"
    index = write_page(page_of(results), tmp_path / "page")
    assert (index.parent / "geometry.html").exists()
    assert len(pd.read_csv(index.parent / "geometry.csv")) == len(table)


def test_it_can_be_left_out(place: Path, results: BottleneckResults) -> None:
    parameters = BottleneckParameters(
        lens=False, interventions=False, geometry=False, ceiling=False
    )
    found = run_bottleneck(None, place, parameters, figures=place.parent / "figures")
    assert found.geometry is None
    assert "geometry" not in page_of(found).figures
    assert found.summary() == pytest.approx(results.summary(), nan_ok=True)


def test_further_conditions_are_named(place: Path) -> None:
    alone = {"lens": False, "interventions": False, "ceiling": False}
    with pytest.raises(WorkbenchError, match="geometry_conditions names 'first_stage'"):
        run_bottleneck(
            None,
            place,
            BottleneckParameters(**alone, geometry_conditions=("first_stage",)),
            figures=place.parent / "figures",
        )
    named = BottleneckParameters(**alone, geometry_conditions=("control",))
    found = run_bottleneck(None, place, named, figures=place.parent / "figures")
    assert found.geometry is not None
    assert set(found.geometry["condition"]) == {"before", "after", "control"}
