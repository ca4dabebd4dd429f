"""Load questions to ask a model: built-in ones, a published set, or a file's.

The draw is even over domains and fixed by its seed. Which side of the split a question falls on is
decided when it is asked (:mod:`workbench.api.confidence`). A draw does not show how questions were
chosen for their set.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from workbench.config import QuestionSettings, RunConfig
from workbench.questions import Form, Question
from workbench.questions.choose import choose_from_source

DEFAULTS = RunConfig()
ALL = QuestionSettings().domains


def load_questions(
    source: str | Path = DEFAULTS.questions.source,
    *,
    limit: int | None = DEFAULTS.questions.limit,
    skip: int = DEFAULTS.questions.skip,
    domains: Sequence[str] = ALL,
    form: Form = DEFAULTS.questions.ask_as,
    options: int = DEFAULTS.questions.options,
    mirror: Path | None = None,
    seed: int = DEFAULTS.seed,
) -> list[Question]:
    """Load questions, drawn evenly over their domains.

    Args:
        source: ``builtin``, a hub set (``triviaqa``), or a file's path.
        limit, skip: how many questions at most (None for all), after those passed over.
        domains: those that questions are drawn from; all where none is named.
        form: as published, all among ``options`` options, or all without options.
        mirror: folder with hub repositories under their ids.
        seed: of the draw and of the order of options.

    Raises:
        WorkbenchError: for a source that cannot be read, and a domain that does not occur.
    """
    return choose_from_source(
        str(source),
        form=form,
        options=options,
        domains=domains,
        limit=limit,
        seed=seed,
        mirror=mirror,
        skip=skip,
    )
