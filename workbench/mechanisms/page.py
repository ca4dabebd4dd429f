"""Make the page of a work: its claims with their verdicts, the test and the rules, the numbers with
their controls beside them, and what the test does not show.

An experiment adds figures of its own and tables. The page computes nothing: its verdicts are those
of the rules on the numbers of the records.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from workbench.errors import WorkbenchError
from workbench.mechanisms.outcomes import CANNOT_TELL
from workbench.mechanisms.record import MechanismRecord
from workbench.mechanisms.work import Claim, Quantity, Work
from workbench.plots.estimate_rows import EstimateRow, EstimateRows
from workbench.report import Page, Section
from workbench.report.findings import Finding, Judgement

if TYPE_CHECKING:
    import pandas as pd

EFFECT, CONTROL = "measured", "control"
NOT_KNOWN = "not known"
ARXIV = "https://arxiv.org/abs/"


def mechanism_page(
    work: Work,
    records: Sequence[MechanismRecord],
    *,
    subject: str,
    configuration: Mapping[str, Any],
    sections: Sequence[Section] = (),
    tables: Mapping[str, pd.DataFrame] | None = None,
    notes: Sequence[str] = (),
) -> Page:
    """Return the page of a work's ``records`` on one run, a record a condition.

    Args:
        subject: the model and what it was asked, for captions.
        configuration: what the results were made with.
        sections: the experiment's own figures, after those of the quantities.
        tables: its own tables, by the name of the file.

    Raises:
        WorkbenchError: for no record, or one of another work.
    """
    if not records or any(record.work != work.name for record in records):
        raise WorkbenchError(f"The page of {work.name} needs records of it, and of no other work.")
    return Page(
        work.title,
        [*_figures(work, records, subject), *sections],
        _summary(work, records),
        configuration,
        {f"{work.name}.csv": estimates_table(work, records), **(tables or {})},
        lead=[
            ("Verdicts", [_verdict_row(claim, work, records) for claim in work.claims]),
            ("Published, and here", published_rows(work, records)),
        ],
        notes=(subject, *notes),
        caveats=(*work.limits, *_reasons(work, records)),
        records={
            f"{work.name}.json": {
                "work": work.name,
                "records": [record.to_json() for record in records],
            }
        },
    )


def _verdict_row(claim: Claim, work: Work, records: Sequence[MechanismRecord]) -> dict[str, str]:
    return {
        "claim": claim.sentence,
        "arXiv": claim.arxiv,
        **{record.condition: record.outcomes(work)[claim.name] for record in records},
    }


def published_rows(work: Work, records: Sequence[MechanismRecord]) -> list[dict[str, str]]:
    """Return a row for each published number, and for each claim without one, with the numbers
    that the claim's rule read.
    """
    return [
        {
            "claim": claim.name.replace("_", " "),
            "published": NOT_KNOWN if one is None else f"{one.measure}: {one.figure}",
            "in the paper": "" if one is None else one.place,
            **{record.condition: _read_numbers(claim, work, record) for record in records},
        }
        for claim in work.claims
        for one in (claim.published or (None,))
    ]


def _read_numbers(claim: Claim, work: Work, record: MechanismRecord) -> str:
    labels = {each.name: each.label for each in work.quantities}
    return "; ".join(
        f"{labels[name]} {record.estimates[name]:.2f}"
        for name in claim.needs
        if name in record.estimates
    )


def _figures(work: Work, records: Sequence[MechanismRecord], subject: str) -> list[Section]:
    """Return a figure for each axis and condition, the verdicts said at the first."""
    found = []
    for axis in dict.fromkeys(each.axis for each in work.quantities):
        for record in records:
            mine = [
                each
                for each in work.quantities
                if each.axis == axis and each.name in record.estimates
            ]
            if not mine:
                continue
            figure = EstimateRows(
                rows=[
                    EstimateRow(
                        CONTROL if each.control else EFFECT, each.label, record.estimates[each.name]
                    )
                    for each in mine
                ],
                axis=axis,
                title=f"{axis}, {record.condition}",
                caption=subject,
            )
            claims = [
                claim for claim in work.claims if {*claim.needs} & {each.name for each in mine}
            ]
            found.append(
                Section(
                    f"{axis}, {record.condition}",
                    work.test,
                    figure.figure(),
                    f"{_file_name(axis)}_{_file_name(record.condition)}",
                    _finding(work, claims, mine, record),
                )
            )
    return found


def _finding(
    work: Work, claims: Sequence[Claim], shown: Sequence[Quantity], record: MechanismRecord
) -> Finding:
    labels = {each.name: each.label for each in work.quantities}
    judged = [
        Judgement(
            claim.sentence,
            claim.judge(record.estimates),
            [
                f"{labels[name]}: {record.estimates[name]:.3f}"
                if name in record.estimates
                else f"{labels[name]}: not measured"
                for name in claim.needs
            ],
            claim.rule,
        )
        for claim in claims
    ]
    text = "; ".join(f"{each.label} {record.estimates[each.name]:.2f}" for each in shown)
    return Finding(f"{text}.", judged)


def _summary(work: Work, records: Sequence[MechanismRecord]) -> dict[str, Any]:
    summary: dict[str, Any] = {}
    for record in records:
        for name, outcome in record.outcomes(work).items():
            summary[f"verdict.{name}.{record.condition}"] = outcome
        for name, estimate in record.estimates.items():
            summary |= estimate.to_dict(f"{name}.{record.condition}")
    return summary


def estimates_table(work: Work, records: Sequence[MechanismRecord]) -> pd.DataFrame:
    """Return every estimate, one row a condition and quantity: condition, measure, what it is,
    whether it is a control, value, low, high, n.
    """
    import pandas as pd

    return pd.DataFrame(
        [
            {
                "condition": record.condition,
                "measure": each.name,
                "what": each.label,
                "control": each.control,
                **{end: getattr(record.estimates[each.name], end) for end in _NUMBERS},
            }
            for record in records
            for each in work.quantities
            if each.name in record.estimates
        ],
        columns=["condition", "measure", "what", "control", *_NUMBERS],
    )


_NUMBERS = ("value", "low", "high", "n")


def _reasons(work: Work, records: Sequence[MechanismRecord]) -> list[str]:
    """Return what was not measured and why, each reason once, and the claims that this leaves
    open.
    """
    by_reason: dict[str, list[str]] = {}
    labels = {each.name: each.label for each in work.quantities}
    for record in records:
        for name, why in record.reasons.items():
            named = by_reason.setdefault(why, [])
            if labels[name] not in named:
                named.append(labels[name])
    said = [f"Not measured ({', '.join(names)}): {why}." for why, names in by_reason.items()]
    for claim in work.claims:
        if any(claim.missing(record.estimates) for record in records):
            said.append(f"Therefore {CANNOT_TELL}: {claim.sentence}")
    return said


def _file_name(text: str) -> str:
    return "".join(each if each.isalnum() else "_" for each in text.lower()).strip("_")
