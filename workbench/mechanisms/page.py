"""Make the page of a work: its claims with their verdicts, the test and the rules, the numbers with
their controls beside them, and what the test does not show.

An experiment adds figures of its own and tables. The page computes nothing: its verdicts are those
of the rules on the numbers of the records.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from workbench.errors import WorkbenchError
from workbench.mechanisms.outcomes import CANNOT_TELL, OUTCOMES
from workbench.mechanisms.record import BASE, TAUGHT, MechanismRecord
from workbench.mechanisms.work import REVISED, Claim, Quantity, Work
from workbench.plots.estimate_rows import EstimateRow, EstimateRows
from workbench.plots.theme import Role
from workbench.report import Page, Section
from workbench.report.findings import Card, CardNumber, Finding, Judgement
from workbench.report.formatting import KeyWords

if TYPE_CHECKING:
    import pandas as pd

NOT_KNOWN = "not known"
_ROLES: Mapping[str, Role] = {BASE: "before", TAUGHT: "after"}
_MOST_ON_CARD = 4


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
        card=_card(work, records, subject),
        caveats=(*work.limits, *_revisions(work), *_reasons(work, records)),
        records={
            f"{work.name}.json": {
                "work": work.name,
                "records": [record.to_json() for record in records],
            }
        },
        words=_words(work, records),
    )


def _verdict_row(claim: Claim, work: Work, records: Sequence[MechanismRecord]) -> dict[str, str]:
    return {
        "claim": claim.sentence,
        "arXiv": claim.arxiv,
        **{record.condition: record.outcomes(work)[claim.name] for record in records},
        "rule": REVISED.lower() if claim.revised else "written before",
    }


def _revisions(work: Work) -> list[str]:
    """Return what of the tests was changed after numbers were seen."""
    return [
        f"{REVISED}, {claim.name.replace('_', ' ')}: {claim.revised}"
        for claim in work.claims
        if claim.revised
    ]


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


def _card(work: Work, records: Sequence[MechanismRecord], subject: str) -> Card:
    """Return the head of the page: how many claims have which verdict, and those of each."""
    said = "; ".join(
        f"{record.condition}: "
        + ", ".join(f"{count} {outcome}" for outcome, count in _counted(work, record))
        for record in records
    )
    first = records[0].outcomes(work)
    numbers = [
        CardNumber(claim.name.replace("_", " "), first[claim.name], records[0].condition)
        for claim in work.claims
    ]
    return Card(f"Of {len(work.claims)} claims, {said}.", numbers[:_MOST_ON_CARD], subject)


def _counted(work: Work, record: MechanismRecord) -> list[tuple[str, int]]:
    found = [*record.outcomes(work).values()]
    return [(outcome, found.count(outcome)) for outcome in OUTCOMES if outcome in found]


def _figures(work: Work, records: Sequence[MechanismRecord], subject: str) -> list[Section]:
    """Return a figure for each axis, the conditions side by side, with the verdicts that rest on
    it.
    """
    found: list[Section] = []
    for axis in dict.fromkeys(each.axis for each in work.quantities):
        mine = [each for each in work.quantities if each.axis == axis]
        rows = [
            EstimateRow(record.condition, _row_name(each), record.estimates[each.name])
            for each in mine
            for record in records
            if each.name in record.estimates
        ]
        if not rows:
            continue
        title = axis[:1].upper() + axis[1:]
        figure = EstimateRows(rows=rows, axis=axis, title=title, caption=subject, roles=_ROLES)
        text = "Dots with 95 % intervals; a control shows what chance or another push does."
        found.append(
            Section(
                title,
                text if found else f"{work.test} {text}",
                figure.figure(),
                _file_name(axis),
                _finding(work, mine, records),
            )
        )
    return found


def _row_name(quantity: Quantity) -> str:
    return f"control: {quantity.label}" if quantity.control else quantity.label


def _finding(work: Work, shown: Sequence[Quantity], records: Sequence[MechanismRecord]) -> Finding:
    """Return the verdicts that rest on the quantities ``shown``, and the numbers they read."""
    labels = {each.name: each.label for each in work.quantities}
    names = {each.name for each in shown}
    judged, read = [], []
    for claim in work.claims:
        if not names & {*claim.needs}:
            continue
        read += [name for name in claim.needs if name in names and name not in read]
        judged += [
            Judgement(
                f"{claim.sentence} ({record.condition})",
                claim.judge(record.estimates),
                [
                    f"{labels[name]}: {record.estimates[name]:.3f}"
                    if name in record.estimates
                    else f"{labels[name]}: not measured"
                    for name in claim.needs
                ],
                claim.told_rule,
            )
            for record in records
        ]
    numbers = [
        f"{labels[name]}, {record.condition}: {record.estimates[name]:.2f}"
        for name in read
        for record in records
        if name in record.estimates
    ]
    text = f"{'; '.join(numbers)}." if numbers else "No rule reads these numbers."
    return Finding(text[:1].upper() + text[1:], judged)


def _summary(work: Work, records: Sequence[MechanismRecord]) -> dict[str, Any]:
    summary: dict[str, Any] = {
        f"verdict.{claim.name}.{record.condition}": record.outcomes(work)[claim.name]
        for claim in work.claims
        for record in records
    }
    for each in work.quantities:
        for record in records:
            if each.name in record.estimates:
                summary |= record.estimates[each.name].to_dict(f"{each.name}.{record.condition}")
    return summary


def _words(work: Work, records: Sequence[MechanismRecord]) -> dict[str, KeyWords]:
    """Return what the summary's entries are called: quantities by their axis and label, as in the
    figures.
    """
    words: dict[str, KeyWords] = {}
    for at in (record.condition for record in records):
        for claim in work.claims:
            words[f"verdict.{claim.name}.{at}"] = KeyWords("verdict", f"{claim.sentence} ({at})")
        for each in work.quantities:
            words[f"{each.name}.{at}"] = KeyWords(each.axis, f"{_row_name(each)} · {at}")
    return words


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
