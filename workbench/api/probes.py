"""Fit probes on states: of "was the answer right" while a model was asked, or of any label of
recorded prompts.

Probes are fitted on the training rows at every layer and place and judged on the held-out ones. The
control is what probes of shuffled labels reach, whose expected AUROC2 is 0.5. ``targets`` are
cross-fitted: no row's target depends on its own label. Sign: probabilities of a right answer, or of
a label that is true.

What a high AUROC2 does not show: that the model uses what the probe reads; and the best of many
sites on the held-out rows is optimistic, so the summary quotes the site that was chosen on the
training rows.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd
import plotly.graph_objects as go
from numpy.typing import NDArray

from workbench.api.confidence import DEFAULTS, Asked
from workbench.api.display import result_html, show_result
from workbench.api.states import PROMPT, Recorded
from workbench.api.summary import READOUTS, estimates_html, estimates_table
from workbench.arrays import Floats, Rows
from workbench.config import ProbeConfig
from workbench.errors import WorkbenchError
from workbench.measure import Estimate, IntervalCurve, auroc2
from workbench.measure.table_file.parse import grades
from workbench.measure.verdicts import Verdict, states_verdict
from workbench.pipeline.store import ROW
from workbench.plots.auroc_by_layer import AurocByLayer
from workbench.probe import HeldOutProbe, ProbeSettings, fit_and_judge
from workbench.probe.states import States
from workbench.questions import side_of

CORRECT = "the answer is right"
AUROC2 = {"auroc2.probe": "auroc2", "auroc2.control": "auroc2_shuffled"}


@dataclass(frozen=True, eq=False)
class LabelledStates:
    """States with a label each, split into rows to fit on and rows to judge on.

    Attributes:
        states: [n, layers, places, width].
        label: [n] what is to be read.
        row: [n] number of each among all that were recorded.
        test: [n] whether a row is held out.
        domain: [n] groups within which AUROC2 is taken too; None for none.
        places: the names of the places.
        about: what the label says, and of what model.

    Raises:
        WorkbenchError: for labels that are all alike on one side of the split.
    """

    states: States
    label: NDArray[np.bool_]
    row: Rows
    test: NDArray[np.bool_]
    domain: NDArray[np.str_] | None
    places: tuple[str, ...]
    about: tuple[str, str]

    def __post_init__(self) -> None:
        for side, chosen in (("training", ~self.test), ("held-out", self.test)):
            true, count = int(self.label[chosen].sum()), int(chosen.sum())
            if not 0 < true < count:
                raise WorkbenchError(
                    f"Of the {count} {side} rows with a label {true} are true, so there is nothing "
                    "to tell apart; use more rows, or a set nearer to half true."
                )


@dataclass(frozen=True, eq=False)
class Probes:
    """Probes of every layer and place, and what they reach on held-out rows.

    Attributes:
        data: the states, their labels and the split.
        fit: the probes, the table of their sites, the control, and out-of-fold probabilities.
        references: AUROC2 of other readouts on the held-out rows, drawn as lines.
    """

    data: LabelledStates
    fit: HeldOutProbe
    references: Mapping[str, float]

    @property
    def layer(self) -> int:
        """The layer chosen on the training rows."""
        return self.fit.probe.best.layer

    @property
    def position(self) -> str:
        """The place chosen on the training rows."""
        return self.data.places[self.fit.probe.best.position]

    @property
    def targets(self) -> pd.Series[float]:
        """Out-of-fold probability of each training row, by its number."""
        return self._by_row(self.fit.targets, ~self.data.test, "target")

    @property
    def probability(self) -> pd.Series[float]:
        """Probability of each held-out row at the chosen site, by its number."""
        best = self.fit.probe.best
        values = self.fit.held_out[:, best.layer, best.position]
        return self._by_row(values, self.data.test, "probability")

    def table(self) -> pd.DataFrame:
        """Return one row per site: layer, position, auroc2, auroc2_within, log_loss,
        auroc2_shuffled with their intervals (of the shuffles: the smallest and the largest).
        """
        return self.fit.layers.copy()

    def estimates(self) -> dict[str, Estimate]:
        """Estimate the AUROC2 of the site chosen on the training rows, and of the control there,
        whose interval is the range of the shuffles.
        """
        lines = self.fit.layers
        chosen = (lines["layer"] == self.layer) & (lines["position"] == self.position)
        line, found = lines[chosen].iloc[0], {}
        for name, column in AUROC2.items():
            value, low, high = (float(line[f"{column}{end}"]) for end in ("", ".low", ".high"))
            found[name] = Estimate(value, low, high, int(self.data.test.sum()))
        return found

    def summary(self) -> pd.DataFrame:
        """Return the estimates as a table, one row a measure."""
        return estimates_table(self.estimates())

    def verdict(self, rivals: Mapping[str, Floats] | None = None) -> Verdict:
        """Judge by a written rule whether the states carry which answers are right.

        Args:
            rivals: by name, scores [held-out rows] that the probe must beat within domain.

        Raises:
            WorkbenchError: for probes of another label than the grade.
        """
        data, test = self.data, self.data.test
        if data.domain is None:
            raise WorkbenchError("The verdict is on grades of answers; fit probes on asked ones.")
        probability: Floats = np.asarray(self.probability, dtype=np.float64)
        return states_verdict(probability, data.label[test], data.domain[test], rivals or {})

    def figure(self) -> go.Figure:
        """Draw AUROC2 by layer for each place, with the control, and other readouts as lines."""
        lines, series = self.fit.layers, {}
        for place in self.data.places:
            own = lines[lines["position"] == place]
            series[f"probe, {place}"] = _curve(own, "auroc2")
            if place == self.position:
                series[f"shuffled labels, {place}"] = _curve(own, "auroc2_shuffled")
        what, model = self.data.about
        held_out = int(self.data.test.sum())
        return AurocByLayer(
            layers=np.unique(lines["layer"].to_numpy(dtype=np.int64)),
            series=series,
            references=self.references,
            title=f"Where can a probe read whether {what}?",
            caption=f"{held_out} held-out rows, {model}; chosen on "
            f"{len(self.data.test) - held_out} training rows: layer {self.layer}, {self.position}",
        ).figure()

    def _by_row(
        self, values: NDArray[np.float64], chosen: NDArray[np.bool_], name: str
    ) -> pd.Series[float]:
        return pd.Series(values, index=pd.Index(self.data.row[chosen], name=ROW), name=name)

    def _numbers(self) -> str:
        heading = f"Probes, chosen site: layer {self.layer}, {self.position}"
        return estimates_html(heading, self.estimates())

    def _ipython_display_(self) -> None:
        show_result(self.figure(), self._numbers())

    def _repr_html_(self) -> str:
        return result_html(self.figure(), self._numbers())


def fit_probes(
    states: Asked | Recorded,
    label: str | None = None,
    *,
    settings: ProbeConfig = DEFAULTS.probe,
    train_fraction: float = DEFAULTS.questions.train_fraction,
    resamples: int = DEFAULTS.bootstrap_resamples,
    seed: int = DEFAULTS.seed,
) -> Probes:
    """Fit a probe at every recorded layer and place, on the training rows alone.

    Args:
        states: asked questions, whose label is the grade, or recorded prompts.
        label: the column of recorded prompts that is to be read: true/false, yes/no or 1/0.
        settings: folds, penalties, shuffles of the control, and how many sites make a target.
        train_fraction: of recorded prompts, the share to fit on, by a hash of the prompt's text;
            asked questions are split already.
        resamples: of the bootstrap over held-out rows.
        seed: of the folds, the shuffles and the resamples.

    Raises:
        WorkbenchError: where no states were recorded, for a column that is not there, and where
            the labels leave nothing to tell apart.
    """
    references: dict[str, float] = {}
    if isinstance(states, Asked):
        if label is not None:
            raise WorkbenchError("Asked questions are labelled by their grades; leave label out.")
        data = _of_asked(states)
        held_out = states.graded.test
        for name in READOUTS:
            value = auroc2(getattr(held_out, name), held_out.correct.to_numpy(dtype=bool))
            references |= {name: value} if np.isfinite(value) else {}
    else:
        data = _of_recorded(states, label, train_fraction)
    test = data.test
    found = fit_and_judge(
        data.states[~test],
        data.label[~test],
        data.states[test],
        data.label[test],
        ProbeSettings(
            folds=settings.folds,
            inner_folds=settings.inner_folds,
            inverse_penalties=settings.inverse_penalties,
            seed=seed,
            memory_bytes=settings.memory_bytes,
        ),
        positions=data.places,
        held_out_domain=None if data.domain is None else data.domain[test],
        shuffles=settings.shuffles,
        ensemble_sites=settings.ensemble_sites,
        resamples=resamples,
        seed=seed,
    )
    return Probes(data, found, references)


def _of_asked(asked: Asked) -> LabelledStates:
    """Return the states of graded questions, labelled by their grades.

    Raises:
        WorkbenchError: where no states were recorded.
    """
    graded = asked.graded
    if graded.states is None:
        raise WorkbenchError("No states were recorded; ask again with record='all'.")
    return LabelledStates(
        states=graded.states,
        label=graded.correct.to_numpy(dtype=bool),
        row=graded.row,
        test=graded.side == "test",
        domain=np.array([question.domain for question in graded.questions]),
        places=asked.positions,
        about=(CORRECT, asked.lm.name),
    )


def _of_recorded(recorded: Recorded, label: str | None, train_fraction: float) -> LabelledStates:
    """Return the states of recorded prompts, labelled by the column ``label``.

    Raises:
        WorkbenchError: for a column that is not there.
    """
    table = recorded.prompts
    if label is None or label not in table:
        raise WorkbenchError(
            f"There is no column {label!r} to read; name the label, one of "
            f"{', '.join(map(str, table))}."
        )
    sides = [side_of(text, train_fraction) for text in table[PROMPT]]
    return LabelledStates(
        states=recorded.states,
        label=grades(table[label], label),
        row=table[ROW].to_numpy(dtype=np.int64),
        test=np.array(sides) == "test",
        domain=None,
        places=recorded.places,
        about=(f"{label} is true", recorded.model),
    )


def _curve(lines: pd.DataFrame, column: str) -> IntervalCurve:
    value, low, high = (
        lines[f"{column}{end}"].to_numpy(dtype=np.float64) for end in ("", ".low", ".high")
    )
    return IntervalCurve(value, low, high)
