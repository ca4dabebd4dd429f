"""Check names of runs, which become folders below ``--runs`` and ``--figures`` and must
stay there.
"""

from __future__ import annotations

from pathlib import Path

from workbench.errors import WorkbenchError

LONGEST = 200


def check_name(name: str, option: str = "--name") -> str:
    """Return a run's name if it can be that of one folder.

    Raises:
        WorkbenchError: for names that are empty, too long or blank at an end, begin with a dot or a
            dash, or hold separators or control characters.
    """
    why = _fault(name)
    if why is not None:
        shown = name if len(name) <= LONGEST else f"{name[:20]}..."
        raise WorkbenchError(f"{option} {shown!r} {why}; give a plain name such as 'first'.")
    return name


def folder_named(parent: Path, name: str, option: str = "--name") -> Path:
    """Return the folder of a run of this name below ``parent``."""
    return parent / check_name(name, option)


def _fault(name: str) -> str | None:
    rules = (
        (not name, "is empty"),
        (len(name.encode(errors="surrogatepass")) > LONGEST, f"is longer than {LONGEST} bytes"),
        (any(sign in name for sign in "/\\"), "holds a separator of folders"),
        (not name.isprintable(), "holds a character that cannot be shown"),
        (name.startswith((".", "-")), "begins with a dot or a dash"),
        (
            name != name.strip() or name.endswith("."),
            "begins or ends with a blank or ends with a dot",
        ),
        (len(name) == 2 and name[1] == ":", "names a drive"),
    )
    return next((why for broken, why in rules if broken), None)
