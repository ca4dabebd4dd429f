"""Make the page of an alignment: the ablation heat map, the four cells of the full prompt,
discrimination, letters, and the tables they are drawn from.

Next to the page are written ``alignment.csv`` (one line per prompt and readout), ``confidence.csv``
(one line per question, prompt), ``options.csv`` (one line per question and option) and
``letters.csv``. Only what is shown is computed here.
"""

from __future__ import annotations

from itertools import product
from typing import Any

import numpy as np
import pandas as pd

from workbench.experiments.confidence_alignment.read import EIGHT, FULL, Combination
from workbench.experiments.confidence_alignment.results import READOUTS, AlignmentResults, stated_of
from workbench.measure.alignment import Split
from workbench.models.embedded_models import title_of
from workbench.pipeline.store import ROW
from workbench.plots import AlignmentGrid, EstimateRow, EstimateRows, FourCells, GridCell
from workbench.report import Page, Section

_SCALES = {"hundred": "1 to 100", "words": "six terms", "letters": "six letters"}
_VOICES = {"own": "own voice", "third": "third person"}
_SHOWN = {True: "options shown", False: "options hidden"}
_READOUTS = {"stated": "text", "expected": "expected"}
_CUTS: dict[str, Split] = {"stated": "top", "expected": "median"}


def words_of(combination: Combination) -> str:
    """Return the ingredients in words."""
    return f"{_SCALES[combination.scale]}, {asked_as(combination.voice, combination.options)}"


def asked_as(voice: str, options: bool) -> str:
    """Return voice and options in words."""
    return f"{_VOICES[voice]}, {_SHOWN[options]}"


def grid(results: AlignmentResults, caption: str) -> AlignmentGrid:
    """Draw the ablation heat map of the eight combinations, with voice and options as rows, and
    readout and scale as columns.
    """
    asked = list(dict.fromkeys((each.voice, each.options) for each in EIGHT))
    scales = list(dict.fromkeys(each.scale for each in EIGHT))
    columns = list(product(READOUTS, scales))

    def cell(voice: Any, options: bool, readout: str, scale: Any) -> GridCell:
        measured = results.of(Combination(scale, voice, options), readout).measured
        ceiling = measured.ceiling_share if readout == "stated" else float("nan")
        return GridCell(measured.rho, measured.parse_rate, ceiling)

    return AlignmentGrid(
        rows=[asked_as(*each) for each in asked],
        columns=[f"{_READOUTS[readout]}, {_SCALES[scale]}" for readout, scale in columns],
        cells=[[cell(*each, *column) for column in columns] for each in asked],
        title="Does stated confidence rise with P_IC?",
        caption=caption,
    )


def cells(results: AlignmentResults, readout: str, caption: str) -> FourCells | None:
    """Draw the four cells of the full prompt; None where no reply could be read."""
    confidences = results.confidences
    stated = stated_of(confidences, FULL, readout)
    if np.isnan(stated).all():
        return None
    cut = "at its top step" if _CUTS[readout] == "top" else "at its median"
    return FourCells(
        internal=confidences.internal["p_ic"].to_numpy(dtype=np.float64),
        stated=stated,
        correct=confidences.internal["correct"].to_numpy(dtype=bool),
        internal_split="median",
        stated_split=_CUTS[readout],
        title=f"Four cells: P_IC against the {_READOUTS[readout]} of the full prompt",
        caption=f"{caption}; {words_of(FULL)}; P_IC cut at its median, stated confidence {cut}",
    )


def discrimination(results: AlignmentResults, caption: str) -> EstimateRows:
    """Draw AUROC2 of P_IC and of every prompt, by readout."""
    rows = [EstimateRow("internal", "P_IC", results.internal)]
    for found in results.found:
        group = _READOUTS[found.readout]
        rows.append(EstimateRow(group, words_of(found.combination), found.measured.auroc2_stated))
    return EstimateRows(
        rows=rows,
        axis="AUROC2 against correctness",
        title="Which confidence knows which answers are right?",
        caption=f"{caption}; dotted: chance",
        bound=0.5,
    )


def letters(results: AlignmentResults, caption: str) -> EstimateRows:
    """Draw how often each letter is right and chosen."""
    rows = [EstimateRow("right", one.letter, one.right) for one in results.letters]
    rows += [EstimateRow("chosen", one.letter, one.chosen) for one in results.letters]
    return EstimateRows(
        rows=rows,
        axis="share of questions",
        title="Does the model choose options or letters?",
        caption=f"{caption}; Wilson intervals",
    )


def caption_of(results: AlignmentResults) -> str:
    """Return the caption that says what the figures were measured on."""
    read = results.confidences
    return (
        f"{len(read.questions)} choice questions, {title_of(results.config.model.name)}, matrix "
        f"products in {read.precision}"
    )


def sections(results: AlignmentResults) -> list[Section]:
    """Return all figures, in reading order."""
    caption = caption_of(results)
    found = [
        Section(
            "Alignment by ingredients of the prompt",
            f"{results.answers.words} Each cell is a tie-corrected Spearman rho with its 95 % "
            "bootstrap interval over questions. Undefined: every "
            "reply that could be read states the same.",
            grid(results, caption).figure(),
            "ablation",
        )
    ]
    for readout in READOUTS:
        drawn = cells(results, readout, caption)
        if drawn is not None:
            words = (
                "Top left only the text is confident, bottom right only the softmax. Shares carry "
                "95 % Wilson intervals."
            )
            found.append(
                Section(
                    f"Four cells: {_READOUTS[readout]}", words, drawn.figure(), f"cells_{readout}"
                )
            )
    return [
        *found,
        Section(
            "Discrimination of both confidences",
            "P_IC over all questions, each prompt over the replies that could be read; pooled over "
            "domains, the values within domain are in the table.",
            discrimination(results, caption).figure(),
            "discrimination",
        ),
        Section(
            "Position of the answer",
            "Options are in random order. A letter chosen far more often than it is right is a "
            "liking for the letter, and its P_IC says so too.",
            letters(results, caption).figure(),
            "letters",
        ),
    ]


def lines(results: AlignmentResults) -> list[dict[str, str]]:
    """Return the page's table: one line per prompt and readout."""
    return [
        {
            "prompt": words_of(row.combination),
            "readout": _READOUTS[row.readout],
            "rho": format(row.measured.rho, ".2f"),
            "pairs shuffled": format(row.shuffled, ".2f"),
            "shuffled within domain": format(row.shuffled_within, ".2f"),
            "read": f"{100 * row.measured.parse_rate:.0f} %",
            "at the top": f"{100 * row.measured.ceiling_share:.0f} %"
            if row.readout == "stated"
            else "",
            "mass on the scale": f"{100 * row.mass:.0f} %",
            "AUROC2": format(row.measured.auroc2_stated, ".2f"),
            "within domain": format(row.within[1], ".2f"),
            **{
                name.replace("_", " "): f"{100 * share:.0f} %"
                for name, share in row.cells[_CUTS[row.readout]].items()
            },
        }
        for row in results.found
    ]


def summary_of(results: AlignmentResults) -> dict[str, Any]:
    """Return the flat summary with dotted keys."""
    answers, table = results.answers, results.confidences.internal
    summary = {
        "questions": len(table),
        **answers.accuracy.to_dict("accuracy.likeliest_option"),
        **answers.reply.to_dict("accuracy.greedy_reply"),
        "accuracy.chance": answers.chance,
        "accuracy.same_letter": answers.same_letter,
        "p_ic.mean": float(table["p_ic"].mean()),
        "p_ic.mass_on_letters": float(table["mass"].mean()),
        **results.internal.to_dict("auroc2.p_ic"),
        **results.internal_within.to_dict("auroc2.p_ic.within"),
    }
    for row in results.found:
        summary |= row.measured.rho.to_dict(
            f"rho.{row.combination.format}.{_READOUTS[row.readout]}"
        )
    return summary


def page_of(results: AlignmentResults) -> Page:
    """Return the page: figures, summary, a line for each prompt and readout, and the tables they
    come from.
    """
    return Page(
        f"Does {title_of(results.config.model.name)} say how sure it is?",
        sections(results),
        summary_of(results),
        results.config.model_dump(mode="json"),
        {
            "alignment.csv": results.table(),
            "confidence.csv": _tidy(results),
            "options.csv": results.confidences.options,
            "letters.csv": _letters_table(results),
        },
        [("Every prompt and readout", lines(results))],
        (caption_of(results), results.answers.words),
    )


def _tidy(results: AlignmentResults) -> pd.DataFrame:
    read = results.confidences
    named = read.internal.assign(
        id=[question.id for question in read.questions], domain=read.domain
    )
    return read.stated.rename(columns={"mass": "mass_on_scale"}).merge(
        named, on=ROW, validate="many_to_one"
    )


def _letters_table(results: AlignmentResults) -> pd.DataFrame:
    return pd.DataFrame(
        [
            {
                "letter": one.letter,
                "questions": one.n,
                **one.right.to_dict("right"),
                **one.chosen.to_dict("chosen"),
                "weight": one.weight,
            }
            for one in results.letters
        ]
    )
