"""``workbench grid`` from a file to its table: one cell that is finished, one that cannot be."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import yaml
from typer.testing import CliRunner

from tests.support.runs import FinishedRun
from workbench.cli.app import app
from workbench.grid.cells import cells_of
from workbench.grid.grid_file import read_grid

SHIPPED = Path(__file__).parents[2] / "analyses" / "seed_replication.yaml"


def call(*arguments: object) -> Any:
    return CliRunner().invoke(app, ["grid", *map(str, arguments)])


@pytest.fixture
def written(finished_run: FinishedRun, tmp_path: Path) -> list[object]:
    """A grid of the finished run and of one with too few questions, and its places as options."""
    common = finished_run.inputs.config.model_dump(mode="json")
    for group, key in (("model", "name"), ("questions", "source")):
        del common[group][key]
    del common["seed"]
    grid = {
        "models": [{"name": "tiny", "model": str(finished_run.inputs.model)}],
        "questions": [{"name": "planted", "source": str(finished_run.inputs.questions)}],
        "settings": [{"name": "plain"}, {"name": "few", "set": {"questions.skip": 130}}],
        "common": common,
    }
    file = tmp_path / "small.yaml"
    file.write_text(yaml.safe_dump(grid))
    cell = "tiny__planted__plain__seed0"
    shutil.copytree(finished_run.folder, tmp_path / "runs" / "small" / "cells" / cell)
    (tmp_path / "runs" / "small" / ".made-by-workbench").touch()
    return [file, "--runs", tmp_path / "runs", "--figures", tmp_path / "figures"]


def test_a_grid_goes_from_its_file_to_its_table_and_page(
    written: list[object], finished_run: FinishedRun, tmp_path: Path
) -> None:
    cells = ["tiny__planted__plain__seed0", "tiny__planted__few__seed0"]
    assert call(*written, "--dry-run").output.split() == cells
    before = call("status", *written).output
    assert f"{cells[0]}  finished\n" in before
    assert "1 finished, 1 missing\n" in before
    done = call(*written)
    assert done.exit_code == 2
    assert "1 of 2 cells are finished." in done.output
    states = json.loads(call("status", *written, "--json").output)
    assert [one["state"] for one in states] == ["finished", "failed"]
    assert states[1]["reason"] in done.output.replace("\n", " ")
    table = pd.read_parquet(tmp_path / "runs" / "small" / "grid.parquet")
    assert set(table["cell"]) == {cells[0]}
    assert not table.duplicated(["cell", "measure"]).any()
    row = table.set_index("measure").loc["auroc2.expected.after"]
    for column, key in (("value", ""), ("low", ".low"), ("high", ".high")):
        assert row[column] == finished_run.summary[f"auroc2.expected.after{key}"]
    page = (tmp_path / "figures" / "small" / "index.html").read_text()
    assert states[1]["reason"][:40] in page
    assert "tiny · planted · loop · plain" in page
    assert "auroc2.expected.after" in call("table", *written).output


def test_mistakes_are_one_sentence(tmp_path: Path) -> None:
    file = tmp_path / "grid.yaml"
    file.write_text("seeds: [0]")
    for arguments, said in (
        ((tmp_path / "none.yaml",), "there is no such file"),
        ((file, "--address", "auto"), "--address is an option of --engine ray"),
        ((file, "--local"), "--local is an option of --engine slurm"),
        ((file, "--engine", "dask"), "dask"),
    ):
        done = call(*arguments, "--runs", tmp_path / "r", "--figures", tmp_path / "f")
        assert done.exit_code == 2
        assert said in " ".join(done.output.split())
    assert [path.name for path in tmp_path.iterdir()] == ["grid.yaml"]


def test_the_shipped_grid_is_ten_seeds_of_the_published_recipe_in_two_models() -> None:
    cells = cells_of(read_grid(SHIPPED))
    assert len(cells) == 20
    assert {(cell.axes["model"], cell.axes["seed"]) for cell in cells} == {
        (model, seed) for model in ("default", "qwen-1.5b") for seed in range(10)
    }
    from workbench.teach.recipes import recipe_named

    teach = cells[0].config.teach.model_dump(mode="json")
    for key, value in recipe_named("probe").arm("primary").teach.items():
        if isinstance(value, dict):
            assert {name: teach[key][name] for name in value} == {
                name: list(v) if isinstance(v, tuple) else v for name, v in value.items()
            }
        else:
            assert teach[key] == value
