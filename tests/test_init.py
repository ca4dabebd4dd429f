from __future__ import annotations

import ast
import subprocess
import sys
from importlib import import_module
from importlib.metadata import version
from pathlib import Path
from types import ModuleType

import pytest

import workbench

PACKAGES = (
    "elicit",
    "measure",
    "models",
    "patch",
    "plots",
    "probe",
    "questions",
    "report",
    "teach",
    "trace",
)


def test_every_public_name_is_its_rooms_object() -> None:
    for name in set(workbench.__all__) - {"__version__"}:
        found = getattr(workbench, name)
        assert not isinstance(found, ModuleType)
        if name != "FORMATS":
            assert found.__module__.startswith("workbench.")
            assert found.__name__ == name
    assert set(workbench.__all__) <= set(dir(workbench))
    assert workbench.__version__ == version("confidence-workbench")


def test_types_and_the_lazy_imports_read_one_list() -> None:
    stub = Path(workbench.__file__).with_suffix(".pyi")
    tree = ast.parse(stub.read_text(encoding="utf-8"))
    listed = {
        alias.asname: node.module
        for node in tree.body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
        if alias.name == alias.asname
    }
    assert set(listed) == set(workbench.__all__) - {"__version__"}
    for name, module in listed.items():
        assert getattr(workbench, name) is getattr(import_module(module or ""), name)


def test_no_name_is_that_of_a_room() -> None:
    rooms = {path.stem for path in Path(workbench.__file__).parent.iterdir()}
    assert not rooms & set(workbench.__all__)


def test_the_loop_does_not_hide_its_module() -> None:
    module = import_module("workbench.loop")
    assert workbench.run_loop is module.run_loop
    assert workbench.loop is module


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="module 'workbench' has no attribute 'runn'"):
        _ = workbench.runn  # type: ignore[attr-defined]


def test_importing_loads_no_model_library() -> None:
    code = "import sys, workbench; print(*sorted({n.partition('.')[0] for n in sys.modules}))"
    loaded = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    ).stdout.split()
    assert not {"torch", "transformers", "peft", "numpy", "pandas", "plotly"} & set(loaded)


@pytest.mark.parametrize("package", PACKAGES)
def test_a_rooms_names_exist(package: str) -> None:
    room = import_module(f"workbench.{package}")
    assert room.__doc__
    assert len(set(room.__all__)) == len(room.__all__)
    assert not [name for name in room.__all__ if isinstance(getattr(room, name), ModuleType)]


@pytest.mark.parametrize("package", ["elicit", "patch", "teach"])
def test_a_rooms_names_hide_none_of_its_modules(package: str) -> None:
    room = import_module(f"workbench.{package}")
    modules = {path.stem for path in Path(room.__path__[0]).glob("*.py")}
    assert not modules & set(room.__all__)
