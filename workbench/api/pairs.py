"""Prompt pairs from a file: one row a pair, in any format that :mod:`workbench.tables` reads.

| column | meaning |
|---|---|
| ``prompt``, ``donor`` | the text patched, and the text whose states are written |
| ``read`` | the answer read, with the space before it where there is one |
| ``against`` | a second answer; read is then the logit difference of the two |
| ``span``, ``donor_span`` | text in the prompt and in the donor that is the place to patch |

The last three are optional, and ``read`` too where it is given another way.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from workbench.errors import WorkbenchError
from workbench.tables import read_columns

NEEDED = ("prompt", "donor")


@dataclass(frozen=True)
class PromptPairs:
    """Pairs of a file.

    Attributes:
        read: one entry a pair, or None where the file names no answers.
        at: the named span and the last token, or None where the file names no spans.
    """

    prompts: tuple[str, ...]
    donors: tuple[str, ...]
    read: list[Any] | None
    at: dict[str, Any] | None


def read_pairs(path: Path) -> PromptPairs:
    """Read pairs from a file.

    Raises:
        WorkbenchError: for a file that cannot be read, columns that are missing or come without
            their fellow, and cells that are empty or no text.
    """
    columns = read_columns(path)
    missing = [name for name in NEEDED if name not in columns]
    if missing:
        raise WorkbenchError(
            f"{path} has no column {' and no column '.join(missing)}; name the columns prompt, "
            "donor and read (also against, span and donor_span)."
        )
    for name, fellow in (("against", "read"), ("span", "donor_span"), ("donor_span", "span")):
        if name in columns and fellow not in columns:
            raise WorkbenchError(f"{path} has a column {name} and none {fellow}; give both.")
    found = {
        name: _texts(path, name, columns[name].tolist())
        for name in (*NEEDED, "read", "against", "span", "donor_span")
        if name in columns
    }
    if not found["prompt"]:
        raise WorkbenchError(f"{path} holds no pairs; give at least one row.")
    read: list[Any] | None = found.get("read")
    if "against" in found:
        read = list(zip(found["read"], found["against"], strict=True))
    spans = (found["span"], found["donor_span"]) if "span" in found else None
    return PromptPairs(
        tuple(found["prompt"]),
        tuple(found["donor"]),
        read,
        None if spans is None else {"span": spans, "last": "last"},
    )


def _texts(path: Path, name: str, cells: list[Any]) -> list[str]:
    for row, cell in enumerate(cells, 1):
        if not isinstance(cell, str) or not cell:
            raise WorkbenchError(f"{path}, row {row}: {name} is {cell!r}; give it some text.")
    return cells
