"""List the baselines that need no training: each a row with its score, what it needs, and what it
costs.

Sign: every score rises with confidence (entropies and perplexities carry a minus). Only some are
probabilities (``unit``); the others order answers and cannot be read as calibrated. Cost: tokens
the model computes for this baseline alone once the greedy answer is there, padding not counted: its
prompts, and each generated token that is fed back. Passes that several baselines share count fully
for each.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from workbench.elicit.baselines.evidence import Evidence
from workbench.elicit.baselines.forced import OPTIONS

Unit = Literal["probability", "nats", "number"]
Values = Callable[[Evidence], NDArray[np.float64]]


@dataclass(frozen=True)
class Baseline:
    """A way to get a confidence from a model without training it.

    Attributes:
        title: for figures.
        family: what kind of evidence it reads; baselines of one family share a colour.
        passes: names of :data:`workbench.elicit.baselines.evidence.PASSES` it needs.
        score: [rows], larger means more confident, NaN where undefined.
        tokens: [rows] its cost.
        query: the closed question the forced pass must put for it.
        choice: whether it is for choice questions alone.
    """

    name: str
    title: str
    family: str
    unit: Unit
    passes: tuple[str, ...]
    score: Values
    tokens: Values
    query: str | None = None
    choice: bool = False


def _answer_cost(e: Evidence) -> NDArray[np.float64]:
    return e.column("forced", "tokens")


def _first_token_cost(e: Evidence) -> NDArray[np.float64]:
    return np.asarray([len(one.prompt) for one in e.asked], dtype=np.float64)


def _sample_cost(e: Evidence) -> NDArray[np.float64]:
    return e.first("samples", "prompt_tokens") + e.summed("samples", "tokens")


def _group_cost(e: Evidence) -> NDArray[np.float64]:
    return _sample_cost(e) + e.first("groups", "tokens")


def _mean_log(e: Evidence) -> NDArray[np.float64]:
    return e.column("forced", "log_likelihood") / e.column("forced", "scored")


def _query(name: str, title: str) -> Baseline:
    return Baseline(
        name,
        title,
        "query",
        "probability",
        ("forced",),
        lambda e: e.column("forced", name),
        lambda e: e.column("forced", f"{name}.tokens"),
        query=name,
    )


def _option(name: str, title: str) -> Baseline:
    return Baseline(
        name,
        title,
        "answer",
        "probability",
        ("forced",),
        lambda e: e.column("forced", name),
        lambda e: e.column("forced", f"{OPTIONS}.tokens"),
        query=OPTIONS,
        choice=True,
    )


def _share(name: str, title: str) -> Baseline:
    return Baseline(
        name,
        title,
        "samples",
        "probability",
        ("samples",),
        lambda e: e.consistency[name].to_numpy(),
        _sample_cost,
    )


def _semantic(name: str, column: str, title: str) -> Baseline:
    return Baseline(
        name,
        title,
        "samples",
        "nats",
        ("samples", "groups"),
        lambda e: -e.entropies[column].to_numpy(),
        _group_cost,
    )


def _stated(name: str, title: str) -> Baseline:
    return Baseline(
        name, title, "verbalised", "probability", ("stated",),
        lambda e: e.column("stated", name), lambda e: e.column("stated", f"{name}.tokens"),
    )  # fmt: skip


def _listed(name: str, column: str, title: str) -> Baseline:
    return Baseline(
        name, title, "verbalised", "probability", ("list",),
        lambda e: e.column("list", column), lambda e: e.column("list", "tokens"),
    )  # fmt: skip


def _answer(
    name: str, title: str, unit: Unit, score: Values, cost: Values = _answer_cost
) -> Baseline:
    return Baseline(name, title, "answer", unit, ("forced",), score, cost)


BASELINES: dict[str, Baseline] = {
    row.name: row
    for row in (
        _stated("stated", "stated confidence"),
        _stated("expected", "expected confidence"),
        _answer(
            "likelihood",
            "answer likelihood",
            "probability",
            lambda e: np.exp(e.column("forced", "log_likelihood")),
        ),
        _answer(
            "mean_likelihood",
            "length-normalised likelihood",
            "probability",
            lambda e: np.exp(_mean_log(e)),
        ),
        _answer("perplexity", "minus perplexity", "number", lambda e: -np.exp(-_mean_log(e))),
        _answer(
            "first_entropy",
            "minus entropy of the first token",
            "nats",
            lambda e: -e.column("forced", "entropy"),
            _first_token_cost,
        ),
        _option("p_ic", "P_IC over the options"),
        _option("max_softmax", "largest option probability"),
        _query("p_true", "P(True), yes or no"),
        _query("p_true_ii", "P(True), (i) or (ii)"),
        _share("agreement", "samples that agree"),
        _share("weighted_agreement", "likelihood of samples that agree"),
        _share("modal_share", "share of the modal answer"),
        _semantic("semantic_entropy", "discrete", "minus semantic entropy"),
        _semantic("semantic_entropy_weighted", "weighted", "minus semantic entropy, weighted"),
        _listed("top_k", "listed", "listed probability of the answer"),
        _listed("top_guess", "top", "largest listed probability"),
    )
}
