"""Load the questions of a hub set, through the ``datasets`` library, in the order in which they are
published.

One path for every set: load the row's repository, decode the columns its readers name, and build a
question a row. No code that comes with a data set is run. A row that is no question (no answer key,
the right option listed twice, an id used before) is left out, and one warning gives their number; a
set of which more than a tenth is left out is refused. Options keep their published order here:
:func:`workbench.questions.choice.shuffled` draws another.

``mirror`` is a folder that holds repositories under their hub ids, for machines without a network.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from string import ascii_uppercase
from typing import Any

from workbench import progress
from workbench.errors import WorkbenchError
from workbench.questions.hub.readers import Fields, Reader
from workbench.questions.hub.table import HubSet
from workbench.questions.schema import Question

MOST_LEFT_OUT = 0.1


def hub_questions(
    row: HubSet, split: str | None = None, mirror: Path | None = None, cache: Path | None = None
) -> list[Question]:
    """Load every question of the set.

    Args:
        split: which split; that of the row if not given.
        mirror: folder with the repository under its hub id, instead of the hub.
        cache: where ``datasets`` keeps what it prepared; its default place if not given.

    Raises:
        WorkbenchError: where the set cannot be reached or has other columns than the row says.
    """
    split = split or row.split
    table = _table(row, split, mirror, cache)
    missing = [column for column in row.columns if column not in table.column_names]
    if missing:
        raise WorkbenchError(
            f"{row.hub} has no column {missing[0]!r} (it has: {', '.join(table.column_names)}); "
            "its layout changed, so its row in the table of hub sets must change too."
        )
    built = _Built(row, split)
    for index, fields in enumerate(
        progress.track(table.select_columns(list(row.columns)), f"reading {row.name}")
    ):
        built.add(index, fields)
    return built.finished()


@dataclass(frozen=True)
class _LeftOut:
    """The first row that is no question, and why."""

    index: int
    reason: str


class _Built:
    """A collector of questions, which counts the rows that are none."""

    def __init__(self, row: HubSet, split: str) -> None:
        self.row, self.split = row, split
        self.questions: dict[str, Question] = {}
        self.left_out = 0
        self.first: _LeftOut | None = None

    def add(self, index: int, fields: Fields) -> None:
        try:
            question = _question(self.row, self.split, index, fields)
            if question.id in self.questions:
                raise WorkbenchError(f"its id {question.id!r} was used before")
            self.questions[question.id] = question
        except (ValueError, KeyError, IndexError, TypeError, AttributeError) as error:
            self.left_out += 1
            self.first = self.first or _LeftOut(index, str(error) or type(error).__name__)

    def finished(self) -> list[Question]:
        total = len(self.questions) + self.left_out
        if self.first is not None:
            what = (
                f"{self.left_out} of {total} rows of {self.row.name} ({self.split}) are no "
                "questions, "
                f"the first is row {self.first.index}: {self.first.reason.rstrip('.')}"
            )
            if self.left_out > MOST_LEFT_OUT * total:
                raise WorkbenchError(f"{what}. Ask for another split, as {self.row.name}:train.")
            warnings.warn(f"{what}. They are left out.", stacklevel=3)
        if not self.questions:
            raise WorkbenchError(
                f"The split {self.split!r} of {self.row.hub} is empty; ask for another split."
            )
        return list(self.questions.values())


def _question(row: HubSet, split: str, index: int, fields: Fields) -> Question:
    text = _value(row.question, fields, "question")
    answers: list[str] = [] if row.answers is None else _value(row.answers, fields, "answers")
    options = (
        []
        if row.options is None
        else [str(option).strip() for option in _value(row.options, fields, "options")]
    )
    if row.right is not None:
        right = int(_value(row.right, fields, "right"))
        if not 0 <= right < len(options):
            raise WorkbenchError(f"the right option is number {right} of {len(options)}")
        answers = [ascii_uppercase[right]]
    answerable = row.answerable is None or bool(_value(row.answerable, fields, "answerable"))
    own = index if row.id is None else _value(row.id, fields, "id")
    return Question(
        id=f"{row.name}-{split}-{own}",
        text=str(text).strip(),
        answers=tuple(answers) if answerable else (),
        domain=str(_value(row.domain, fields, "domain")),
        source=f"{row.hub}:{split}",
        licence=row.licence,
        kind=row.kind,
        answerable=answerable,
        options=tuple(options),
    )


def _value(reader: Reader, fields: Fields, name: str) -> Any:
    try:
        return reader.read(fields)
    except WorkbenchError as error:
        raise WorkbenchError(f"field {name!r}: {error}") from error


def _table(row: HubSet, split: str, mirror: Path | None, cache: Path | None) -> Any:
    # Slow to import, and most runs read no hub set.
    import datasets
    import httpx

    place = row.hub if mirror is None else str(Path(mirror).expanduser().resolve() / row.hub)
    if mirror is not None and not Path(place).is_dir():
        raise WorkbenchError(f"There is no folder {place}; {_fetching(row)}")
    try:
        with _quiet(datasets):
            return datasets.load_dataset(
                place,
                row.configuration,
                split=split,
                data_dir=row.folder,
                revision=None if mirror is not None else row.revision,
                cache_dir=None if cache is None else str(cache),
            )
    except (ConnectionError, httpx.TransportError) as error:
        raise WorkbenchError(
            f"Cannot reach the hub for {row.hub}: connect this machine, or {_fetching(row)}"
        ) from error
    except Exception as error:
        raise WorkbenchError(
            f"Cannot load {row.name} ({row.hub}, split {split!r}): {_first_line(error)}; check the "
            "split's name and, if "
            "the repository moved, its row in the table of hub sets."
        ) from error


def _fetching(row: HubSet) -> str:
    """Return the instruction for a machine that has a network."""
    revision = f" --revision {row.revision}" if row.revision else ""
    return (
        f"fetch it elsewhere with 'hf download {row.hub} --repo-type dataset{revision} --local-dir "
        f"FOLDER/{row.hub}' and set "
        "questions.mirror=FOLDER."
    )


def _first_line(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0].rstrip(".")


@contextmanager
def _quiet(datasets: Any) -> Iterator[None]:
    """Hide the library's progress bars inside the block."""
    shown = datasets.are_progress_bars_disabled() is False
    datasets.disable_progress_bars()
    try:
        yield
    finally:
        if shown:
            datasets.enable_progress_bars()
