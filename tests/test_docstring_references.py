"""What a docstring refers to is there: every ``:mod:``, ``:func:``, ``:class:`` role resolves."""

from __future__ import annotations

import ast
import importlib.util
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[1]
ROLE = re.compile(r":(?:mod|func|class|meth|data|attr|exc):`~?([\w.\s]+)`")


@cache
def defined(path: Path) -> frozenset[str]:
    """Names a module defines or imports, classes' members as ``Class.member``."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ClassDef):
            for inner in node.body:
                names = [getattr(inner, "name", None)]
                if isinstance(inner, ast.AnnAssign):
                    names.append(getattr(inner.target, "id", None))
                found |= {f"{node.name}.{name}" for name in names if name}
                found |= {name for name in names if name}
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            found.add(node.name)
        elif isinstance(node, ast.ImportFrom | ast.Import):
            found |= {(alias.asname or alias.name).split(".")[0] for alias in node.names}
        elif isinstance(node, ast.Name | ast.arg):
            found.add(node.id if isinstance(node, ast.Name) else node.arg)
        elif isinstance(node, ast.Attribute):
            found.add(node.attr)
    return frozenset(found)


def module_file(name: str) -> Path | None:
    path = ROOT.joinpath(*name.split("."))
    return next((p for p in (path.with_suffix(".py"), path / "__init__.py") if p.exists()), None)


def resolves(reference: str, source: Path) -> bool:
    if reference.startswith("."):  # a module beside this one
        return (source.parent / f"{reference[1:]}.py").exists()
    parts = reference.split(".")
    if parts[0] != "workbench":
        outside = len(parts) > 1 and importlib.util.find_spec(parts[0]) is not None
        return reference in defined(source) or parts[-1] in defined(source) or outside
    for length in range(len(parts), 0, -1):
        path = module_file(".".join(parts[:length]))
        if path is not None:
            rest = ".".join(parts[length:])
            lazy = path.with_suffix(".pyi")
            stub = defined(lazy) if lazy.exists() else frozenset()
            return not rest or rest in defined(path) or rest in stub
    return False


def broken() -> Iterator[str]:
    for path in sorted((ROOT / "workbench").rglob("*.py")):
        for match in ROLE.finditer(path.read_text(encoding="utf-8")):
            reference = "".join(match.group(1).split())
            if not resolves(reference, path):
                yield f"{path.relative_to(ROOT)}: {reference}"


def test_every_reference_is_there() -> None:
    assert not list(broken())
