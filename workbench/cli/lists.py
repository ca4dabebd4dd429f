"""Read options that name several things, separated by commas."""

from __future__ import annotations

from workbench.errors import WorkbenchError
from workbench.settings.fields import shown


def listed(option: str, given: str) -> list[str]:
    """Return the names between the commas of what ``option`` was given, each once and none empty.

    Raises:
        WorkbenchError: for an empty name between commas, and a name given twice.
    """
    names = [name.strip() for name in given.split(",")]
    if not all(names):
        raise WorkbenchError(
            f"{option} {shown(given)} has a comma, or nothing, where a name belongs; name some by "
            "commas, as a,b."
        )
    twice = next((name for index, name in enumerate(names) if name in names[:index]), None)
    if twice is not None:
        raise WorkbenchError(f"{option} {shown(given)} names {shown(twice)} twice; name it once.")
    return names
