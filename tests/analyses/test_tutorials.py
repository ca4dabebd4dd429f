"""Every cell of every tutorial runs, on a tiny model."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import nbformat
import pytest
from nbclient import NotebookClient
from nbformat.v4 import new_code_cell

from tests.support.analyses import FIGURE, FOLDER
from tests.support.tiny_default import save_tiny_default
from workbench.experiments.scripts import script_named, write_notebook

TUTORIALS = [path.stem for path in sorted((FOLDER / "tutorials").glob("*.py"))]
FIGURES = {"tour": 3, "critical_reading": 5, "activation_patching": 9}
"""Fewest that are drawn; a tutorial that is not named must draw one."""
BAR = "application/vnd.jupyter.widget-view+json"
SETUP = (
    "from pathlib import Path\n"
    "from tests.support.tiny_default import use_tiny_default\n"
    "use_tiny_default(Path({!r}))"
)


@pytest.fixture(scope="module")
def tiny_default(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("tiny-default")
    save_tiny_default(folder)
    return folder


def executed(name: str, tiny_default: Path, place: Path) -> Any:
    """The tutorial as ``workbench notebook`` writes it, after its cells ran in a kernel."""
    write_notebook(script_named(name), place / f"{name}.ipynb")
    notebook = nbformat.read(place / f"{name}.ipynb", as_version=4)
    notebook.cells.insert(0, new_code_cell(SETUP.format(str(tiny_default))))
    client = NotebookClient(notebook, timeout=240, resources={"metadata": {"path": str(place)}})
    paths = [str(FOLDER.parent), *os.environ.get("PYTHONPATH", "").split(os.pathsep)]
    client.execute(env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, paths))})
    return notebook


@pytest.mark.parametrize("name", TUTORIALS)
def test_every_cell_runs_and_figures_are_drawn(
    name: str, tiny_default: Path, tmp_path: Path
) -> None:
    notebook = executed(name, tiny_default, tmp_path)
    outputs = [
        output for cell in notebook.cells[1:] if cell.cell_type == "code" for output in cell.outputs
    ]
    figures = sum(FIGURE in output.get("data", {}) for output in outputs)
    assert figures >= FIGURES.get(name, 1)
    assert any(BAR in output.get("data", {}) for output in outputs)
    # Results are shown, nothing is printed.
    assert not [output.text for output in outputs if output.output_type == "stream"]
    assert [path.name for path in tmp_path.iterdir()] == [f"{name}.ipynb"]


def test_the_first_figure_takes_ten_lines() -> None:
    lines: list[str] = []
    code = False
    for line in script_named("tour").path.read_text(encoding="utf-8").splitlines():
        code = line == "# %%" if line.startswith("# %%") else code
        if code and line and not line.startswith("#"):
            lines.append(line)
    assert 0 < lines.index("sweep") < 10
