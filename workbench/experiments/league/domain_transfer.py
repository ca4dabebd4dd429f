"""Draw the transfer from one domain to the others: arms trained on one domain alone, measured on
every domain's held-out questions.

The rows are the league's (:mod:`workbench.experiments.league.comparison`) with each domain as a
part, so AUROC2 within domain is that of one domain, values are means over seeds, and gains over the
base model are paired by question. A framed cell is the domain the row was trained on. The matrix
does not show how alike two domains are. A domain whose answers are nearly all right or all wrong
has wide intervals.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from workbench.experiments.league.comparison import ComparisonRow
from workbench.experiments.league.metrics import MEASURES
from workbench.plots.transfer_matrix import TransferMatrix
from workbench.report import Section

SHOWN = (
    "AUROC2 expected within",
    "gain AUROC2 expected within",
    "AUROC2 stated within",
    "gain AUROC2 stated within",
    "gain ECE expected",
)


def domain_sections(
    rows: Sequence[ComparisonRow], homes: Mapping[str, str], caption: str
) -> list[Section]:
    """Draw a matrix for each of the measures SHOWN that was made, with arms as rows and domains as
    columns.

    Args:
        homes: the only domain an arm was trained on, by the arm's name.
    """
    out = []
    for heading in SHOWN:
        measure, made = MEASURES[heading], [one for one in rows if heading in one.estimates]
        cells = {(one.arm, one.part): one.estimates[heading] for one in made}
        if not cells:
            continue
        error = "ECE" in heading
        figure = TransferMatrix(
            rows=list(dict.fromkeys(row for row, _ in cells)),
            columns=sorted({column for _, column in cells}),
            cells=cells,
            own=[(arm, domain) for arm, domain in homes.items() if (arm, domain) in cells],
            centre=measure.bound or 0.0,
            better="lower" if error else "higher",
            title=f"From one domain to the others: {heading.removesuffix(' within')}",
            caption=caption,
            x="measured on",
            y="taught",
        ).figure()
        says = (
            f"{measure.says} Blue is better; a framed cell is measured on the one domain its row "
            "was taught."
        )
        out.append(Section(heading, says, figure, heading.lower().replace(" ", "_")))
    return out
