from __future__ import annotations

from pathlib import Path

import pytest

from workbench.errors import WorkbenchError
from workbench.files.ownership import MARK, claim_folder, is_own, remove_own_folder


def test_a_new_and_an_empty_folder_become_ours(tmp_path: Path) -> None:
    for folder in (tmp_path / "deep" / "new", tmp_path / "empty"):
        if folder.name == "empty":
            folder.mkdir()
        claim_folder(folder)
        assert is_own(folder)
        claim_folder(folder)
        assert [path.name for path in folder.iterdir()] == [MARK]


def test_a_folder_of_somebody_else_is_refused_untouched(tmp_path: Path) -> None:
    for name in ("thesis.txt", "b", ".c", "d", "e"):
        (tmp_path / name).write_text("mine")
    message = r"was not made by the workbench and holds \.c, b, d and 2 more; nothing in it was touched\. Choose another name or place\."
    with pytest.raises(WorkbenchError, match=message):
        claim_folder(tmp_path)
    assert not is_own(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == [".c", "b", "d", "e", "thesis.txt"]


def test_a_folder_that_holds_only_folders_of_ours_becomes_ours(tmp_path: Path) -> None:
    claim_folder(tmp_path / "recipe")
    claim_folder(tmp_path)
    assert is_own(tmp_path)


def test_a_file_in_its_place_is_named(tmp_path: Path) -> None:
    (tmp_path / "run").write_text("")
    with pytest.raises(
        WorkbenchError,
        match=r"run is a file, where a folder is to be written; choose another --name\.",
    ):
        claim_folder(tmp_path / "run", "another --name")
    for path in (tmp_path / "run" / "inside", tmp_path / "a\0b"):
        with pytest.raises(
            WorkbenchError, match=r"cannot be made \(.*\); choose another name or place\."
        ):
            claim_folder(path)


def test_only_marked_folders_are_removed(tmp_path: Path) -> None:
    theirs, ours, link = tmp_path / "theirs", tmp_path / "ours", tmp_path / "link"
    theirs.mkdir()
    (theirs / "thesis.txt").write_text("mine")
    claim_folder(ours)
    (ours / "deep").mkdir()
    (ours / "deep" / "a").write_text("")
    (ours / "outside").symlink_to(theirs)
    link.symlink_to(ours)
    with pytest.raises(WorkbenchError, match="was not made by the workbench, so it is not removed"):
        remove_own_folder(theirs)
    with pytest.raises(WorkbenchError, match="is a link"):
        remove_own_folder(link)
    assert (ours / "deep" / "a").exists()
    remove_own_folder(ours)
    assert not ours.exists()
    assert (theirs / "thesis.txt").read_text() == "mine"


def test_a_damaged_mark_is_still_a_mark(tmp_path: Path) -> None:
    claim_folder(tmp_path / "run")
    (tmp_path / "run" / MARK).write_bytes(b"")
    (tmp_path / "run" / "a").write_text("")
    claim_folder(tmp_path / "run")
    remove_own_folder(tmp_path / "run")
    assert not (tmp_path / "run").exists()
