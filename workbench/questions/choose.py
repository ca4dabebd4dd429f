"""Choose the questions of a source: in one form, of some domains, up to a limit.

The choice does not decide which side of a split a question is on; see
:mod:`workbench.questions.split`.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from workbench.errors import WorkbenchError
from workbench.questions.schema import Question
from workbench.questions.sources import Form, in_form, questions_from
from workbench.questions.split import sample_questions


def choose_from_source(
    source: str,
    *,
    form: Form,
    options: int,
    domains: Sequence[str],
    limit: int | None,
    seed: int,
    mirror: Path | None = None,
    skip: int = 0,
) -> list[Question]:
    """Draw questions of ``source`` evenly over its domains.

    Args:
        source: ``builtin``, the name of a hub set, or the path of a question file.
        options: how many, for open questions asked as choices.
        domains: those that questions are drawn from; all where none is named.
        limit: how many questions at most; None for all.
        mirror: folder with hub repositories under their ids, instead of the hub.
        skip: how many questions of the draw are passed over.

    Raises:
        WorkbenchError: for a source that cannot be read, and a domain that does not occur.
    """
    pool = in_form(questions_from(source, mirror), form, options, seed)
    return sample_questions(questions_of_domains(pool, domains), limit, seed, skip)


def questions_of_domains(pool: Sequence[Question], domains: Sequence[str]) -> list[Question]:
    """Keep the questions of ``domains``, each of which must occur; all where none is named."""
    check_domains("domains", pool, domains)
    return [question for question in pool if not domains or question.domain in domains]


def check_domains(setting: str, questions: Sequence[Question], domains: Sequence[str]) -> set[str]:
    """Return the domains of ``questions``, and refuse ``domains`` that are not among them.

    Raises:
        WorkbenchError: for an unknown domain.
    """
    there = {question.domain for question in questions}
    unknown = sorted(set(domains) - there)
    if unknown:
        raise domains_error(setting, f"there is no domain {unknown[0]!r}", there)
    return there


def domains_error(setting: str, what: str, there: set[str]) -> WorkbenchError:
    """Return the error that names the setting, what is wrong with its domains, and the domains that
    exist.
    """
    return WorkbenchError(
        f"questions.{setting}: {what}; the domains are {', '.join(sorted(there))}."
    )
