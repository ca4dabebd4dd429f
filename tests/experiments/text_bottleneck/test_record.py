from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from workbench.experiments.text_bottleneck.comparison import compare
from workbench.experiments.text_bottleneck.record import Followed, record_rows
from workbench.experiments.text_bottleneck.results import BottleneckResults
from workbench.experiments.text_bottleneck.run import BottleneckParameters, run_bottleneck


@pytest.fixture(scope="module")
def results(followed_run: Path, tmp_path_factory: pytest.TempPathFactory) -> BottleneckResults:
    place = Path(shutil.copytree(followed_run, tmp_path_factory.mktemp("copy") / "run"))
    few = BottleneckParameters(
        lens=False, geometry=False, teaching=False, ceiling_questions=2, ceiling_told=2
    )
    return run_bottleneck(None, place, few, figures=place.parent / "figures")


def test_a_record_holds_every_condition_step_and_change(results: BottleneckResults) -> None:
    rows = record_rows([Followed("one", results), Followed("two", results)])
    places = [(row["section"], row["row"], row["column"]) for row in rows]
    assert len(set(places)) == len(places)
    assert {row["row"].partition(",")[0] for row in rows} == {"one", "two"}
    sections = list(dict.fromkeys(row["section"] for row in rows))
    # A section stands together, so that it is one table.
    assert [row["section"] for row in rows] == sorted(
        (row["section"] for row in rows), key=sections.index
    )
    (before,) = results.conditions
    mine = dict(zip(places, rows, strict=True))
    verdict = mine["Verdicts", "one, before teaching", "verdict"]
    assert verdict["word"] == (before.verdict.verdict if before.verdict else "none")
    step = before.waterfall.steps[0]
    found = mine["AUROC2 within domain, step by step", "one, before teaching", step.name]
    assert found["value"] == pytest.approx(step.within.value, rel=1e-3)
    assert found["low"] == pytest.approx(step.within.low, rel=1e-3)
    assert before.interventions is not None
    for removal in before.interventions.removals:
        place = f"one, before teaching, layer {removal.layer}"
        assert any(row == place and "taken out" in section for section, row, _ in places)
    taken_out = [row for row in rows if "taken out" in row["section"]]
    assert len(taken_out) == 2 * len(before.interventions.removals)
    (ceiling,) = results.ceilings
    named = mine["Who writes the ceiling", "one, before teaching", "largest (layer, part)"]["word"]
    assert named.split("; ")[0].startswith(f"{ceiling.writers[ceiling.largest[0]].layer}, ")


def test_a_comparison_keeps_its_record_beside_the_page(results: BottleneckResults) -> None:
    followed = [Followed("one", results), Followed("two", results)]
    record = compare(followed).records["text_bottleneck.json"]
    assert record["rows"] == record_rows(followed)
    assert set(record["settings"]) == {"one", "two"}
