from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

from workbench.experiments.gathered_confidence.read import READINGS
from workbench.experiments.gathered_confidence.results import STAGE, pairs_of
from workbench.experiments.gathered_confidence.run import (
    GatheredConfidenceParameters,
    page_of,
    run_gathered_confidence,
)
from workbench.loop import open_run
from workbench.mechanisms.record import read_records, stage_name
from workbench.mechanisms.works.gathered_confidence import WORK
from workbench.mechanisms.works.gathered_measures import CUTS, SWAPS
from workbench.pipeline.stage_store import StageStore
from workbench.report import write_page

SMALL = GatheredConfidenceParameters(n_questions=8, windows=2, map_questions=4, layers=2)


def test_both_conditions_are_read_and_sealed(
    place: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    figures = tmp_path / "figures" / "tiny"
    first = run_gathered_confidence(None, place, SMALL, figures=figures)
    base, taught = first.records
    assert (base.condition, taught.condition) == ("base", "taught")
    assert base.estimates["swap_after"].n == 4
    assert base.facts["own_states"] < 1e-4
    assert [record.to_json() for record in read_records(place)] == [
        record.to_json() for record in first.records
    ]
    run = open_run(place, figures)
    for name, expected in (("base", "elicit"), ("taught", "elicit_tuned")):
        table = StageStore(place / (STAGE + name), "").table(READINGS)
        read = run.stage(expected).table("confidence").set_index("row")["expected"]
        np.testing.assert_allclose(table["stated"], read[table["row"]], atol=1e-4)
        pairs = pairs_of(table)
        assert set(pairs.cut) == set(CUTS)
        assert set(pairs.swapped) == set(SWAPS)
        assert bool((pairs.between(pairs.base) >= 0).all())
    assert set(first.windows["base"][2]) == set(first.windows["taught"][2]) | {"after_answer"}
    monkeypatch.setattr("workbench.experiments.gathered_confidence.read.readouts", None)
    again = run_gathered_confidence(None, place, SMALL, figures=figures)
    assert [each.to_json() for each in again.records] == [each.to_json() for each in first.records]
    index = write_page(page_of(again), figures / "gathered_confidence").read_text()
    assert all(claim.sentence in index for claim in WORK.claims)


def test_the_base_model_alone_needs_no_teaching(place: Path, tmp_path: Path) -> None:
    whole = run_gathered_confidence(None, place, SMALL, figures=tmp_path / "figures" / "tiny")
    gone = (STAGE, stage_name(WORK.name), "teach", "teach_control", "elicit_tuned", "probe_tuned")
    for name in (*gone, "patch", "report"):
        shutil.rmtree(place / name)
    alone = SMALL.model_copy(update={"teaching": False})
    found = run_gathered_confidence(None, place, alone, figures=tmp_path / "figures" / "tiny")
    (record,) = found.records
    assert record.estimates == whole.records[0].estimates
    assert not (place / "teach").exists()
