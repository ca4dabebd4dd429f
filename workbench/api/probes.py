"""Fit probes of "was the answer right" on what was recorded while a model was asked.

Probes are fitted on the training questions at every layer and position and judged on the held-out
ones; beside them stands what probes of shuffled labels reach, whose expected AUROC2 is 0.5.
``targets`` are cross-fitted: no question's target depends on its own grade. Sign: probabilities of
a right answer.

What a high AUROC2 does not show: that the model uses what the probe reads; and the best of many
sites on the held-out questions is optimistic, so the summary quotes the site that was chosen on the
training questions.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
import plotly.graph_objects as go
from numpy.typing import NDArray

from workbench.api.confidence import DEFAULTS, Asked
from workbench.api.summary import READOUTS, estimates_html
from workbench.config import ProbeConfig
from workbench.errors import WorkbenchError
from workbench.measure import Estimate, IntervalCurve, auroc2
from workbench.pipeline.store import ROW
from workbench.plots.auroc_by_layer import AurocByLayer
from workbench.probe import HeldOutProbe, ProbeSettings, fit_and_judge


@dataclass(frozen=True, eq=False)
class Probes:
    """Probes of every layer and position, and what they reach on held-out questions.

    Attributes:
        train, test: the graded questions they were fitted on, and judged on.
        fit: the probes, the table of their sites, the control, and out-of-fold probabilities.
    """

    train: Asked
    test: Asked
    fit: HeldOutProbe

    @property
    def layer(self) -> int:
        """The layer chosen on the training questions."""
        return self.fit.probe.best.layer

    @property
    def position(self) -> str:
        """The position chosen on the training questions."""
        return self.train.positions[self.fit.probe.best.position]

    @property
    def targets(self) -> pd.Series[float]:
        """Out-of-fold probability of a right answer of each training question, by its row."""
        return pd.Series(self.fit.targets, index=pd.Index(self.train.row, name=ROW), name="target")

    @property
    def probability(self) -> pd.Series[float]:
        """Probability of a right answer of each held-out answer at the chosen site, by row."""
        best = self.fit.probe.best
        values = self.fit.held_out[:, best.layer, best.position]
        return pd.Series(values, index=pd.Index(self.test.row, name=ROW), name="probability")

    def table(self) -> pd.DataFrame:
        """Give one row a site: layer, position, auroc2, auroc2_within, log_loss, auroc2_shuffled
        with their intervals (of the shuffles: the smallest and the largest).
        """
        return self.fit.layers.copy()

    def summary(self) -> dict[str, Estimate]:
        """Estimate the AUROC2 of the site chosen on the training questions, and of the control
        there, whose interval is the range of the shuffles.
        """
        lines = self.fit.layers
        chosen = (lines["layer"] == self.layer) & (lines["position"] == self.position)
        line, n = lines[chosen].iloc[0], len(self.test)
        found = {}
        for name, column in (("auroc2.probe", "auroc2"), ("auroc2.control", "auroc2_shuffled")):
            value, low, high = (float(line[f"{column}{end}"]) for end in ("", ".low", ".high"))
            found[name] = Estimate(value, low, high, n)
        return found

    def figure(self) -> go.Figure:
        """Draw AUROC2 by layer for each position, with the control and both readouts as lines."""
        lines, correct = self.fit.layers, self.test.correct.to_numpy(dtype=bool)
        series = {}
        for position in self.train.positions:
            own = lines[lines["position"] == position]
            series[f"probe, {position}"] = _curve(own, "auroc2")
            if position == self.position:
                series[f"shuffled labels, {position}"] = _curve(own, "auroc2_shuffled")
        said = {name: auroc2(getattr(self.test, name), correct) for name in READOUTS}
        return AurocByLayer(
            layers=np.unique(lines["layer"].to_numpy(dtype=np.int64)),
            series=series,
            references={name: value for name, value in said.items() if np.isfinite(value)},
            title="Where can a probe read whether the answer is right?",
            caption=f"{len(self.test)} held-out questions, {self.train.lm.name}; chosen on "
            f"{len(self.train)} training questions: layer {self.layer}, {self.position}",
        ).figure()

    def _repr_html_(self) -> str:
        heading = f"Probes, chosen site: layer {self.layer}, {self.position}"
        return estimates_html(heading, self.summary())


def fit_probes(
    asked: Asked,
    settings: ProbeConfig = DEFAULTS.probe,
    *,
    resamples: int = DEFAULTS.bootstrap_resamples,
    seed: int = DEFAULTS.seed,
) -> Probes:
    """Fit a probe at every recorded layer and position, on the training questions alone.

    Args:
        settings: folds, penalties, shuffles of the control, and how many sites make a target.
        resamples: of the bootstrap over held-out questions.
        seed: of the folds, the shuffles and the resamples.

    Raises:
        WorkbenchError: where no states were recorded, and where the grades leave nothing to tell
            apart.
    """
    if asked.states is None:
        raise WorkbenchError("No states were recorded; ask again with record='all'.")
    train, test = asked.graded.train, asked.graded.test
    for side, part in (("training", train), ("held-out", test)):
        right = int(part.correct.sum())
        if not 0 < right < len(part):
            raise WorkbenchError(
                f"Of the {len(part)} graded {side} answers {right} are right, so there is nothing "
                "to tell apart; ask more questions, or a set nearer to half right."
            )
    found = fit_and_judge(
        _states(train),
        train.correct.to_numpy(dtype=bool),
        _states(test),
        test.correct.to_numpy(dtype=bool),
        ProbeSettings(
            folds=settings.folds,
            inner_folds=settings.inner_folds,
            inverse_penalties=settings.inverse_penalties,
            seed=seed,
        ),
        positions=asked.positions,
        held_out_domain=np.array([question.domain for question in test.questions]),
        shuffles=settings.shuffles,
        ensemble_sites=settings.ensemble_sites,
        resamples=resamples,
        seed=seed,
    )
    return Probes(train, test, found)


def _states(asked: Asked) -> NDArray[np.float32]:
    assert asked.states is not None
    return asked.states


def _curve(lines: pd.DataFrame, column: str) -> IntervalCurve:
    value, low, high = (
        lines[f"{column}{end}"].to_numpy(dtype=np.float64) for end in ("", ".low", ".high")
    )
    return IntervalCurve(value, low, high)
