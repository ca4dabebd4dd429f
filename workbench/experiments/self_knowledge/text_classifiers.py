"""Predict from a question's text alone whether a model's answer will be right: the rivals of its
states.

Four classifiers, none of which sees the model:

- text embedding: a logistic regression on a sentence embedding, where the extra "embeddings" is
  installed;
- words: the same on TF-IDF of words and pairs of words;
- scalars: the same on counts, as characters, words, digits and capitals;
- domain base rate: the share of right answers of the question's domain.

Everything is fitted, and the best classifier chosen, on training questions, by AUROC2 of scores out
of fold within each domain of each fold: across folds a question that is held out moves the share of
right answers that the others are fitted on the other way, which puts scores below chance. Sign:
higher for surer of a right answer. A classifier that is beaten here may do better with more
questions than states need.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any

import numpy as np
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegressionCV
from sklearn.model_selection import StratifiedKFold, cross_val_predict
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler

from workbench.arrays import Bools, Floats
from workbench.loop.rivals import FOLDS, domain_base_rate
from workbench.measure import auroc2_within
from workbench.mechanisms.works.question_scores import DOMAIN, EMBEDDING, SCALARS, TFIDF
from workbench.teach.embedding import PACKAGE, embeddings, encoder_folder

PENALTIES = (0.1, 1.0, 10.0, 100.0)
NO_EMBEDDING = "the extra 'embeddings' is not installed"


@dataclass(frozen=True, eq=False)
class TextScores:
    """The scores of held-out questions by name of the classifier, [n] each; the one that did best
    on training questions; and AUROC2 within domain there, out of fold, by name.
    """

    of: Mapping[str, Floats]
    best: str
    training: Mapping[str, float]


def score_texts(
    texts: Sequence[str],
    domain: np.ndarray,
    correct: Bools,
    held_out_texts: Sequence[str],
    held_out_domain: np.ndarray,
    seed: int,
) -> TextScores:
    """Fit every classifier on the training questions ``texts`` [m] with their ``domain`` and
    whether the answers are ``correct``; score the held-out ones.
    """
    count = len(texts)
    everyone = [*texts, *held_out_texts]
    inputs: dict[str, tuple[Pipeline, Any]] = {
        TFIDF: (
            make_pipeline(
                TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True), _regression(seed)
            ),
            np.array(everyone, dtype=object),
        ),
        SCALARS: (make_pipeline(StandardScaler(), _regression(seed)), scalars(everyone)),
    }
    if find_spec(PACKAGE) is not None:
        vectors = embeddings(everyone, encoder_folder())
        inputs[EMBEDDING] = (make_pipeline(_regression(seed)), vectors)
    of, training = {DOMAIN: domain_base_rate(domain, correct, held_out_domain)}, {}
    folds = StratifiedKFold(FOLDS, shuffle=True, random_state=seed)
    fold_of = np.empty(count, dtype=int)
    for number, (_, rows) in enumerate(folds.split(domain, correct)):
        fold_of[rows] = number
    cells = [f"{number}/{name}" for number, name in zip(fold_of, domain, strict=True)]
    for name, (model, features) in inputs.items():
        apart = cross_val_predict(
            model, features[:count], correct, cv=folds, method="decision_function"
        )
        training[name] = auroc2_within(apart, correct, cells)
        of[name] = model.fit(features[:count], correct).decision_function(features[count:])
    return TextScores(of, max(training, key=lambda name: training[name]), training)


def scalars(texts: Sequence[str]) -> Floats:
    """Return counts [n, 7] of each text: characters, words, mean length of a word, digits, capital
    letters, marks that are neither letters, digits nor blanks, and lines.
    """
    rows = []
    for text in texts:
        words = text.split()
        rows.append(
            [
                len(text),
                len(words),
                float(np.mean([len(word) for word in words])) if words else 0.0,
                sum(each.isdigit() for each in text),
                sum(each.isupper() for each in text),
                sum(not (each.isalnum() or each.isspace()) for each in text),
                text.count("\n") + 1,
            ]
        )
    return np.array(rows, dtype=np.float64)


def _regression(seed: int) -> LogisticRegressionCV:
    return LogisticRegressionCV(
        Cs=list(PENALTIES),
        cv=StratifiedKFold(FOLDS, shuffle=True, random_state=seed),
        scoring="neg_log_loss",
        max_iter=2000,
    )
