"""Make the record of a published work's test from the run that it was made on.

All tests name the run's model, question set and seed alike, and the model's condition: BASE as it
was loaded, TAUGHT with the adapter of the run's stage "teach". So their records are gathered in one
table (:mod:`workbench.mechanisms.gather`).
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from workbench.loop.run import Run
from workbench.mechanisms.outcomes import Estimates
from workbench.mechanisms.record import MechanismRecord, make_record
from workbench.mechanisms.work import Work
from workbench.models.embedded_models import title_of
from workbench.settings.groups import QuestionSettings


def record_of_run(
    run: Run,
    work: Work,
    estimates: Estimates,
    condition: str,
    *,
    reasons: Mapping[str, str] | None = None,
    facts: Mapping[str, Any] | None = None,
) -> MechanismRecord:
    """Return the record of ``estimates`` on the model of ``run`` in a condition; the precision is
    added to the ``facts``.

    Raises:
        WorkbenchError: as :func:`workbench.mechanisms.record.make_record` does.
    """
    precision = run.stage("answer").facts().get("precision")
    return make_record(
        work,
        estimates,
        model=title_of(run.config.model.name),
        questions=question_set(run.config.questions),
        condition=condition,
        seed=run.config.seed,
        reasons=reasons,
        facts={**(facts or {}), "precision": precision},
    )


def question_set(settings: QuestionSettings) -> str:
    """Return a run's question set in words: the last part of its source's name, and how many
    questions were skipped.
    """
    name = Path(settings.graded_file or settings.source).name
    return f"{name} from {settings.skip} on" if settings.skip else name
