"""Draw who writes the ceiling and what is left without them, and write both as tables."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from workbench.bottleneck.ceiling_writers import ABLATION, ATTRIBUTIONS
from workbench.experiments.text_bottleneck.ceiling_results import CeilingResult, writer_name
from workbench.plots.dose_curves import DoseCurves, DosePanel
from workbench.plots.writer_bars import WriterBars, WriterPanel
from workbench.report import Section


def ceiling_sections(found: Sequence[CeilingResult], caption: str) -> list[Section]:
    """Return the two figures' sections; none where nothing was attributed."""
    if not found:
        return []
    return [_writers(found, caption), _doses(found, caption)]


def ceiling_lead(found: Sequence[CeilingResult]) -> list[tuple[str, list[dict[str, str]]]]:
    """Return the page's tables: what each size does, and what attributions agree on."""
    if not found:
        return []
    return [
        ("What is left of the ceiling without its writers", _rows(found)),
        ("Rank agreement of the attributions over all parts", _agreement_rows(found)),
    ]


def ceiling_tables(found: Sequence[CeilingResult]) -> dict[str, pd.DataFrame]:
    """Return the tables beside the page, by file name."""
    if not found:
        return {}
    return {
        "ceiling_writers.csv": _writers_table(found),
        "ceiling_agreement.csv": _agreement_table(found),
        "ceiling_doses.csv": _doses_table(found),
        "ceiling_told.csv": _told_table(found),
    }


def _agreement_rows(found: Sequence[CeilingResult]) -> list[dict[str, str]]:
    return [
        {
            "model": each.condition.label,
            "attributions": f"{first} and {second}",
            "rank correlation": f"{rho:.2f}",
            "forwards a question": f"{each.forwards[first]:.1f} and {each.forwards[second]:.1f}",
        }
        for each in found
        for (first, second), rho in each.agreement.items()
    ]


def _writers(found: Sequence[CeilingResult], caption: str) -> Section:
    panels = {}
    for each in found:
        names = [writer_name(each.writers[at]) for at in each.largest]
        order = sorted(range(len(names)), key=lambda k: each.writers[each.largest[k]].layer)
        panels[each.condition.label] = WriterPanel(
            [names[k] for k in order],
            {name: [each.largest_shares[name][k] for k in order] for name in ATTRIBUTIONS},
        )
    first = found[0]
    figure = WriterBars(
        panels=panels,
        y="share of the margin (nats)",
        title=f"Who writes {_values(first)}",
        caption=f"{first.attributed} training questions, {caption}",
    )
    return Section(
        "Who writes the ceiling",
        f"The ceiling is {_values(first)}, which {first.share:.0%} of the training answers are "
        "given; its margin is log p of the more probable of its values minus log p of the best "
        "other one. Shown are the layer and head or MLP whose own state at the number, in place of "
        "its mean over ordinary tokens of other questions, adds most to it: directly through the "
        "final norm, by the gradient, and truly ablated. The first layer is left out.",
        figure.figure(),
        "ceiling_writers",
    )


def _values(each: CeilingResult) -> str:
    return " or ".join(f"{value:g}" for value in each.ceiling)


def _doses(found: Sequence[CeilingResult], caption: str) -> Section:
    panels = {
        each.condition.label: DosePanel(
            [dose.size for dose in each.doses[ABLATION]],
            {
                f"largest by {name}": [dose.margin for dose in each.doses[name]]
                for name in (ABLATION, *(name for name in ATTRIBUTIONS if name != ABLATION))
            },
            [_unablated(each) - dose.random_removed for dose in each.doses[ABLATION]],
            _unablated(each),
        )
        for each in found
    }
    figure = DoseCurves(
        panels=panels,
        x="parts ablated together",
        y="margin of the ceiling (nats)",
        title="What is left of the ceiling without its writers",
        caption=f"{found[0].tested} other questions, held out, {caption}",
    )
    return Section(
        "Without its writers",
        "Sets chosen on training questions, ablated together on held-out ones. Grey: random sets "
        "with as many heads and MLPs of about the same layers, lowest to highest; dotted: nothing "
        "ablated. Below zero another value is written.",
        figure.figure(),
        "ceiling_doses",
    )


def _unablated(each: CeilingResult) -> float:
    dose = each.doses[ABLATION][0]
    return dose.margin.value + dose.removed.value


def _rows(found: Sequence[CeilingResult]) -> list[dict[str, str]]:
    """Return the rows of the page's table: what each size does, beside random sets."""
    rows = []
    for each in found:
        told = {one.size: one for one in each.discrimination}
        for dose in each.doses[ABLATION]:
            row = {
                "model": each.condition.label,
                "parts ablated": f"{dose.size}",
                "margin removed (nats)": f"{dose.removed:.2f}",
                "by random sets": _span(dose.random_removed),
                "p": f"{dose.p:.3f}",
                "expected confidence": f"{dose.expected:.2f}",
                "another value written": f"{dose.changed:.2f}",
                "probability of the scale": f"{dose.mass.value:.3f}",
            }
            if dose.size in told:
                row["text's AUROC2 gains"] = f"{told[dose.size].text_gain:.2f}"
            rows.append(row)
    return rows


def _span(values: np.ndarray) -> str:
    return f"{values.min():.2f} to {values.max():.2f}"


def _writers_table(found: Sequence[CeilingResult]) -> pd.DataFrame:
    """Write every writer's mean shares, one row a condition and writer."""
    return pd.DataFrame(
        [
            {
                "condition": each.condition.name,
                "layer": site.layer,
                "component": site.component,
                "head": -1 if site.index is None else site.index,
                **{name: float(each.shares[name][at]) for name in ATTRIBUTIONS},
            }
            for each in found
            for at, site in enumerate(each.writers)
        ]
    )


def _agreement_table(found: Sequence[CeilingResult]) -> pd.DataFrame:
    """Write how far attributions agree in rank and what they cost, one row a condition and pair."""
    return pd.DataFrame(
        [
            {
                "condition": each.condition.name,
                "first": first,
                "second": second,
                **rho.to_dict("rank_correlation"),
                "forwards_first": each.forwards[first],
                "forwards_second": each.forwards[second],
            }
            for each in found
            for (first, second), rho in each.agreement.items()
        ]
    )


def _doses_table(found: Sequence[CeilingResult]) -> pd.DataFrame:
    """Write what is left with every set ablated, one row a condition, attribution and size."""
    return pd.DataFrame(
        [
            {
                "condition": each.condition.name,
                "chosen_by": name,
                "size": dose.size,
                **dose.removed.to_dict("removed"),
                **dose.margin.to_dict("margin"),
                **dose.expected.to_dict("expected"),
                **dose.changed.to_dict("changed"),
                **dose.mass.to_dict("mass"),
                "random_removed": float(dose.random_removed.mean()),
                "random_removed_highest": float(dose.random_removed.max()),
                "random_expected": float(dose.random_expected.mean()),
                "random_changed": float(dose.random_changed.mean()),
                "random_mass": float(dose.random_mass.mean()),
                "random_sets": len(dose.random_removed),
                "p": dose.p,
            }
            for each in found
            for name, doses in each.doses.items()
            for dose in doses
        ]
    )


def _told_table(found: Sequence[CeilingResult]) -> pd.DataFrame:
    """Write AUROC2 within domain with sets ablated, one row a condition and size."""
    return pd.DataFrame(
        [
            {
                "condition": each.condition.name,
                "size": one.size,
                "questions": each.told,
                **one.text.to_dict("text"),
                **one.text_gain.to_dict("text_gain"),
                **one.expected.to_dict("expected"),
                **one.expected_gain.to_dict("expected_gain"),
                "random_size": one.random_size,
                "random_text": float(np.mean(one.random_text)),
                "random_expected": float(np.mean(one.random_expected)),
                "text_p": one.text_p,
                "expected_p": one.expected_p,
            }
            for each in found
            for one in each.discrimination
        ]
    )
