"""A run with two trainings on the tiny model, beside the same run with one."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

import workbench.loop.seed_trainings
import workbench.patch.controlled_sweep
from tests.support.notices import Notices
from workbench.config import RunConfig
from workbench.errors import WorkbenchError
from workbench.loop import STAGES, open_run, plan, run_loop, stages_of
from workbench.loop.run import Run
from workbench.loop.seeds import further_seeds, tell_trainings
from workbench.pipeline.stages import Reuse
from workbench.pipeline.store import RunStore
from workbench.progress import reporting

FURTHER = ["seeds/1/teach", "seeds/1/elicit", "seeds/1/patch"]
NAMES = [stage.name for stage in STAGES]


def numbers(summary: dict[str, Any]) -> dict[str, Any]:
    """The summary without what differs from run to run."""
    return {
        key: value for key, value in summary.items() if not key.startswith(("seconds.", "memory."))
    }


def stale(config: RunConfig, run: Any, **settings: Any) -> list[str]:
    """The stages that would be done in the folder of ``run``."""
    context = Run(
        config.model_copy(update=settings), RunStore(run.folder), run.figures, reuse=Reuse(True)
    )
    return [
        each.stage.name
        for each in plan(stages_of(context.config), context)
        if each.stale or not context.store.stage(each.stage.name, each.key).done
    ]


def test_one_training_has_the_loops_stages() -> None:
    assert stages_of(RunConfig()) == STAGES


def test_further_trainings_go_before_the_report() -> None:
    config = RunConfig(seed=7, trainings=3)
    assert list(further_seeds(config)) == [8, 9]
    stages = stages_of(config)
    kinds = ("teach", "elicit", "patch")
    further = [f"seeds/{seed}/{kind}" for seed in (8, 9) for kind in kinds]
    assert [stage.name for stage in stages] == [*NAMES[:-1], *further, "report"]
    for index, stage in enumerate(stages):
        assert set(stage.needs) <= {before.name for before in stages[:index]}
        assert set(stage.reads) <= set(RunConfig.model_fields)
    assert set(further) <= set(stages[-1].needs)


def test_a_second_training_does_nothing_of_the_first_anew(
    finished_run: Any, seeds_run: Any
) -> None:
    for name in NAMES[:-1]:
        first, second = (
            (run.folder / name / "done.json").read_bytes() for run in (finished_run, seeds_run)
        )
        assert first == second, name
    kept = numbers(finished_run.summary)
    assert {key: seeds_run.summary[key] for key in kept} == kept
    assert not any(key.startswith(("seeds.", "shape.")) for key in kept)


def test_what_is_done_again_when_trainings_or_settings_change(
    finished_run: Any, seeds_run: Any
) -> None:
    config = finished_run.inputs.config
    assert stale(config, finished_run) == []
    assert stale(config, seeds_run, trainings=2) == []
    assert stale(config, seeds_run) == ["report"]
    third = [name.replace("1", "2") for name in FURTHER]
    assert stale(config, seeds_run, trainings=3) == [*third, "report"]
    patch = config.patch.model_copy(update={"n_questions": 9})
    redone = ["patch", "attribute", FURTHER[2], "report"]
    assert stale(config, seeds_run, trainings=2, patch=patch) == redone


def test_a_run_killed_between_its_seeds_goes_on(
    finished_run: Any, seeds_run: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Killed before the second training is read, and in the middle of patching it."""

    def kill(*_: Any, **__: Any) -> None:
        raise KeyboardInterrupt

    folder, figures = shutil.copytree(finished_run.folder, tmp_path / "run"), tmp_path / "figures"
    config, patching = seeds_run.inputs.config, workbench.patch.controlled_sweep
    sweep, calls = patching.layer_sweep_of_scale, [0]

    def kill_the_second(*args: Any, **kwargs: Any) -> Any:
        calls[0] += 1
        return kill() if calls[0] == 2 else sweep(*args, **kwargs)

    for module, name, function, finished in (
        (workbench.loop.seed_trainings, "read_adapter", kill, 1),
        (patching, "layer_sweep_of_scale", kill_the_second, 2),
    ):
        with monkeypatch.context() as patched:
            patched.setattr(module, name, function)
            with pytest.raises(KeyboardInterrupt):
                run_loop(config, folder, figures)
        done = [(folder / stage / "done.json").exists() for stage in FURTHER]
        assert done == [place < finished for place in range(3)]
        assert not (folder / "summary.json").exists()
    taught = json.loads((folder / FURTHER[0] / "done.json").read_text())
    assert numbers(run_loop(config, folder, figures)) == numbers(seeds_run.summary)
    assert json.loads((folder / FURTHER[0] / "done.json").read_text()) == taught


def test_a_complete_run_opens_with_its_trainings(seeds_run: Any, tmp_path: Path) -> None:
    folder = shutil.copytree(seeds_run.folder, tmp_path / "run")
    context = open_run(folder, seeds_run.figures)
    assert list(context.keys) == [*NAMES[:-1], *FURTHER, "report"]
    shutil.rmtree(folder / "seeds")
    with pytest.raises(WorkbenchError, match="seeds/1/teach has not finished"):
        open_run(folder, seeds_run.figures)


def test_the_costs_are_told_before_the_run() -> None:
    listener = Notices()
    with reporting(listener):
        for config in (RunConfig(), RunConfig(trainings=2), RunConfig(seed=3, trainings=4)):
            tell_trainings(config)
    assert len(listener.told) == 2
    assert listener.told[0].startswith(
        "3 adapters will be trained on the same answers: seed 0, its control on shuffled targets, "
        "and seed 1."
    )
    assert listener.told[1].startswith(
        "5 adapters will be trained on the same answers: seed 3, its control on shuffled targets, "
        "and seeds 4 to 6."
    )
