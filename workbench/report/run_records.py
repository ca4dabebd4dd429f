"""Hold what a run's page leaves for comparing runs: who was asked, the answer, the headline numbers
with their intervals, and curves over the layers.

Two runs of the same questions share their luck, two of different questions do not: their intervals
say how each may vary, not whether they differ.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from workbench.errors import WorkbenchError

RECORD_FILE = "run.json"


@dataclass(frozen=True)
class Headline:
    """A number of a run with its interval; None where it has none, or was not measured."""

    label: str
    value: float | None
    low: float | None = None
    high: float | None = None

    def __post_init__(self) -> None:
        for name in ("value", "low", "high"):
            number = getattr(self, name)
            if number is not None and not math.isfinite(number):
                object.__setattr__(self, name, None)


@dataclass(frozen=True)
class RecordCurve:
    """A curve of a run; None where it has a gap."""

    title: str
    x_title: str
    x: Sequence[float]
    values: Sequence[float | None]


@dataclass(frozen=True)
class RunRecord:
    """A run in the list of runs.

    Attributes:
        title: the question its page answers.
        answer: in a sentence.
        facts: what distinguishes it, as model and seed, as text.
        finished: whether all of its stages are there.
    """

    title: str
    answer: str
    facts: Mapping[str, str]
    headlines: Sequence[Headline]
    curves: Sequence[RecordCurve]
    finished: bool

    def to_json(self) -> dict[str, Any]:
        """Return the record as ``run.json`` holds it."""
        return asdict(self)


def read_record(path: Path) -> RunRecord:
    """Read what :meth:`RunRecord.to_json` gave.

    Raises:
        WorkbenchError: for a file that holds something else.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        return RunRecord(
            str(content["title"]),
            str(content["answer"]),
            {str(key): str(value) for key, value in content["facts"].items()},
            [Headline(**each) for each in content["headlines"]],
            [RecordCurve(**each) for each in content["curves"]],
            bool(content["finished"]),
        )
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise WorkbenchError(
            f"{path} is not the record of a run ({type(error).__name__}); run it again to write it "
            "anew."
        ) from error
