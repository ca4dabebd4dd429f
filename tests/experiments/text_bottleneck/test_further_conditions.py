from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file

from workbench.errors import WorkbenchError
from workbench.experiments.text_bottleneck.closing import PUBLISHED, closing_rows
from workbench.experiments.text_bottleneck.conditions import (
    BOTH_STAGES,
    CONDITIONS,
    CURRICULUM,
    FIRST_STAGE,
    conditions_of,
    model_in,
)
from workbench.experiments.text_bottleneck.page import page_of
from workbench.experiments.text_bottleneck.read import MEAN, TEXT
from workbench.experiments.text_bottleneck.results import BottleneckResults
from workbench.experiments.text_bottleneck.run import BottleneckParameters, run_bottleneck
from workbench.loop import open_run
from workbench.loop.run import Run

PARAMETERS = BottleneckParameters(
    lens=False, geometry=False, ceiling=False, interventions=False, curriculum=True
)


@pytest.fixture(scope="module")
def place(followed_run: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the finished run whose steps were followed."""
    return Path(shutil.copytree(followed_run, tmp_path_factory.mktemp("copy") / "run"))


@pytest.fixture(scope="module")
def results(place: Path) -> BottleneckResults:
    return run_bottleneck(None, place, PARAMETERS, figures=place.parent / "figures")


@pytest.fixture(scope="module")
def run(place: Path, results: BottleneckResults) -> Run:
    """The run with the stages of the curriculum."""
    found = open_run(place, place.parent / "figures")
    for stage in (CURRICULUM, FIRST_STAGE.readings, BOTH_STAGES.readings):
        found.keys[stage] = found.store.stage(stage, "").facts()["key"]
    return found


def test_every_condition_there_is_has_its_results(results: BottleneckResults) -> None:
    assert [each.when for each in results.conditions] == list(CONDITIONS)
    assert len({each.trained_on for each in results.conditions}) == 1
    for each in results.conditions:
        assert len(each.waterfall.steps) == 6
        assert each.verdict is not None
        assert len(each.maps) == 5
    summary = results.summary()
    assert {f"{name}.verdict" for name in CONDITIONS} <= summary.keys()


def test_the_adapters_of_both_stages_are_kept_and_sealed(run: Run) -> None:
    taught = run.stage(CURRICULUM)
    first, second = (
        load_file(taught.checked(each.adapter) / "adapter_model.safetensors")
        for each in (FIRST_STAGE, BOTH_STAGES)
    )
    assert first.keys() == second.keys()
    assert any(not np.array_equal(first[name], second[name]) for name in first)
    changed = taught.folder / FIRST_STAGE.adapter / "adapter_config.json"
    kept = changed.read_bytes()
    changed.write_bytes(kept + b" ")
    try:
        with pytest.raises(WorkbenchError, match=r"adapter_config\.json"):
            taught.checked(FIRST_STAGE.adapter)
    finally:
        changed.write_bytes(kept)


def test_the_model_is_in_one_condition_at_a_time_and_bare_afterwards(run: Run) -> None:
    before = {name: each.clone() for name, each in run.lm.model.state_dict().items()}
    for condition in (FIRST_STAGE, BOTH_STAGES):
        with model_in(run, condition) as lm:
            assert len(lm.model.peft_config) == 1
    after = run.lm.model.state_dict()
    assert before.keys() == after.keys()
    assert all(bool((each == after[name]).all()) for name, each in before.items())


def test_both_stages_state_other_things(run: Run) -> None:
    first, second = (
        run.stage(each.readings).table("confidence")["expected"].to_numpy()
        for each in (FIRST_STAGE, BOTH_STAGES)
    )
    base = run.stage("elicit").table("confidence")["expected"].to_numpy()
    assert not np.allclose(first, second)
    assert not np.allclose(first, base)


def test_the_published_share_stands_beside_ours(results: BottleneckResults) -> None:
    taught = list(CONDITIONS)[1:]
    assert [(each.condition.name, each.readout) for each in results.closed] == [
        (name, readout) for name in taught for readout in (TEXT, MEAN)
    ]
    rows = closing_rows(results.closed)
    assert len(rows) == 9
    assert rows[-1]["pooled"] == f"{PUBLISHED:.2f}"
    assert not any("published" in row["condition"] for row in closing_rows(results.closed[:4]))
    headings = [title for title, _ in page_of(results).lead]
    assert "How much of the gap to the base model's probe teaching closes" in headings
    means = [each.waterfall.steps[-2].within.value for each in results.conditions]
    shares = [each.within for each in results.closed if each.readout == MEAN]
    assert any(each.there for each in shares)
    for share, after in zip(shares, means[1:], strict=True):
        if share.there:
            closed = share.share.value * share.gap.value
            assert closed == pytest.approx(after - means[0])


def test_it_is_taught_and_read_once(
    place: Path, results: BottleneckResults, monkeypatch: pytest.MonkeyPatch
) -> None:
    room = "workbench.experiments.text_bottleneck"
    for name in ("further_conditions.teach_arm", "further_conditions.read_tuned", "read.read_best"):
        monkeypatch.setattr(f"{room}.{name}", None)
    again = run_bottleneck(None, place, PARAMETERS, figures=place.parent / "figures")
    assert again.summary() == pytest.approx(results.summary(), nan_ok=True)
    fewer = BottleneckParameters(lens=False, geometry=False, ceiling=False, interventions=False)
    without = run_bottleneck(None, place, fewer, figures=place.parent / "figures")
    assert [each.when for each in without.conditions] == list(CONDITIONS)[:3]


def test_a_curriculum_without_teaching_is_refused() -> None:
    with pytest.raises(WorkbenchError, match="A curriculum is taught"):
        conditions_of(teaching=False, curriculum=True)
