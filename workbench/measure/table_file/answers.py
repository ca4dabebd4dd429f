"""Read a table of graded answers with their confidence from anyone's file, and check it before
anything is counted.

Confidence is on 0-1 with NaN for replies without one; everything else is optional. ``notes`` says
how the file was read: which column plays which role, which scale, which columns were not used,
which ids occur twice.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd

from workbench.arrays import Bools, Floats
from workbench.errors import WorkbenchError
from workbench.measure.table_file.parse import confidences, grades, identifiers, texts
from workbench.measure.table_file.roles import existing, find_columns
from workbench.measure.table_file.scales import check_scale
from workbench.tables import read_columns

Duplicates = Literal["keep", "first", "last", "refuse"]
EVERYTHING = "all"
_GRADED = ("correct", "retrieved", "stimulus", "choice")


@dataclass(frozen=True)
class Answers:
    """A table of ``n`` answers; arrays [n], None where the file has no such column. ``scale`` is
    the largest stated value.
    """

    confidence: Floats
    correct: Bools
    group: np.ndarray
    scale: float
    id: np.ndarray | None = None
    domain: np.ndarray | None = None
    retrieved: Bools | None = None
    stimulus: Bools | None = None
    choice: Bools | None = None
    notes: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.confidence)

    def groups(self) -> dict[str, Answers]:
        """Return the answers of each group, in order of first appearance."""
        codes, names = pd.factorize(self.group)
        order = np.argsort(codes, kind="stable")
        parts = np.split(order, np.cumsum(np.bincount(codes))[:-1])
        return {str(name): self.rows(rows) for name, rows in zip(names, parts, strict=True)}

    def rows(self, rows: np.ndarray) -> Answers:
        """Return only these rows."""
        changed = {
            name: value[rows] for name, value in vars(self).items() if isinstance(value, np.ndarray)
        }
        return replace(self, **changed)


def read_answers(
    path: Path,
    *,
    columns: Mapping[str, str] | None = None,
    by: Sequence[str] = (),
    scale: float | None = None,
    duplicates: Duplicates = "keep",
    higher_is_less_sure: bool = False,
) -> Answers:
    """Read the answers of a CSV, TSV, JSON, JSON lines or parquet file.

    ``columns`` names a column by its role (see ROLES), ``by`` those whose values make a group,
    ``scale`` the largest value of the confidence scale (None: found from the values).
    ``duplicates`` says what happens to ids that occur twice in a group. Where
    ``higher_is_less_sure``, the column holds uncertainties, and confidence is 1 - value / scale.
    """
    check_scale(scale)
    found = read_columns(path)
    roles = find_columns(found, columns or {})
    groups = [existing(name, list(found), "--by") for name in by]
    columns_of_group = [texts(found[name], name) for name in groups]
    group = _joined(columns_of_group, found.rows)
    stated = confidences(
        found[roles["confidence"]],
        roles["confidence"],
        scale,
        group=group if groups else None,
        higher_is_less_sure=higher_is_less_sure,
    )
    used = {*roles.values(), *groups}
    told = ", ".join(f"{role} = {name}" for role, name in roles.items())
    left = [name for name in found if name not in used]
    notes = [
        *found.notes,
        f"columns: {told}." + (f" Not used: {', '.join(left)}." if left else ""),
        *stated.notes,
    ]
    typed: dict[str, Any] = {
        role: grades(found[roles[role]], roles[role]) for role in _GRADED if role in roles
    }
    if "domain" in roles:
        typed["domain"] = texts(found[roles["domain"]], roles["domain"])
    if "id" in roles:
        typed["id"], nameless = identifiers(found[roles["id"]], roles["id"])
        if nameless:
            notes.append(
                f"{nameless:,} rows have no id in column {roles['id']!r}; each counts as a "
                "question of its own."
            )
    answers = Answers(
        confidence=stated.values,
        group=group,
        scale=stated.scale,
        notes=tuple(notes),
        **typed,
    )
    return _without_duplicates(answers, duplicates)


def _joined(columns: list[np.ndarray], n: int) -> np.ndarray:
    if not columns:
        return np.full(n, EVERYTHING, dtype=object)
    joined = columns[0]
    for further in columns[1:]:
        joined = joined + " / " + further
    return joined


def _without_duplicates(answers: Answers, duplicates: Duplicates) -> Answers:
    if answers.id is None:
        return answers
    keys = pd.DataFrame({"group": answers.group, "id": answers.id})
    again = keys.duplicated(keep="last" if duplicates == "last" else "first").to_numpy()
    if not again.any():
        return answers
    count = int(again.sum())
    example = answers.id[int(np.argmax(again))]
    if duplicates == "refuse":
        raise WorkbenchError(
            f"{count:,} ids occur again within their group (such as {example!r}); mend them, or "
            "choose what happens "
            "with --duplicates keep, first or last."
        )
    if duplicates == "keep":
        note = (
            f"{count:,} ids occur again within their group (such as {example!r}); all rows are "
            "kept and counted."
        )
        return replace(answers, notes=(*answers.notes, note))
    note = (
        f"{count:,} ids occur again within their group (such as {example!r}); only the "
        f"{duplicates} row of each is kept."
    )
    return replace(answers.rows(np.flatnonzero(~again)), notes=(*answers.notes, note))
