from __future__ import annotations

import numpy as np

from workbench.experiments.self_knowledge import text_classifiers
from workbench.experiments.self_knowledge.text_classifiers import scalars, score_texts
from workbench.measure import auroc2, auroc2_within


def test_counts_by_hand() -> None:
    assert scalars(["Is it 42?\nYes"]).tolist() == [[13, 4, 2.5, 2, 2, 1, 2]]
    assert scalars([""]).tolist() == [[0, 0, 0, 0, 0, 0, 1]]


def test_words_that_decide_are_found_and_chosen() -> None:
    rng = np.random.default_rng(0)
    correct = rng.random(240) < 0.5
    domain = np.resize(["a", "b"], 240)
    texts = [f"the {'red' if right else 'blue'} house {rng.integers(99)}" for right in correct]
    found = score_texts(texts[:160], domain[:160], correct[:160], texts[160:], domain[160:], 0)
    assert found.best == "tfidf"
    assert auroc2(found.of["tfidf"], correct[160:]) == 1
    assert found.training["tfidf"] == 1


def test_texts_that_say_nothing_are_at_chance_out_of_fold() -> None:
    """Over whole folds they would lie below: a held-out right answer leaves fewer for the others."""
    if text_classifiers.find_spec(text_classifiers.PACKAGE) is not None:
        return
    rng = np.random.default_rng(0)
    domain = np.resize(["rivers", "kings", "metals"], 120)
    texts = [f"which of the {name} is it" for name in domain]
    correct = rng.random(120) < 0.4
    found = score_texts(texts, domain, correct, texts[:30], domain[:30], 0)
    assert found.training["tfidf"] == 0.5
    assert auroc2_within(found.of["tfidf"], correct[:30], domain[:30]) == 0.5
