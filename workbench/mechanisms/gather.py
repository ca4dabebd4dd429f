"""Gather the records of several runs: one verdict a work, claim, model, set of questions and
condition, over all seeds there are.

The rule decides on the means over seeds with their intervals (:mod:`.over_seeds`); the outcome of
every seed stands beside it. Runs of one model on other questions are never averaged.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from workbench.errors import WorkbenchError
from workbench.mechanisms.catalogue import work_named
from workbench.mechanisms.outcomes import Outcome
from workbench.mechanisms.over_seeds import SeedMean, mean_over_seeds
from workbench.mechanisms.record import MechanismRecord
from workbench.mechanisms.work import Claim, Work


@dataclass(frozen=True)
class Subject:
    """Whom a verdict is about: a model in a condition, asked a set of questions."""

    model: str
    questions: str
    condition: str

    def __str__(self) -> str:
        """Write it as a table's row."""
        return f"{self.model} on {self.questions}, {self.condition}"


@dataclass(frozen=True)
class Tested:
    """A work tested on one subject.

    Attributes:
        seeds: of its runs, in rising order.
        means: every quantity that all the runs measured, over seeds.
        outcomes: by claim, the verdict over all seeds.
        by_seed: by claim and seed, the verdict of one run.
        reasons: why a quantity was not measured, by its name.
    """

    work: Work
    subject: Subject
    seeds: tuple[int, ...]
    means: Mapping[str, SeedMean]
    outcomes: Mapping[str, Outcome]
    by_seed: Mapping[str, Mapping[int, Outcome]]
    reasons: Mapping[str, str]


def gather(records: Iterable[MechanismRecord]) -> list[Tested]:
    """Return what the records say, work by work in the order in which they come.

    Raises:
        WorkbenchError: for two records of one work, subject and seed, and for one that was judged
            by another rule than the present one.
    """
    groups: dict[tuple[str, Subject], list[MechanismRecord]] = {}
    for record in records:
        subject = Subject(record.model, record.questions, record.condition)
        groups.setdefault((record.work, subject), []).append(record)
    return [_tested(work_named(name), subject, each) for (name, subject), each in groups.items()]


def _tested(work: Work, subject: Subject, records: Sequence[MechanismRecord]) -> Tested:
    ordered = sorted(records, key=lambda record: record.seed)
    seeds = tuple(record.seed for record in ordered)
    if len(set(seeds)) != len(seeds):
        raise WorkbenchError(
            f"Two records of {work.name} are of {subject} with the same seed; give each run once."
        )
    for claim in work.claims:
        _require_rule(work, claim, ordered)
    shared = [
        each.name
        for each in work.quantities
        if all(each.name in record.estimates for record in ordered)
    ]
    means = {
        name: mean_over_seeds([record.estimates[name] for record in ordered]) for name in shared
    }
    combined = {name: mean.estimate for name, mean in means.items()}
    return Tested(
        work,
        subject,
        seeds,
        means,
        {claim.name: claim.judge(combined) for claim in work.claims},
        {
            claim.name: {record.seed: claim.judge(record.estimates) for record in ordered}
            for claim in work.claims
        },
        {name: why for record in ordered for name, why in record.reasons.items()},
    )


def _require_rule(work: Work, claim: Claim, records: Sequence[MechanismRecord]) -> None:
    """Refuse records that were judged by other words than the claim's rule has now."""
    for record in records:
        if record.rules.get(claim.name) != claim.rule:
            raise WorkbenchError(
                f"A record of {work.name} (seed {record.seed}) was judged by another rule for "
                f"{claim.name!r}; run the experiment again, so that all are judged by one rule."
            )
