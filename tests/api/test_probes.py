from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.preprocessing import StandardScaler

from workbench.api.confidence import Asked
from workbench.api.probes import Probes, fit_probes
from workbench.errors import WorkbenchError
from workbench.measure import auroc2_within
from workbench.probe import ensemble_targets


def test_held_out_auroc2_is_that_of_sklearns_probe(asked: Asked, probes: Probes) -> None:
    """The same penalty on the same standardised states, at one site."""
    layer, position = 2, 1
    line = probes.table().set_index(["layer", "position"]).loc[(layer, "answer_end")]
    held_out = probes.data.test
    train, test = (probes.data.states[rows, layer, position] for rows in (~held_out, held_out))
    scaler = StandardScaler().fit(train)
    model = LogisticRegression(C=probes.fit.probe.c[layer, position], tol=1e-10, max_iter=10_000)
    model.fit(scaler.transform(train), probes.data.label[~held_out])
    score = model.decision_function(scaler.transform(test))
    truth = probes.data.label[held_out]
    assert line["auroc2"] == pytest.approx(roc_auc_score(truth, score), abs=1e-3)
    assert line["auroc2.low"] <= line["auroc2"] <= line["auroc2.high"]


def test_targets_are_out_of_fold_and_of_the_training_questions(
    asked: Asked, probes: Probes
) -> None:
    assert list(probes.targets.index) == list(asked.train.row)
    sites = min(20, probes.fit.probe.intercept.size)
    assert probes.targets.to_numpy() == pytest.approx(
        ensemble_targets(probes.fit.probe, "log_loss", sites)
    )
    assert list(probes.probability.index) == list(asked.test.row)


def test_the_summary_quotes_the_site_chosen_on_training_questions(probes: Probes) -> None:
    found, table = probes.estimates(), probes.table()
    assert (
        probes.summary().set_index("measure").loc["auroc2.probe", "low"]
        == found["auroc2.probe"].low
    )
    line = table[(table["layer"] == probes.layer) & (table["position"] == probes.position)].iloc[0]
    assert found["auroc2.probe"].value == line["auroc2"]
    shuffled = probes.fit.control.auroc2[:, probes.layer, probes.data.places.index(probes.position)]
    assert found["auroc2.control"].value == pytest.approx(shuffled.mean())
    assert found["auroc2.control"].low == shuffled.min()
    losses = probes.fit.probe.out_of_fold_log_loss
    assert losses[probes.layer].min() == losses.min()


def test_the_verdict_is_on_the_held_out_questions(asked: Asked, probes: Probes) -> None:
    held_out = asked.test
    own = probes.probability.to_numpy()
    found = probes.verdict({"itself": own})
    assert [check.name for check in found.checks] == ["probe within domain", "probe minus itself"]
    domain = np.array([question.domain for question in held_out.questions])
    correct = held_out.correct.to_numpy(dtype=bool)
    assert found.checks[0].value.value == pytest.approx(auroc2_within(own, correct, domain))
    assert not found.checks[1].passed


def test_the_figure_has_every_position_and_the_control(probes: Probes) -> None:
    names = " ".join(str(trace.name) for trace in probes.figure().data)
    for name in (*probes.data.places, f"shuffled labels, {probes.position}", "expected"):
        assert name in names
    assert "auroc2.control" in probes._repr_html_()


def test_what_cannot_be_fitted_is_refused(asked: Asked) -> None:
    with pytest.raises(WorkbenchError, match="No states were recorded"):
        fit_probes(replace(asked, states=None))
    right = asked[np.flatnonzero(asked.correct.to_numpy(dtype=bool))]
    with pytest.raises(WorkbenchError, match="nothing to tell apart"):
        fit_probes(right)
    with pytest.raises(WorkbenchError, match="labelled by their grades"):
        fit_probes(asked, "correct")
