"""Read JSON files that the package wrote, naming the mend where one cannot be read."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from workbench.files.seals import damaged


def read_json(path: Path, mend: str) -> dict[str, Any]:
    """Read the object in a JSON file; an empty one where there is no file.

    Raises:
        WorkbenchError: for a file that cannot be read.
    """
    if not os.path.lexists(path):
        return {}
    try:
        if path.is_symlink():
            raise ValueError("it is a link")
        return dict(json.loads(path.read_text()))
    except (OSError, ValueError, TypeError, RecursionError) as error:
        raise damaged(f"{path} cannot be read ({error})", mend) from error
