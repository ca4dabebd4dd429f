"""Scripts are found and written as notebooks; a built package has them inside."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import nbformat
import pytest

from workbench.errors import WorkbenchError
from workbench.experiments import scripts
from workbench.experiments.scripts import find_scripts, script_named, write_notebook

ROOT = Path(__file__).parents[2]


def test_every_script_is_found_with_its_title() -> None:
    found = find_scripts()
    there = [*sorted(ROOT.glob("analyses/tutorials/*.py")), *sorted(ROOT.glob("analyses/*.py"))]
    tour = ROOT / "analyses" / "tutorials" / "tour.py"
    assert [script.path for script in found.values()] == sorted(there, key=lambda p: p != tour)
    assert list(found) == [script.path.stem for script in found.values()]
    assert found["steering"].title == "Can the model be steered into saying what it knows?"
    assert all(script.title != script.name for script in found.values())


@pytest.mark.parametrize("name", ["steering", "steering.py", "steering.ipynb"])
def test_a_script_is_named_with_or_without_its_ending(name: str) -> None:
    assert script_named(name).name == "steering"


def test_an_unknown_name_is_answered_by_the_names() -> None:
    with pytest.raises(WorkbenchError, match=r"no notebook 'steerin'; choose from .*steering"):
        script_named("steerin")


@pytest.mark.parametrize("name", list(find_scripts()))
def test_a_notebook_has_the_scripts_cells_a_kernel_and_no_outputs(
    name: str, tmp_path: Path
) -> None:
    path = tmp_path / "new" / "written.ipynb"
    write_notebook(script_named(name), path)
    notebook = nbformat.read(path, as_version=4)
    nbformat.validate(notebook)
    text = script_named(name).path.read_text(encoding="utf-8")
    assert len(notebook.cells) == sum(line.startswith("# %%") for line in text.splitlines())
    assert notebook.metadata.kernelspec.name == "python3"
    assert notebook.cells[0].cell_type == "markdown"
    for cell in notebook.cells:
        if cell.cell_type == "code":
            assert cell.outputs == []
            assert cell.execution_count is None
            assert cell.source in text
    again = tmp_path / "again.ipynb"
    write_notebook(script_named(name), again)
    assert again.read_bytes() == path.read_bytes()


def test_a_file_that_is_there_is_kept_unless_forced(tmp_path: Path) -> None:
    path = tmp_path / "mine.ipynb"
    path.write_text("mine")
    with pytest.raises(WorkbenchError, match=r"is there already.*--force.*--out"):
        write_notebook(script_named("steering"), path)
    assert path.read_text() == "mine"
    write_notebook(script_named("steering"), path, force=True)
    assert nbformat.read(path, as_version=4).cells


def test_without_jupytext_the_extra_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "jupytext", None)
    with pytest.raises(WorkbenchError, match=r"confidence-workbench\[notebook\]"):
        write_notebook(script_named("steering"), tmp_path / "new.ipynb")


def test_a_package_without_its_scripts_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scripts, "__file__", str(tmp_path / "workbench" / "experiments" / "s.py"))
    with pytest.raises(WorkbenchError, match="install the package from a wheel"):
        find_scripts()


def test_a_built_package_has_the_scripts(tmp_path: Path) -> None:
    source, out, unpacked = tmp_path / "source", tmp_path / "out", tmp_path / "unpacked"
    for folder in ("analyses", "workbench/experiments"):
        shutil.copytree(ROOT / folder, source / folder)
    for file in ("pyproject.toml", "setup.py", "README.md", "LICENSE", "workbench/__init__.py"):
        shutil.copy(ROOT / file, source / file)
    out.mkdir()
    build = f"from setuptools.build_meta import build_wheel; build_wheel({str(out)!r})"
    subprocess.run(
        [sys.executable, "-c", build], cwd=source, check=True, capture_output=True, timeout=120
    )
    (wheel,) = out.glob("*.whl")
    zipfile.ZipFile(wheel).extractall(unpacked)
    for room in ("errors.py", "files"):  # what finding scripts imports besides
        place = unpacked / "workbench" / room
        (shutil.copytree if "." not in room else shutil.copy)(ROOT / "workbench" / room, place)
    (unpacked / "workbench" / "__init__.py").write_text("")
    ask = "from workbench.experiments.scripts import *; print(*find_scripts())"
    done = subprocess.run(
        [sys.executable, "-c", ask],
        cwd=unpacked,
        env={**os.environ, "PYTHONPATH": str(unpacked)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.split() == list(find_scripts())
    assert (unpacked / "workbench/analyses/steering.py").read_bytes() == (
        ROOT / "analyses/steering.py"
    ).read_bytes()
