"""Compute every measure of every group of a file: the library call that ``workbench measure``
makes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from workbench.measure.against import Judge, compare_groups, paired_values
from workbench.measure.groups import GroupMeasures, Settings, check_patience, flat, measure_groups
from workbench.measure.paired import Paired
from workbench.measure.table_file.answers import Answers, Duplicates, read_answers


@dataclass(frozen=True)
class Measured:
    """The measures of a file. ``groups``: name -> its measures; ``paired``: name -> comparison with
    the group ``against`` (empty without one).
    """

    answers: Answers
    groups: dict[str, GroupMeasures]
    paired: dict[str, Paired]
    against: str
    judge: Judge
    settings: Settings

    def to_dict(self) -> dict[str, dict[str, Any]]:
        """Return one plain object per group: flat values (None = undefined), ``notes`` and, where
        compared, ``against``.
        """
        out: dict[str, dict[str, Any]] = {}
        for name, group in self.groups.items():
            out[name] = {**flat(group.values), "notes": list(group.notes)}
            if name in self.paired:
                out[name]["against"] = flat(
                    paired_values(self.paired[name], self.against, self.judge)
                )
        return out


def measure_file(
    path: Path,
    settings: Settings,
    *,
    columns: Mapping[str, str] | None = None,
    by: Sequence[str] = (),
    scale: float | None = None,
    duplicates: Duplicates = "keep",
    against: str | None = None,
    judge: Judge = "own",
    higher_is_less_sure: bool = False,
    patient: bool = True,
) -> Measured:
    """Read ``path`` (see :func:`read_answers`), measure its groups and compare them with the group
    ``against``, if given.

    Unless ``patient``, so many groups that they would take more than a few minutes are refused at
    the start.
    """
    answers = read_answers(
        path,
        columns=columns,
        by=by,
        scale=scale,
        duplicates=duplicates,
        higher_is_less_sure=higher_is_less_sure,
    )
    if not patient:
        check_patience(answers, settings)
    groups = measure_groups(answers, settings)
    paired = {} if against is None else compare_groups(answers, against, settings, judge=judge)
    return Measured(answers, groups, paired, against or "", judge, settings)
