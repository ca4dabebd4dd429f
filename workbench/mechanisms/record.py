"""Keep what a work's test measured on one model in one condition, with the rules it was judged by.

The last stage of a work's experiment seals its records in the run's folder, so that a table over
many runs reads them without measuring again. A record keeps the rules' words. A claim that was
judged by other words is not gathered with others: a rule that was changed after its numbers were
seen decides nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from workbench.errors import WorkbenchError
from workbench.measure.interval import Estimate
from workbench.mechanisms.catalogue import WORKS
from workbench.mechanisms.outcomes import Estimates, Outcome
from workbench.mechanisms.work import Work
from workbench.pipeline.stage_store import StageStore
from workbench.pipeline.stages import Stage

RECORDS = "records"
BASE, TAUGHT = "base", "taught"
"""Conditions of a model: as it was loaded, and with the adapter of its run."""
_NUMBERS = ("value", "low", "high")


@dataclass(frozen=True)
class MechanismRecord:
    """The numbers of one work, model, condition and seed.

    Attributes:
        work: name of the work.
        model: the model's name, as the run's settings have it.
        questions: name of the question set.
        condition: of the model, as ``base`` or ``taught``.
        seed: of the run.
        estimates: what was measured, by name of the quantity.
        rules: the words of every claim's rule at that time.
        reasons: by name of a quantity that was not measured, why not.
        facts: what else must be known to read the numbers, such as the precision or a layer.
    """

    work: str
    model: str
    questions: str
    condition: str
    seed: int
    estimates: Estimates
    rules: Mapping[str, str]
    reasons: Mapping[str, str] = field(default_factory=dict)
    facts: Mapping[str, Any] = field(default_factory=dict)

    def outcomes(self, work: Work) -> dict[str, Outcome]:
        """Return the outcome of every claim of ``work``, by name."""
        return {claim.name: claim.judge(self.estimates) for claim in work.claims}

    def to_json(self) -> dict[str, Any]:
        """Return the record as JSON holds it; NaN is null."""
        return {
            **{name: getattr(self, name) for name in _PLAIN},
            "estimates": {
                name: {**{end: _or_none(getattr(each, end)) for end in _NUMBERS}, "n": each.n}
                for name, each in self.estimates.items()
            },
        }

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> MechanismRecord:
        """Return the record that :meth:`to_json` wrote."""
        estimates = {
            name: Estimate(
                _or_nan(each["value"]), _or_nan(each["low"]), _or_nan(each["high"]), int(each["n"])
            )
            for name, each in content["estimates"].items()
        }
        return cls(**{name: content[name] for name in _PLAIN}, estimates=estimates)


_PLAIN = ("work", "model", "questions", "condition", "seed", "rules", "reasons", "facts")


def make_record(
    work: Work,
    estimates: Estimates,
    *,
    model: str,
    questions: str,
    condition: str,
    seed: int,
    reasons: Mapping[str, str] | None = None,
    facts: Mapping[str, Any] | None = None,
) -> MechanismRecord:
    """Return the record of ``estimates`` with the present words of the rules.

    Raises:
        WorkbenchError: for an estimate that is no quantity of the work, and for a quantity that is
            neither measured nor given a reason.
    """
    known, why = [each.name for each in work.quantities], dict(reasons or {})
    unknown = sorted({*estimates, *why} - {*known})
    if unknown:
        raise WorkbenchError(f"{unknown[0]!r} is no quantity of {work.name}; add it to the work.")
    silent = [name for name in known if name not in estimates and name not in why]
    if silent:
        raise WorkbenchError(
            f"{work.name} neither measured {silent[0]!r} nor says why not; give a reason."
        )
    rules = {claim.name: claim.rule for claim in work.claims}
    return MechanismRecord(
        work.name, model, questions, condition, seed, estimates, rules, why, dict(facts or {})
    )


def stage_name(work: str) -> str:
    """Return the name of the stage that holds a work's records."""
    return f"mechanism_{work}"


def record_stage(
    work: Work,
    measure: Callable[[Any, StageStore], Sequence[MechanismRecord]],
    reads: Sequence[str],
    needs: Sequence[str],
    given: Any = None,
) -> Stage:
    """Return the stage that measures and seals a work's records: the last of its experiment.

    Args:
        measure: makes the records from the finished stages of the run it gets; tables and tensors
            for the page may be saved in the stage.
        reads, needs, given: as :class:`~workbench.pipeline.stages.Stage` has them. A change of a
            rule's words makes the stage again as well.
    """
    rules = {claim.name: claim.rule for claim in work.claims}
    return Stage(
        stage_name(work.name),
        partial(_seal, measure=measure),
        tuple(reads),
        tuple(needs),
        given={"rules": rules, "parameters": given},
    )


def _seal(
    run: Any,
    stage: StageStore,
    *,
    measure: Callable[[Any, StageStore], Sequence[MechanismRecord]],
) -> dict[str, Any]:
    return {RECORDS: [record.to_json() for record in measure(run, stage)]}


def records_of(stage: StageStore) -> list[MechanismRecord]:
    """Return the records that a finished stage holds."""
    return [MechanismRecord.from_json(each) for each in stage.facts().get(RECORDS, ())]


def read_records(folder: Path) -> list[MechanismRecord]:
    """Return the records of every work that was tested on the run in ``folder``.

    Raises:
        WorkbenchError: where there are none, or one is damaged.
    """
    found = [
        record for name in WORKS for record in records_of(StageStore(folder / stage_name(name), ""))
    ]
    if not found:
        raise WorkbenchError(
            f"No work was tested on the run in {folder}; run 'workbench experiment "
            f"{next(iter(WORKS))} --name {folder.name}' first."
        )
    return found


def _or_none(number: float) -> float | None:
    return None if number != number else float(number)


def _or_nan(number: float | None) -> float:
    return float("nan") if number is None else float(number)
