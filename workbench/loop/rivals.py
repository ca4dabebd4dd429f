"""Score held-out questions by what needs no states of the answer: the rivals a sceptic asks for.

A probe that reads correctness from hidden states may only read which domain is hard, how long the
answer is, or how likely it was. Each rival gives one score a question, higher for surer, fitted (if
at all) on training questions, and is judged as the probe is:

- domain base rate: the share of right answers of the question's domain among training questions;
- question text: a logistic regression on a sentence embedding of the question, where the extra
  "embeddings" is installed;
- answer length: minus the number of characters;
- answer likelihood: the mean log-probability of the answer's tokens, where the run generated them;
- question end: a probe of the state before anything is answered.

The last is read from states too, of the question alone: the verdict on the states does not count
it as a rival, and the table shows it. A rival that is beaten may still hold information the probe
lacks.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from importlib.util import find_spec
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegressionCV

from workbench.arrays import Bools, Floats
from workbench.elicit.conversation import QUESTION_END
from workbench.loop.answers import right_answers
from workbench.loop.conditions import BEFORE, PROBE, Key, Measures, Readouts
from workbench.loop.questions import load_questions
from workbench.loop.run import Run
from workbench.measure import (
    Bootstrap,
    auroc2_difference,
    auroc2_estimate,
    auroc2_within_estimate,
)
from workbench.questions import prompt_text
from workbench.teach.embedding import PACKAGE, embeddings, encoder_folder

DOMAIN, TEXT, LENGTH, LIKELIHOOD = (
    "domain_base_rate",
    "question_text",
    "answer_length",
    "answer_likelihood",
)
RIVALS = (DOMAIN, TEXT, LENGTH, LIKELIHOOD, QUESTION_END)
NOT_MEASURED: Mapping[str, str] = {
    DOMAIN: "not measured",
    TEXT: "not measured: the extra 'embeddings' is not installed",
    LENGTH: "not measured",
    LIKELIHOOD: "not measured: the answers were given",
    QUESTION_END: "not measured: reasoning stands between question and answer",
}
RIVAL, MINUS = "rival", "probe_minus"
FOLDS = 5


def rival_key(name: str, *, within: bool = False, minus: bool = False) -> Key:
    """Return the key of a rival's AUROC2, or of the probe's minus it."""
    return Key("auroc2", f"{RIVAL}.{name}", BEFORE, within, MINUS if minus else "")


def read_rivals(context: Run, rows: NDArray[np.int64]) -> dict[str, Floats]:
    """Return the scores [rows] of every rival that the run can have, by name."""
    questions, texts = load_questions(context)
    train = np.flatnonzero(questions["split"] == "train")
    right, domain = right_answers(context, train), questions["domain"].to_numpy(dtype=str)
    answered = context.stage("answer").table("answers").set_index("row").loc[rows.tolist()]
    found = {
        DOMAIN: domain_base_rate(domain[train], right, domain[rows]),
        LENGTH: -answered["answer"].str.len().to_numpy(dtype=float),
    }
    if "log_probability" in answered:
        found[LIKELIHOOD] = answered["log_probability"].to_numpy(dtype=float)
    if find_spec(PACKAGE) is not None:
        asked = [prompt_text(texts[row]) for row in [*train, *rows]]
        vectors = embeddings(asked, encoder_folder())
        found[TEXT] = text_scores(vectors[: len(train)], right, vectors[len(train) :])
    if "question_end_layer" in context.stage("probe").facts():
        kept = context.stage("probe").table(QUESTION_END).set_index("row")
        found[QUESTION_END] = kept["probability"].loc[rows.tolist()].to_numpy()
    return {name: found[name] for name in RIVALS if name in found}


def domain_base_rate(domain: NDArray[Any], correct: Bools, asked: NDArray[Any]) -> Floats:
    """Return the share of right answers among the training questions of each asked domain; that of
    all training questions for a domain without any.
    """
    rates = pd.Series(correct).groupby(domain).mean()
    return pd.Series(asked).map(rates).fillna(float(correct.mean())).to_numpy(dtype=float)


def text_scores(
    vectors: NDArray[np.floating], correct: Bools, asked: NDArray[np.floating]
) -> Floats:
    """Return the log-odds [m] of a logistic regression on the training ``vectors`` [n, width], for
    the rows ``asked`` [m, width]; the penalty is chosen on the training rows.
    """
    model = LogisticRegressionCV(
        Cs=[0.1, 1.0, 10.0, 100.0], cv=FOLDS, scoring="neg_log_loss", max_iter=1000
    )
    found: Floats = model.fit(vectors, correct).decision_function(asked)
    return found


def measure_rivals(r: Readouts, rivals: Mapping[str, Floats], draw: Bootstrap) -> Measures:
    """Return AUROC2 of every rival, and the probe's minus it on the same questions, pooled and
    within domain.
    """
    out: Measures = {}
    probe = r.of[PROBE][BEFORE]
    for name, scores in rivals.items():
        key, options = rival_key(name), draw.options
        out[key] = auroc2_estimate(scores, r.correct, **options)
        out[replace(key, within=True)] = auroc2_within_estimate(
            scores, r.correct, r.domain, **options
        )
        for domain in (None, r.domain):
            minus = rival_key(name, within=domain is not None, minus=True)
            out[minus] = auroc2_difference(probe, scores, r.correct, domain, **options)
    return out
