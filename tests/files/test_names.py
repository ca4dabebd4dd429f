from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workbench.errors import WorkbenchError
from workbench.files.names import check_name, folder_named


@pytest.mark.parametrize(
    "name", ["first", "a", "qwen-1.5b", "Lauf für Ä", "実験", "a_b.c", "x" * 200, "7"]
)
def test_plain_names_stay(name: str) -> None:
    assert check_name(name) == name
    assert folder_named(Path("runs"), name) == Path("runs") / name


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("", "is empty"),
        (".", "begins with a dot or a dash"),
        ("..", "begins with a dot or a dash"),
        (".hidden", "begins with a dot or a dash"),
        ("-x", "begins with a dot or a dash"),
        ("../..", "holds a separator of folders"),
        ("/tmp/x", "holds a separator of folders"),
        ("a/b", "holds a separator of folders"),
        ("a\\b", "holds a separator of folders"),
        ("C:", "names a drive"),
        ("a\0b", "holds a character that cannot be shown"),
        ("a\x1b[2Jb", "holds a character that cannot be shown"),
        ("a\nb", "holds a character that cannot be shown"),
        ("a\u202eb", "holds a character that cannot be shown"),
        ("\ud800", "holds a character that cannot be shown"),
        (" ", "begins or ends with a blank or ends with a dot"),
        (" a", "begins or ends with a blank or ends with a dot"),
        ("a.", "begins or ends with a blank or ends with a dot"),
        ("a" * 201, "is longer than 200 bytes"),
        ("ä" * 101, "is longer than 200 bytes"),
    ],
)
def test_other_names_are_refused(name: str, why: str) -> None:
    with pytest.raises(
        WorkbenchError, match=rf"^--name .* {why}; give a plain name such as 'first'\.$"
    ):
        check_name(name)


@given(st.text())
def test_what_is_taken_is_a_folder_directly_below(name: str) -> None:
    try:
        folder = folder_named(Path("runs"), name)
    except WorkbenchError:
        return
    assert folder.parent == Path("runs")
    assert folder.name == name
    assert "\0" not in name
