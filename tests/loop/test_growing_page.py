from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

import workbench.loop.measure_groups
import workbench.patch.controlled_sweep
from tests.support.notices import Notices
from workbench.loop import STAGES, plan, run_loop
from workbench.loop.conditions import Measures
from workbench.loop.growing_page import grow_page
from workbench.loop.results import loop_results
from workbench.loop.run import Run
from workbench.loop.stage_lines import STAGE_TEXTS
from workbench.pipeline.costs import page
from workbench.pipeline.stages import PlannedStage
from workbench.pipeline.store import RunStore
from workbench.progress import reporting

NAMES = [stage.name for stage in STAGES]
FIGURES_AFTER = {
    "questions": [],
    "answer": ["answers"],
    "elicit": ["answers", "stated_confidence", "bottleneck", "reliability"],
    "probe": ["answers", "stated_confidence", "auroc2_by_layer", "bottleneck", "reliability"],
    "probe_tuned": ["answers", "stated_confidence", "auroc2_by_layer", "bottleneck", "reliability"],
}


@pytest.fixture
def unfinished(finished_run: Any, tmp_path: Path) -> Run:
    """The finished run in folders of its own, without a page and a summary."""
    folder = shutil.copytree(finished_run.folder, tmp_path / "run")
    (folder / "summary.json").unlink()
    return Run(finished_run.inputs.config, RunStore(folder), tmp_path / "figures")


def without(context: Run, *missing: str) -> list[PlannedStage]:
    """Remove the folders of these stages; return the plan of the run."""
    for name in missing:
        shutil.rmtree(context.store.folder / name, ignore_errors=True)
    return plan(STAGES, context)


def figures_on(text: str) -> list[str]:
    """The names of the figures on a page, in their order."""
    every = [name.split('"')[0] for name in text.split('<div id="figure-')[1:]]
    return list(dict.fromkeys(every))


def test_the_page_after_each_stage_names_the_missing_ones(unfinished: Run) -> None:
    """From the last stage back to the first, so that one run gives every unfinished state."""
    for at in range(len(NAMES) - 3, -1, -1):
        planned = without(unfinished, *NAMES[at + 1 :])
        notices = Notices()
        with reporting(notices):
            grow_page(unfinished, planned, planned[at])
        text = page(unfinished).read_text()
        missing = NAMES[at + 1 : -1]
        assert f"Not finished: {len(missing)} of 11 stages still to come" in text
        assert "<title>Not finished: " in text
        for name in NAMES[:-1]:
            adds = f"still to come: {STAGE_TEXTS[name].adds}".replace("'", "&#39;")
            assert (adds in text) == (name in missing), name
        if NAMES[at] in FIGURES_AFTER:
            assert figures_on(text) == FIGURES_AFTER[NAMES[at]]
        (said,) = notices.told
        assert said.startswith(f"{NAMES[at]}: ")
        assert said.removeprefix(f"{NAMES[at]}: ").replace("'", "&#39;") in text
        assert not (unfinished.store.folder / "summary.json").exists()
        assert not (unfinished.store.folder / "report" / "done.json").exists()


def test_no_page_before_the_first_stage(unfinished: Run) -> None:
    planned = without(unfinished, *NAMES)
    grow_page(unfinished, planned)
    assert not unfinished.figures.exists()


def test_a_finished_report_is_not_written_over(writable: Run) -> None:
    """A stage whose folder was deleted is done again; the page of the same keys stays whole."""
    before = page(writable).read_bytes()
    planned = without(writable, "probe_tuned")
    grow_page(writable, planned)
    assert page(writable).read_bytes() == before
    assert b"Not finished" not in before
    assert b"Stage by stage" in before


def test_the_seconds_of_growing_pages_are_those_of_the_last_stage(unfinished: Run) -> None:
    planned = without(unfinished, "patch", "report")
    report = unfinished.store.stage("report", planned[-1].key)
    grow_page(unfinished, planned, planned[-3])
    once = report.spent()
    assert once > 0
    grow_page(unfinished, planned, planned[-3])
    assert report.spent() > once


def test_nothing_is_measured_twice(unfinished: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """Three conditions have text; every one is measured once, whatever is drawn how often."""
    whole, measured = workbench.loop.measure_groups.calibration, []

    def counting(r: Any, draw: Any) -> Measures:
        measured.append([one.name for one in r.stated])
        return whole(r, draw)

    monkeypatch.setattr(workbench.loop.measure_groups, "calibration", counting)
    planned = without(unfinished, "report")
    unfinished.keys.update({each.stage.name: each.key for each in planned})
    for _ in range(2):
        grow_page(unfinished, planned)
        loop_results(unfinished)
    assert measured == [["before"], ["after"], ["control"]]


def test_a_kill_between_stages_leaves_page_and_stages_consistent(
    finished_run: Any, unfinished: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Killed while it patches, then run again: the page names what is missing, and in the end is
    whole, with the numbers of the uninterrupted run.
    """
    without(unfinished, "probe_tuned", "patch", "report")
    config, folder, figures = unfinished.config, unfinished.store.folder, unfinished.figures

    def killed(*_: Any, **__: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(workbench.patch.controlled_sweep, "layer_sweep_of_scale", killed)
        with pytest.raises(KeyboardInterrupt):
            run_loop(config, folder, figures)
    text = page(unfinished).read_text()
    assert "Not finished: 1 of 11 stages still to come" in text
    assert (folder / "probe_tuned" / "done.json").exists()
    assert not (folder / "patch" / "done.json").exists()
    assert not (folder / "summary.json").exists()
    summary = run_loop(config, folder, figures)
    text = page(unfinished).read_text()
    assert "Not finished" not in text
    assert figures_on(text)[-2:] == ["patching", "layer_question"]
    same = {
        key: value
        for key, value in finished_run.summary.items()
        if not key.startswith(("seconds.", "memory."))
    }
    assert {key: summary[key] for key in same} == same
