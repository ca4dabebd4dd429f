from __future__ import annotations

import ast

import pytest

from tests.faults.fuzz import PROPERTIES, ROOT


@pytest.mark.parametrize("kind", PROPERTIES)
def test_what_is_fuzzed_is_there(kind: str) -> None:
    """Files that were moved and words that are in no test's name would fuzz nothing."""
    files, words = PROPERTIES[kind]
    for file in files.split():
        tree = ast.parse((ROOT / file).read_text(encoding="utf-8"))
        properties = [
            node.name
            for node in tree.body
            if isinstance(node, ast.FunctionDef) and "@given(" in ast.unparse(node)
        ]
        wanted = words.split(" or ") if words else [""]
        assert [name for name in properties if any(word in name for word in wanted)], file
