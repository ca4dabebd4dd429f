"""Imports run down the floors: no room imports from one above it, no two modules import each
other, no private name crosses modules.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGE = "workbench"
FLOORS: tuple[tuple[str, ...], ...] = (
    ("arrays", "compat", "compat_processes", "errors", "notices", "progress"),
    ("files", "progress_bars"),
    ("settings",),
    ("config",),
    ("states", "tables"),
    ("measure",),
    ("models", "plots"),
    ("stream",),
    ("trace", "report"),
    ("questions", "probe", "pipeline"),
    ("loading",),
    ("elicit",),
    ("patch", "teach"),
    ("bottleneck", "features", "mechanisms", "subspaces"),
    ("loop", "api"),
    ("live",),
    ("experiments",),
    ("plan",),
    ("bench",),
    ("grid",),
    ("cli",),
    ("__main__", "notebook"),
)
"""From the ground up; packages of one floor do not import from each other. ``workbench/__init__.py``
names packages and imports them when it is asked.
"""
BETWEEN = {("experiments", "experiments")}


@cache
def modules() -> dict[str, Path]:
    """Every module of the package by its dotted name."""
    found = {}
    for path in sorted((ROOT / PACKAGE).rglob("*.py")):
        parts = path.relative_to(ROOT).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


@cache
def imports_of(module: str) -> tuple[tuple[str, str, bool], ...]:
    """(module imported from, name, whether it is imported when the module is) of every import
    within the package.
    """
    return tuple(_imports_of(module))


def _imports_of(module: str) -> Iterator[tuple[str, str, bool]]:
    path = modules()[module]
    tree = ast.parse(path.read_text(encoding="utf-8"))
    late = {
        id(inner)
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef)
        for inner in ast.walk(node)
    }
    late |= {
        id(inner)
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test)
        for inner in ast.walk(node)
    }
    for node in ast.walk(tree):
        if (
            isinstance(node, ast.ImportFrom)
            and node.module
            and node.module.split(".")[0] == PACKAGE
        ):
            for alias in node.names:
                inner = f"{node.module}.{alias.name}"
                yield (
                    (inner if inner in modules() else node.module),
                    alias.name,
                    id(node) not in late,
                )
        elif isinstance(node, ast.Import):
            for alias in node.names:
                if alias.name.split(".")[0] == PACKAGE:
                    yield alias.name, "", id(node) not in late


def room(module: str) -> str:
    return module.split(".")[1] if "." in module else ""


def floor(module: str) -> int:
    return next(index for index, rooms in enumerate(FLOORS) if room(module) in rooms)


@pytest.mark.parametrize("module", sorted(set(modules()) - {PACKAGE}))
def test_imports_run_downward(module: str) -> None:
    above = sorted(
        {
            other
            for other, _, _ in imports_of(module)
            if room(other) != room(module) and (other == PACKAGE or floor(other) >= floor(module))
        }
    )
    assert not above, f"{module} imports from its own floor or above: {', '.join(above)}"


def test_no_two_modules_import_each_other() -> None:
    imported = {
        module: {other for other, _, at_once in imports_of(module) if at_once}
        for module in modules()
    }
    done: set[str] = set()

    def visit(module: str, path: tuple[str, ...]) -> None:
        assert module not in path, " -> ".join([*path[path.index(module) :], module])
        if module not in done:
            for other in sorted(imported[module]):
                visit(other, (*path, module))
            done.add(module)

    for module in sorted(imported):
        visit(module, ())


def test_no_private_name_is_imported() -> None:
    found = [
        f"{module}: {name}"
        for module in modules()
        for other, name, _ in imports_of(module)
        if name.startswith("_") and not name.startswith("__")
    ]
    assert not found


def test_every_room_has_a_floor() -> None:
    rooms = {room(module) for module in modules()} - {""}
    assert rooms == {name for floor_rooms in FLOORS for name in floor_rooms}


def test_no_test_imports_another() -> None:
    found = []
    for path in sorted((ROOT / "tests").rglob("test_*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            names = [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            names += [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            if any(name.split(".")[-1].startswith("test_") for name in names):
                found.append(f"{path.relative_to(ROOT)}: {', '.join(names)}")
    assert not found
