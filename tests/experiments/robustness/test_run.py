"""The grid on a tiny model: its default is the main loop's training, and a late adapter moves no
state below it.
"""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

from tests.support.runs import FinishedRun
from workbench.config import RunConfig
from workbench.elicit.readout import expected_confidence
from workbench.errors import WorkbenchError
from workbench.experiments.recipes.run import BASE
from workbench.experiments.robustness.page import page_of
from workbench.experiments.robustness.results import RobustnessResults
from workbench.experiments.robustness.run import RobustnessParameters, run_robustness
from workbench.experiments.robustness.trainings import trainings_of
from workbench.loop.patching import sweep_of_adapter
from workbench.loop.patching_results import sweeps
from workbench.loop.run import Run
from workbench.patch.controls import CONDITIONS, donor_states
from workbench.patch.sweep import ONE_BATCH, layer_sweep_of_scale
from workbench.pipeline.store import RunStore, StageStore
from workbench.trace.backends import engine

SMALL = RobustnessParameters(
    variants=("all-layers", "upper-half"),
    precisions=("float32",),
    seeds=1,
    windows=("upper-half",),
    window_layers=4,
    window_questions=5,
)


@pytest.fixture(scope="module")
def grid(
    finished_run: FinishedRun, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, RobustnessResults]:
    """The two variants on the finished run's answers and states."""
    folder = tmp_path_factory.mktemp("grid")
    for stage in BASE:
        shutil.copytree(finished_run.folder / stage, folder / "float32" / stage)
    return folder, run_robustness(finished_run.inputs.config, folder, SMALL)


def test_the_runs_own_settings_and_seed_are_the_main_loop(
    grid: tuple[Path, RobustnessResults], finished_run: FinishedRun
) -> None:
    folder, _ = grid
    own = StageStore(folder / "float32/trainings/all-layers/0/elicit", "").table("confidence")
    loop = StageStore(finished_run.folder / "elicit_tuned", "").table("confidence")
    loop = loop.set_index("row").loc[own["row"].tolist()]
    np.testing.assert_allclose(own["expected"], loop["expected"], atol=1e-6)
    swept, reference = (
        sweeps(StageStore(path, "").table("sweep"))
        for path in (
            folder / "float32/trainings/all-layers/0/patch",
            finished_run.folder / "patch",
        )
    )
    for name in ("own_tuned", "other_tuned"):
        np.testing.assert_allclose(swept[name].patched, reference[name].patched, atol=1e-6)
        np.testing.assert_allclose(swept[name].donor, reference[name].donor, atol=1e-6)


def test_below_a_late_adapter_nothing_moves(grid: tuple[Path, RobustnessResults]) -> None:
    _, found = grid
    (late,) = found.of("upper-half")
    half = len(late.layers) // 2
    assert (late.shift.value[:half] == 0).all()
    assert late.shift.value[-1] == pytest.approx(1, abs=1e-3)


def test_layers_that_are_not_run_would_have_moved_nothing(
    grid: tuple[Path, RobustnessResults], finished_run: FinishedRun
) -> None:
    """Every layer in the loop of hooked forwards, beside the sweep that leaves out the lower
    ones.
    """
    folder, _ = grid
    config = finished_run.inputs.config
    (training,) = trainings_of(config, ("upper-half",), 1)
    run = Run(config, RunStore(folder / "float32"), folder).with_teach(training.teach)
    for stage in BASE:
        run.keys[stage] = str(run.store.stage(stage, "").facts()["key"])
    rows = np.flatnonzero(run.stage("questions").table("questions")["split"] == "test")[:4]
    taught = StageStore(folder / "float32" / training.stage("teach"), "")
    with sweep_of_adapter(run, taught, rows) as sweep:
        layers = list(sweep.settings.layers)
        base, patched = sweep.sweep_batch(CONDITIONS[0], np.arange(4))
        donors = donor_states(CONDITIONS[0], sweep.states, np.arange(4), sweep.partner, 0)
        with sweep.base.within():
            reading = layer_sweep_of_scale(
                sweep.base.lm,
                sweep.tokens,
                sweep.trie,
                sweep.positions[:, 1].tolist(),
                layers,
                donors[:, layers],
                tokens_per_forward=ONE_BATCH,
                engine=engine("loop"),
            )
    looped = expected_confidence(reading.patched, sweep.scale.values, sweep.scale.certain)
    np.testing.assert_allclose(patched, looped, atol=1e-6)
    half = len(layers) // 2
    assert (patched[:, :half] == base[:, None]).all()
    assert (patched[:, half:] != base[:, None]).all()


def test_windows_of_layers_add_up_at_their_ends(grid: tuple[Path, RobustnessResults]) -> None:
    """On in no layer it moves nothing, on in all it is the tuned model; layers it has no part in
    change nothing.
    """
    _, found = grid
    (late,) = found.of("upper-half")
    assert late.windows is not None
    read = late.windows.set_index(["kind", "layer"])["shift"]
    layers = sorted(late.windows["layer"].unique())
    half = len(late.layers) // 2
    for layer in layers:
        if layer < half:
            assert read["below", layer] == pytest.approx(0, abs=1e-4)
            assert read["single", layer] == pytest.approx(0, abs=1e-4)
            assert read["above", layer] == pytest.approx(1, abs=1e-4)
            assert read["without", layer] == pytest.approx(1, abs=1e-4)
    assert read["below", layers[-1]] == pytest.approx(1, abs=1e-4)
    assert read["above", layers[-1]] == pytest.approx(read["single", layers[-1]], abs=1e-5)
    slope = late.windows.set_index(["kind", "layer"])["slope"]
    assert slope["below", layers[-1]] == pytest.approx(1, abs=1e-3)
    (other,) = found.of("all-layers")
    assert other.windows is None


def test_a_finished_grid_is_read_again(
    grid: tuple[Path, RobustnessResults], finished_run: FinishedRun
) -> None:
    folder, first = grid
    before = {path: path.stat().st_mtime_ns for path in folder.rglob("done.json")}
    again = run_robustness(finished_run.inputs.config, folder, SMALL)
    assert {path: path.stat().st_mtime_ns for path in folder.rglob("done.json")} == before
    for one, other in zip(first.cells, again.cells, strict=True):
        assert one.measures.keys() == other.measures.keys()
        np.testing.assert_array_equal(
            [one.value(name) for name in one.measures], [other.value(name) for name in one.measures]
        )


def test_the_page_has_every_training_and_its_numbers(
    grid: tuple[Path, RobustnessResults],
) -> None:
    _, found = grid
    page = page_of(found)
    table = page.tables["trainings.csv"]
    assert len(table) == sum(len(cell.measures) for cell in found.cells)
    assert page.summary["all-layers.trainings"] == 1
    mean = page.summary["upper-half.expected.within.mean"]
    assert mean == found.of("upper-half")[0].value("expected.within")
    drawn = {name: len(figure.data) for name, figure in page.figures.items()}
    assert drawn == {"donor_slope": 2, "shift": 2, "windows_upper_half": 4}
    assert set(page.tables["windows.csv"]["variant"]) == {"upper-half"}
    columns = {row["column"] for row in page.records["robustness.json"]["rows"]}
    assert "spread between seeds" not in columns  # of one training it is unknown
    assert "layer gradient rho" in columns


def test_an_adapter_on_the_conversation_is_no_start(
    finished_run: FinishedRun, tmp_path: Path
) -> None:
    config = finished_run.inputs.config
    teach = config.teach.model_copy(update={"adapter_scope": "conversation"})
    changed: RunConfig = config.model_copy(update={"teach": teach})
    with pytest.raises(WorkbenchError, match="adapter_scope"):
        run_robustness(changed, tmp_path, SMALL)
    assert not list(tmp_path.iterdir())
