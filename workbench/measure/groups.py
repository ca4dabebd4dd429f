"""Compute every measure of every group of a table of answers: what ``workbench measure`` reports.

Values are over the parsed replies of the group, accuracy and parse rate over all of them. AUROC2
has two intervals: bootstrap (``low``, ``high``) and DeLong. Recalibration is fitted on half of the
questions, chosen by a hash of their id (all rows of a question fall on one side), and scored on the
other half. What cannot be computed is NaN and named in ``notes``, never left out silently.
"""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from dataclasses import asdict, dataclass

import numpy as np
import pandas as pd

from workbench.errors import WorkbenchError
from workbench.measure.delong import delong, delong_within
from workbench.measure.discrimination import auroc2_within
from workbench.measure.interval import Estimate
from workbench.measure.log_score import CLIP
from workbench.measure.meta_d import (
    MetaD,
    meta_d_of_choices,
    meta_d_of_correctness,
    undefined_meta_d,
)
from workbench.measure.metrics import METRICS
from workbench.measure.recalibration import RECALIBRATIONS, CalibrationScore, recalibrated_scores
from workbench.measure.retrieval import gated_retrieval
from workbench.measure.table import Metric, confidence_metrics
from workbench.measure.table_file.answers import Answers
from workbench.progress import track
from workbench.settings.defaults import BINS, LEVEL, RESAMPLES

FEW = 10
MOST_BINS = 1000
MOST_RESAMPLES = 100_000
MOST_DRAWN = 1_000_000
_SCALE = "scale."


@dataclass(frozen=True)
class Settings:
    """The settings of measuring: reliability ``bins``, bootstrap ``resamples``, the intervals'
    ``level``, and the ``seed`` of all.
    """

    bins: int = BINS
    resamples: int = RESAMPLES
    level: float = LEVEL
    seed: int = 0

    def __post_init__(self) -> None:
        _check_whole("bins", self.bins, 1, MOST_BINS)
        _check_whole("resamples", self.resamples, 1, MOST_RESAMPLES)
        _check_whole("seed", self.seed, 0, 2**32 - 1)
        if not 0 < self.level < 1:
            raise WorkbenchError(
                "the level of an interval lies between 0 and 1, for example 0.95; got "
                f"{self.level:g}"
            )


@dataclass(frozen=True)
class GroupMeasures:
    """The measures of one group. ``values``: name -> Estimate, number or word; ``notes``: what is
    undefined or weak, and why.
    """

    values: dict[str, Metric]
    notes: tuple[str, ...]


def _check_whole(what: str, value: int, least: int, most: int) -> None:
    if (
        isinstance(value, bool)
        or not isinstance(value, int | np.integer)
        or not least <= value <= most
    ):
        raise WorkbenchError(
            f"{what} must be a whole number from {least} to {most:,}; got {value!r}"
        )


def measure_groups(answers: Answers, settings: Settings) -> dict[str, GroupMeasures]:
    """Return the measures of each group of ``answers``, in order of first appearance."""
    groups = answers.groups()
    return {
        name: measure_group(part, settings)
        for name, part in track(groups.items(), "measuring", len(groups))
    }


def check_patience(answers: Answers, settings: Settings) -> None:
    """Refuse so many groups that resampling each would take more than a few minutes.

    Raises:
        WorkbenchError: for so many.
    """
    groups = len(pd.unique(answers.group))
    if groups * settings.resamples > MOST_DRAWN:
        fewer = max(100, MOST_DRAWN // groups // 100 * 100)
        raise WorkbenchError(
            f"{groups:,} groups with {settings.resamples:,} resamples each would take many "
            "minutes; choose fewer groups with --by, or "
            f"say how many resamples you want with --resamples (for example {fewer}, or "
            f"{settings.resamples} to wait)."
        )


def measure_group(answers: Answers, settings: Settings) -> GroupMeasures:
    """Return the measures of ``answers`` as one group."""
    scores, labels = answers.confidence, answers.correct
    many_domains = answers.domain is not None and len(np.unique(answers.domain)) > 1
    table = confidence_metrics(
        scores,
        labels,
        answers.domain if many_domains else None,
        seed=settings.seed,
        resamples=settings.resamples,
        level=settings.level,
        bins=settings.bins,
        names=tuple(METRICS),
    )
    parsed = int((~np.isnan(scores)).sum())
    values: dict[str, Metric] = {"n": len(scores), "n_parsed": parsed}
    values |= {"scale": answers.scale, **_stated_range(scores)}
    values |= {name.removeprefix(_SCALE): value for name, value in table.items()}
    exact = delong(scores, labels, level=settings.level)
    values |= {"auroc2_delong": exact, "log_score_clip": CLIP}
    if many_domains and answers.domain is not None:
        values["auroc2_within_delong"] = delong_within(
            scores, labels, answers.domain, level=settings.level
        )
    meta = _meta_d(answers, settings.level)
    values |= {"d_prime": meta.d_prime, "meta_d": meta.meta_d, "m_ratio": meta.m_ratio}
    notes = _notes(answers, parsed, values)
    recalibrated, why = _recalibrated(answers, settings.bins)
    values |= recalibrated
    if answers.retrieved is not None:
        curve = gated_retrieval(scores, labels, answers.retrieved)
        values |= {
            "accuracy_retrieved": float(answers.retrieved.mean()),
            "retrieval_gain_mean": curve.mean_gain,
            "retrieval_gain_at_20": curve.gain_at(0.2),
            "retrieval_gain_at_50": curve.gain_at(0.5),
        }
    return GroupMeasures(values, (*notes, *why))


def _stated_range(scores: np.ndarray) -> dict[str, Metric]:
    """Return the lowest and highest confidence on 0-1, which show how the group was read."""
    parsed = scores[~np.isnan(scores)]
    low, high = (parsed.min(), parsed.max()) if len(parsed) else (np.nan, np.nan)
    return {"lowest": float(low), "highest": float(high)}


def flat(values: Mapping[str, Metric]) -> dict[str, float | str | None]:
    """Return ``values`` with ``name.low`` and ``name.high`` after each Estimate, and None for what
    is undefined or without bound.
    """
    out: dict[str, float | str | None] = {}
    for name, value in values.items():
        out.update(value.to_dict(name) if isinstance(value, Estimate) else {name: value})
    return {
        name: None if isinstance(value, float) and not np.isfinite(value) else value
        for name, value in out.items()
    }


def fitting_half(answers: Answers) -> np.ndarray:
    """Return True [n] for the questions that recalibration is fitted on: half of them, by a hash of
    the id (or of the row).
    """
    keys = np.arange(len(answers)) if answers.id is None else answers.id
    return np.array([zlib.crc32(str(key).encode()) & 1 for key in keys.tolist()], dtype=np.bool_)


def _meta_d(answers: Answers, level: float) -> MetaD:
    scores = answers.confidence
    if len(np.unique(scores[~np.isnan(scores)])) < 2:
        return undefined_meta_d(len(answers))
    if answers.stimulus is None or answers.choice is None:
        return meta_d_of_correctness(scores, answers.correct, level=level)
    known = answers.stimulus[~np.isnan(scores)]
    if known.all() or not known.any():
        return undefined_meta_d(len(answers))
    return meta_d_of_choices(answers.stimulus, answers.choice, scores, level=level)


def _recalibrated(answers: Answers, bins: int) -> tuple[dict[str, Metric], list[str]]:
    names = ("none", *RECALIBRATIONS)
    nothing = CalibrationScore(*(float("nan"),) * 3)
    why: list[str] = []
    try:
        found = recalibrated_scores(
            answers.confidence, answers.correct, fitting_half(answers), bins=bins
        )
    except WorkbenchError as error:
        found, why = dict.fromkeys(names, nothing), [f"recalibrated values are undefined: {error}."]
    flat_scores = {
        f"recalibrated.{name}.{measure}": value
        for name in names
        for measure, value in asdict(found[name]).items()
    }
    return flat_scores, why


def _notes(answers: Answers, parsed: int, values: Mapping[str, Metric]) -> list[str]:
    """Return the notes that a reader of this group's numbers must know, each once."""
    labels = answers.correct[~np.isnan(answers.confidence)]
    distinct = len(np.unique(answers.confidence[~np.isnan(answers.confidence)]))
    notes = []
    if parsed < FEW:
        notes.append(
            f"only {parsed} parsed answers: no number of so few means much, whatever its interval."
        )
    if parsed and (labels.all() or not labels.any()):
        kind = "right" if labels.all() else "wrong"
        notes.append(f"every parsed answer is {kind}: AUROC2, Pearson r and meta-d' are undefined.")
    if parsed and distinct == 1:
        notes.append(
            "one confidence throughout (ties everywhere): AUROC2 is .5 by convention, Pearson r "
            "and meta-d' undefined."
        )
    if answers.domain is not None and "auroc2_within" in values:
        names = np.unique(answers.domain)
        within = [
            d
            for d in names
            if np.isnan(auroc2_within(*_of(answers, d), np.zeros(int((answers.domain == d).sum()))))
        ]
        if within:
            notes.append(
                f"{len(within)} of {len(names)} domains hold only right or only wrong answers and "
                "are left out of the "
                "within-domain AUROC2."
            )
    return notes


def _of(answers: Answers, domain: str) -> tuple[np.ndarray, np.ndarray]:
    at = answers.domain == domain
    return answers.confidence[at], answers.correct[at]
