"""Collect what a run kept of every held-out question, for the table that a reader can open: its
conversation in tokens, the distribution over the scale before and after teaching, what the probe
reads at every layer, and its own patching curve.

Nothing is computed on a model. Probabilities by layer are those of the probes fitted on training
questions. A question's own curve is one item: noise and the effect of its wording are in it, and
the mean over questions is the finding.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from workbench.arrays import Floats
from workbench.loop.conditions import AFTER, BEFORE, CONTROL, EXPECTED, PROBE, STATED, Condition
from workbench.loop.confidence import confidence_conversations
from workbench.loop.measure_groups import remember
from workbench.loop.patching_figures import CONTROL_NAMES
from workbench.loop.positions import run_positions
from workbench.loop.probes import HELD_OUT
from workbench.loop.questions import load_questions
from workbench.loop.results import STAGES_OF, LoopResults, bootstrap_of
from workbench.loop.run import Run
from workbench.loop.seed_results import distributions
from workbench.loop.token_colours import token_colours
from workbench.patch.effects import Sweep
from workbench.pipeline.store import ROW
from workbench.plots.theme import BLUE, GREEN, GREY, ORANGE, PURPLE
from workbench.questions import prompt_text
from workbench.report.explorer import Explorer, ExplorerColumn, ItemCurves, ItemTokens

COLOURS: dict[Condition, str] = {BEFORE: GREY, AFTER: BLUE, CONTROL: ORANGE}
SWEPT = ("own_tuned", "other_tuned")
"""The conditions of patching that are drawn of a single question."""


def question_explorer(context: Run, found: LoopResults) -> Explorer | None:
    """Return the held-out questions with everything the finished stages kept of them; none before
    their confidence was read.
    """
    if "elicit" not in found.finished or not len(found.readouts.questions):
        return None
    readouts = found.readouts
    rows = readouts.questions[ROW].to_numpy()
    columns, cells = _table(context, found, rows)
    curves = [_distributions(context, found, rows)]
    # A run of an earlier version kept no probabilities of every layer.
    probed = "probe" in found.finished
    kept = context.stage("probe").tensors("probe", HELD_OUT) if probed else {}
    if HELD_OUT in kept:
        curves.append(_probes(context, kept[HELD_OUT]))
    if "patch" in found.finished:
        curves.append(_patching(context, found, rows))
    _, questions = load_questions(context)
    return Explorer(
        "The questions",
        "The held-out questions. Sort by a heading, choose, search; open one to see its "
        "conversation, what is said and expected before and after, what a probe reads at every "
        "layer and, where it was patched, its own curve.",
        columns,
        cells,
        {
            "question": [prompt_text(questions[row]) for row in rows],
            "right answers": [" | ".join(questions[row].answers) for row in rows],
        },
        _coloured(context, found, rows),
        curves,
    )


def _table(
    context: Run, found: LoopResults, rows: NDArray[np.int64]
) -> tuple[list[ExplorerColumn], list[list[Any]]]:
    r = found.readouts
    answered = context.stage("answer").table("answers").set_index(ROW)["answer"]
    given: list[tuple[ExplorerColumn, Any]] = [
        (ExplorerColumn("question", "text"), r.questions["question"].tolist()),
        (ExplorerColumn("answer", "text"), answered.loc[rows.tolist()].tolist()),
        (ExplorerColumn("domain", "choice"), r.questions["domain"].tolist()),
        (ExplorerColumn("right", "right"), r.correct.tolist()),
    ]
    for readout in (STATED, EXPECTED, PROBE):
        for one in (BEFORE, AFTER):
            if one in r.of[readout] and (readout != PROBE or one == BEFORE):
                name = readout if readout == PROBE else f"{readout} {one.name}"
                given.append((ExplorerColumn(name, "percent"), r.of[readout][one].tolist()))
    columns = [column for column, _ in given]
    return columns, [list(row) for row in zip(*(values for _, values in given), strict=True)]


def _distributions(context: Run, found: LoopResults, rows: NDArray[np.int64]) -> ItemCurves:
    """Return the distribution over the scale, as read at the confidence position."""
    series = {
        one.name: distributions(context, stage, rows)
        for one, stage in STAGES_OF.items()
        if stage in found.finished
    }
    scale = context.scale_tokens.trie
    return ItemCurves(
        "What it would say",
        np.asarray(scale.values, dtype=float),
        series,
        "value on the scale",
        "probability",
        bars=True,
        colours={one.name: colour for one, colour in COLOURS.items()},
    )


def _probes(context: Run, read: Floats) -> ItemCurves:
    """Return what the probes of all layers read, fitted on training questions."""
    names = run_positions(context)
    looks = dict(zip(names, (GREEN, PURPLE, GREY), strict=False))
    return ItemCurves(
        "What a probe reads",
        np.arange(read.shape[1], dtype=float),
        {name.replace("_", " "): read[:, :, at] for at, name in enumerate(names)},
        "decoder layer",
        "probability of a right answer",
        levels=(0.5,),
        colours={name.replace("_", " "): colour for name, colour in looks.items()},
    )


def _patching(context: Run, found: LoopResults, rows: NDArray[np.int64]) -> ItemCurves:
    """Return each patched question's own readout over the layers, NaN for those not patched."""
    table = context.stage("patch").table("sweep").drop_duplicates("item").sort_values("item")
    at = pd.Index(table[ROW]).get_indexer(rows)
    sweeps = found.patching.sweeps
    own = sweeps[SWEPT[0]]
    series = {
        "patched: its own donor": _of_items(own.patched, at),
        f"patched: {CONTROL_NAMES[SWEPT[1]]}": _of_items(_on(sweeps[SWEPT[1]], own), at),
        "base": _of_items(np.repeat(own.base[:, None], len(own.layers), axis=1), at),
        "its donor": _of_items(np.repeat(own.donor[:, None], len(own.layers), axis=1), at),
    }
    return ItemCurves(
        "Its patching curve",
        np.asarray(own.layers, dtype=float),
        series,
        "patched decoder layer",
        "expected confidence",
        colours=dict(zip(series, (BLUE, PURPLE, GREY, ORANGE), strict=True)),
    )


def _on(sweep: Sweep, own: Sweep) -> Floats:
    """Return what a sweep patched at the layers of another one; NaN at those it left out."""
    out = np.full((len(sweep.patched), len(own.layers)), np.nan)
    out[:, np.searchsorted(own.layers, sweep.layers)] = sweep.patched
    return out


def _of_items(values: Floats, at: NDArray[np.int64]) -> Floats:
    """Return [questions, layers]: the values of each question's item, NaN where it has none."""
    return np.where((at >= 0)[:, None], values[at], np.nan)


def _coloured(context: Run, found: LoopResults, rows: NDArray[np.int64]) -> ItemTokens:
    """Return the conversations in tokens, with the colours of those that are attributed."""
    # A page is written after every stage, and conversations change no more.
    tokens = remember(
        context,
        "tokens of held-out questions",
        ("answer",),
        bootstrap_of(context),
        lambda: _conversations(context, rows),
    )
    lengths = [len(each) for each in tokens.tokens]
    return replace(tokens, colours=token_colours(context, found, rows, lengths))


def _conversations(context: Run, rows: NDArray[np.int64]) -> ItemTokens:
    tokenizer, said = context.lm.tokenizer, confidence_conversations(context)
    chosen = [said[row] for row in rows]
    return ItemTokens(
        [tokenizer.batch_decode([[token] for token in each.tokens]) for each in chosen],
        {
            "answer's end": [each.answer_end for each in chosen],
            "confidence position": [each.confidence for each in chosen],
        },
    )
