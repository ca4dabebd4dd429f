"""Compare what is said directly with what is said after reasoning, on the same questions.

Another run of the same model, in a format that reasons before it answers, holds answers, confidence
and states. Its questions keep the sides of the direct run. The direction of confidence is fitted on
direct states, at the layer chosen for them, and read in both; correlations are less the means of
domains. The Brier score is of each format's own answers, so a difference has their accuracy in it.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from workbench.arrays import Bools, Floats, Rows
from workbench.elicit.formats import FORMATS
from workbench.errors import WorkbenchError
from workbench.experiments.accuracy_directions.directions import (
    QUANTITIES,
    DirectionPlan,
    directions_stage,
    standardise,
    table_of,
    target_of,
)
from workbench.experiments.finished_run import open_or_make_probed_run, read_probed_run
from workbench.experiments.text_bottleneck.conditions import BEFORE
from workbench.experiments.text_bottleneck.read import AT_CONFIDENCE, split_of, vectors_at
from workbench.loop.questions import load_questions
from workbench.loop.run import Run
from workbench.measure import bootstrap
from workbench.measure.within_groups import centre_within
from workbench.mechanisms.works.direction_worlds import (
    correlation_of,
    lost_correlation,
    mean_of,
)
from workbench.pipeline.stages import Reuse
from workbench.pipeline.store import ROW, StageStore
from workbench.probe.split_half import compare_directions

STAGE = "directions_reasoned"
FEWEST = 40
"""Questions of either side that both runs must have."""


def find_reasoned_run(run: Run, named: str, reuse: Reuse) -> Run:
    """Return the run ``named``: a finished run beside this one, by name or folder, or a format, in
    which a run on the same questions is made first.

    Raises:
        WorkbenchError: for a name that is neither, a format or run without reasoning, and a run of
            another model.
    """
    runs = run.store.folder.parent
    folder = next((each for each in (runs / named, Path(named)) if _is_run(each)), None)
    if folder is not None:
        found = read_probed_run(folder, run.figures)
    else:
        if named not in FORMATS or not FORMATS[named].reasons:
            reasoning = ", ".join(each.name for each in FORMATS.values() if each.reasons)
            raise WorkbenchError(
                f"reasoned names {named!r}, which is neither a run in {runs} nor a format with "
                f"reasoning; name a run, or one of {reasoning}."
            )
        elicit = run.config.elicit.model_copy(update={"format": named})
        config = run.config.model_copy(update={"elicit": elicit})
        name = f"{run.store.folder.name}-{named}"
        found = open_or_make_probed_run(config, runs / name, run.figures.parent / name, reuse)
    if not found.fmt.reasons:
        raise WorkbenchError(
            f"The run {found.store.folder.name} does not reason before it answers; name one in a "
            "format with reasoning."
        )
    if found.config.model.name != run.config.model.name:
        raise WorkbenchError(
            f"The run {found.store.folder.name} is of the model {found.config.model.name!r}, not "
            f"of {run.config.model.name!r}; name one of the same model."
        )
    return found


def _is_run(folder: Path) -> bool:
    return (folder / "questions" / "done.json").exists()


def read_reasoned(
    run: Run, stage: StageStore, *, reasoned: Run, plan: DirectionPlan
) -> dict[str, Any]:
    """Save the table "quantities" of what reasoning changes."""
    shared = _shared(run, reasoned)
    layer = int(run.stage(directions_stage(BEFORE.name)).facts()["layer"])
    split = split_of(run)
    sides = [np.isin(shared[ROW], rows) for rows in (split.train, split.test)]
    if min(side.sum() for side in sides) < FEWEST:
        raise WorkbenchError(
            f"The runs share {[int(side.sum()) for side in sides]} training and held-out questions "
            f"that both graded, and need at least {FEWEST} of each; reason on the same questions."
        )
    direct, after = (
        _Format(run, shared[ROW].to_numpy()),
        _Format(reasoned, shared["row_reasoned"].to_numpy()),
    )
    train, test = (np.flatnonzero(side) for side in sides)
    domain = shared["domain"].to_numpy(dtype=str)
    states = [direct.states(layer), after.states(layer)]
    scaled = standardise(states[0][train], states[0][test])
    centred = [
        centre_within((each[rows] - scaled.mean) / scaled.scale, domain[rows])
        for each in states
        for rows in (train, test)
    ]
    said = [
        centre_within(each.expected[rows], domain[rows])
        for each in (direct, after)
        for rows in (train, test)
    ]
    penalties, seed = run.config.probe.ridge_penalties, run.config.seed
    before = target_of(centred[0], said[0], penalties)
    later = target_of(centred[2], said[2], penalties)
    right = target_of(centred[2], centre_within(after.correct[train], domain[train]), penalties)
    compare = partial(compare_directions, halvings=plan.halvings, blocks=plan.blocks, seed=seed)
    formats, angle = compare(before, later), compare(right, later)
    direction = before.direction(np.arange(len(train)))
    read = [centred[1] @ direction, centred[3] @ direction]
    errors = [each.errors[test] for each in (direct, after)]
    resamples = run.config.bootstrap_resamples
    stage.save_table(
        QUANTITIES,
        table_of(
            {
                "formats_corrected": formats.corrected,
                "reasoned_corrected": angle.corrected,
                "reliability_reasoned": formats.second,
                "read_reasoned": bootstrap(
                    correlation_of, read[1], said[3], seed=seed, resamples=resamples
                ),
                "reading_lost": lost_correlation(
                    read[0], said[1], read[1], said[3], seed, resamples
                ),
                "brier_direct": mean_of(errors[0]),
                "brier_reasoned": mean_of(errors[1]),
                "reasoned_minus_direct": mean_of(errors[1] - errors[0]),
            }
        ),
    )
    return {
        "run": reasoned.store.folder.name,
        "format": reasoned.fmt.name,
        "accuracy": [float(each.correct[test].mean()) for each in (direct, after)],
        "confidence": [float(each.expected[test].mean()) for each in (direct, after)],
    }


class _Format:
    """What one run holds of the questions ``rows``."""

    def __init__(self, run: Run, rows: Rows) -> None:
        """Read answers and confidence."""
        said = run.stage("elicit").table("confidence").set_index(ROW)["expected"]
        answers = run.stage("answer").table("answers").set_index(ROW)["correct"]
        self.expected: Floats = said.loc[rows.tolist()].to_numpy(dtype=float)
        self.correct: Bools = answers.loc[rows.tolist()].to_numpy(dtype=bool)
        self.errors: Floats = (self.expected - self.correct) ** 2
        self._held, self._rows = vectors_at(run, BEFORE, AT_CONFIDENCE), rows

    def states(self, layer: int) -> Floats:
        """Return the states after ``layer`` at the confidence position, [n, width] float64."""
        order = np.argsort(self._rows)
        found = np.empty((len(self._rows), self._held.vectors.shape[-1]))
        found[order] = np.asarray(self._held.of(self._rows[order])[:, layer])
        return found


def _shared(run: Run, reasoned: Run) -> pd.DataFrame:
    """Return the questions that both runs asked, graded and read a confidence of."""
    tables = []
    for each in (run, reasoned):
        questions, _ = load_questions(each)
        graded = each.stage("answer").table("answers").dropna(subset=["correct"])[ROW]
        said = each.stage("elicit").table("confidence").dropna(subset=["expected"])[ROW]
        kept = questions[ROW].isin(graded) & questions[ROW].isin(said)
        tables.append(questions.loc[kept, [ROW, "id", "question", "domain"]])
    both = tables[0].merge(
        tables[1].drop(columns="domain"), on=["id", "question"], suffixes=("", "_reasoned")
    )
    return both.sort_values(ROW).reset_index(drop=True)
