"""Mark the folders that the workbench makes, and touch no other.

A folder is the workbench's when it holds the file :data:`MARK`, whatever the content of that file,
so that the mark survives a power cut. Only folders with the mark are written into, emptied or
removed; a folder of somebody else is refused and left unchanged. Links to folders are followed for
a whole run, which may be on another disk, and never removed.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from workbench.errors import WorkbenchError
from workbench.files.writing import is_temporary, sync_to_disk

MARK = ".made-by-workbench"
FIGURES = "another --name or --figures"
"""What a person can choose where figures cannot be written."""
_TEXT = "The workbench made this folder; it may empty or remove it when a run is done again.\n"
_SHOWN = 3


def is_own(folder: Path) -> bool:
    """Return whether the workbench made ``folder``."""
    return (folder / MARK).is_file()


def claim_folder(folder: Path, choose: str = "another name or place") -> None:
    """Make ``folder`` and mark it as the workbench's, if nobody else has anything in it.

    Args:
        choose: what the person could choose instead, for the message.

    Raises:
        WorkbenchError: for a file of that name, a folder with content of somebody else, which stays
            untouched, and a place that cannot be written to.
    """
    require_claimable(folder, choose)
    if is_own(folder):
        return
    try:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / MARK).write_text(_TEXT)
        sync_to_disk(folder)
    except (OSError, ValueError) as error:
        raise _cannot_make(folder, error, choose) from error


def require_claimable(folder: Path, choose: str = "another name or place") -> None:
    """Refuse what :func:`claim_folder` would refuse, and write nothing. This is called before long
    work.

    Raises:
        WorkbenchError: as :func:`claim_folder`.
    """
    try:
        if folder.exists() and not folder.is_dir():
            raise WorkbenchError(
                f"{folder} is a file, where a folder is to be written; choose {choose}."
            )
        foreign = [] if is_own(folder) else _foreign(folder)
        there = next(place for place in (folder, *folder.absolute().parents) if place.exists())
    except (OSError, ValueError) as error:
        if isinstance(error, WorkbenchError):
            raise
        raise _cannot_make(folder, error, choose) from error
    if foreign:
        more = "" if len(foreign) <= _SHOWN else f" and {len(foreign) - _SHOWN} more"
        raise WorkbenchError(
            f"The folder {folder} was not made by the workbench and holds "
            f"{', '.join(foreign[:_SHOWN])}{more}; nothing in "
            f"it was touched. Choose {choose}."
        )
    if not there.is_dir():
        raise _cannot_make(folder, NotADirectoryError(f"{there} is a file"), choose)
    if not os.access(there, os.W_OK | os.X_OK):
        raise WorkbenchError(
            f"The folder {there} cannot be written to; change its permissions or choose {choose}."
        )


def remove_own_folder(folder: Path) -> None:
    """Remove a folder that the workbench made, with everything in it.

    Raises:
        WorkbenchError: for a folder without the mark, and for a link; both stay untouched.
    """
    if folder.is_symlink():
        raise WorkbenchError(
            f"{folder} is a link, which the workbench does not remove; remove it and run again."
        )
    if not is_own(folder):
        raise WorkbenchError(
            f"The folder {folder} was not made by the workbench, so it is not removed; move it "
            "away."
        )
    try:
        # The mark goes last: what a killed process leaves of the folder is still marked.
        for path in sorted(folder.iterdir()):
            if path.name != MARK:
                _remove(path)
        shutil.rmtree(folder)
    except OSError as error:
        raise WorkbenchError(
            f"Cannot remove {folder}: {error}. Remove it by hand and run again."
        ) from error


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink()


def _foreign(folder: Path) -> list[str]:
    """Return the names in ``folder`` that the workbench cannot have written."""
    if not folder.exists():
        return []
    return sorted(
        path.name
        for path in folder.iterdir()
        if not is_temporary(path) and not (path.is_dir() and is_own(path))
    )


def _cannot_make(folder: Path, error: Exception, choose: str) -> WorkbenchError:
    return WorkbenchError(f"The folder {folder} cannot be made ({error}); choose {choose}.")
