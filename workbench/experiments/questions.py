"""Draw the questions of an experiment without a run of the main loop: no split, nothing
held out.
"""

from __future__ import annotations

from workbench.config import RunConfig
from workbench.errors import WorkbenchError
from workbench.questions import Question, in_form, questions_from, sample_questions


def experiment_questions(config: RunConfig) -> list[Question]:
    """Draw the questions that ``config`` names, evenly over its domains.

    Raises:
        WorkbenchError: for an unknown domain, and for a file of graded answers, which have no
            questions left to ask.
    """
    asked = config.questions
    if asked.graded_file is not None:
        raise WorkbenchError(
            "questions.graded_file holds answers that were given already, and this asks anew; "
            "name questions with questions.source."
        )
    pool = in_form(
        questions_from(asked.source, asked.mirror), asked.ask_as, asked.options, config.seed
    )
    there = {question.domain for question in pool}
    unknown = sorted(set(asked.domains) - there)
    if unknown:
        raise WorkbenchError(
            f"questions.domains: there is no domain {unknown[0]!r}; the domains are "
            f"{', '.join(sorted(there))}."
        )
    chosen = [one for one in pool if not asked.domains or one.domain in asked.domains]
    return sample_questions(chosen, asked.limit, config.seed, asked.skip)
