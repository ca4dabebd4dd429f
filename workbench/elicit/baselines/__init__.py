"""Measure confidence without training: from the answer's likelihood to what several samples agree
on.

:data:`BASELINES` lists them with what they need and cost; :func:`run_baselines` scores the same
questions and greedy answers by all of them; :func:`compare` says how well each tells right answers
from wrong ones.
"""

from workbench.elicit.baselines.answered_question import Asked, ask
from workbench.elicit.baselines.compare import Compared, compare
from workbench.elicit.baselines.equality import agrees, answer_key
from workbench.elicit.baselines.evidence import Evidence
from workbench.elicit.baselines.run import (
    known_baselines,
    run_baselines,
    run_passes,
    score_baselines,
    select_baselines,
)
from workbench.elicit.baselines.settings import BaselineSettings
from workbench.elicit.baselines.table import BASELINES, Baseline
from workbench.elicit.baselines.top_k import Guess, parse_guesses

__all__ = [
    "BASELINES",
    "Asked",
    "Baseline",
    "BaselineSettings",
    "Compared",
    "Evidence",
    "Guess",
    "agrees",
    "answer_key",
    "ask",
    "compare",
    "known_baselines",
    "parse_guesses",
    "run_baselines",
    "run_passes",
    "score_baselines",
    "select_baselines",
]
