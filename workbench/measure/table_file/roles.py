"""Find which column plays which role: by the name a person gave, or by its usual names, never by a
guess that is not reported.

``ROLES`` is the table of what a file may hold. A role is taken from the name given for it;
otherwise from the one column among its usual names (compared without case). Two candidates for
confidence or correctness are an error: which of them was meant would change every number. For the
other roles the first usual name wins, and what was found is reported. ``label`` and ``accuracy``
are grades only in a table without a prediction; with one, a label is the right class.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from workbench.errors import WorkbenchError


@dataclass(frozen=True)
class Role:
    """A role of a column. ``names``: usual names, best first; ``alone``: those that mean it only in
    a table without a prediction.

    ``needed``: a table without it cannot be measured.
    """

    names: tuple[str, ...]
    meaning: str
    needed: bool = False
    alone: tuple[str, ...] = ()


ROLES: Mapping[str, Role] = {
    "confidence": Role(
        (
            *(
                "stated_confidence_percent",
                "confidence_percent",
                "confidence_pct",
                "stated_confidence",
                "confidence",
                "conf",
            ),
            *(
                "verbalized_confidence",
                "verbalised_confidence",
                "probability",
                "prob",
                "p_true",
                "p_correct",
            ),
        ),
        "the confidence of each answer",
        needed=True,
    ),
    "correct": Role(
        ("correct", "is_correct", "correctness", "graded_correct", "label", "accuracy"),
        "whether the answer was right (0/1, true/false, yes/no)",
        needed=True,
        alone=("label", "accuracy"),
    ),
    "id": Role(
        (
            *(
                "question_id",
                "id",
                "qid",
                "item_id",
                "item",
                "doc_id",
                "prompt_id",
                "example_id",
                "problem_id",
            ),
            *("instance_id", "sample_id"),
        ),
        "which question was asked",
    ),
    "domain": Role(
        ("domain", "subject", "category", "topic"),
        "the question's domain, for within-domain values",
    ),
    "retrieved": Role(
        ("correct_retrieved", "correct_with_retrieval", "correct_rag"),
        "whether the answer with retrieved text was right",
    ),
    "stimulus": Role(("stimulus",), "which of two alternatives was true (0/1), for meta-d'"),
    "choice": Role(("choice",), "which of two alternatives was chosen (0/1), for meta-d'"),
}
_PREDICTIONS = (
    "prediction",
    "predictions",
    "predicted",
    "predicted_label",
    "predicted_class",
    "pred",
    "preds",
    "y_pred",
)
_UNCERTAIN = (
    "uncertainty",
    "entropy",
    "semantic_entropy",
    "predictive_entropy",
    "perplexity",
    "p_wrong",
    "risk",
)


def find_columns(available: Iterable[str], given: Mapping[str, str]) -> dict[str, str]:
    """Find the columns: role -> column name. ``given`` holds the names a person chose, by role.

    Raises:
        WorkbenchError: for a name that is not there, for a needed role without a column and for two
            candidates of a needed role.
    """
    names = list(available)
    found: dict[str, str] = {}
    predictions = [name for name in names if name.lower() in _PREDICTIONS]
    for role, what in ROLES.items():
        if role in given:
            found[role] = existing(given[role], names, f"--{role}")
            continue
        usual = {name.lower(): name for name in reversed(names) if name not in given.values()}
        doubtful = [usual[name] for name in what.alone if name in usual and predictions]
        candidates = [
            usual[name] for name in what.names if name in usual and usual[name] not in doubtful
        ]
        if what.needed and len(candidates) > 1:
            raise WorkbenchError(
                f"columns {_listed(candidates)} could all be {what.meaning}; choose one with "
                f"--{role} NAME."
            )
        if candidates:
            found[role] = candidates[0]
        elif doubtful:
            raise WorkbenchError(
                f"column {doubtful[0]!r} beside {predictions[0]!r} may be the right class and not "
                f"{what.meaning}; name the grades with "
                f"--{role} NAME (--{role} {doubtful[0]} if these are they)."
            )
        elif what.needed:
            unsure = [name for name in names if role == "confidence" and name.lower() in _UNCERTAIN]
            hint = (
                f"; for uncertainties: --confidence {unsure[0]} --higher-is-less-sure"
                if unsure
                else ""
            )
            raise WorkbenchError(
                f"no column with {what.meaning} among {_listed(names)}; name it with --{role} NAME "
                f"(usual names: {', '.join(what.names)}){hint}."
            )
    return found


def existing(wanted: str, names: list[str], option: str, kind: str = "column") -> str:
    """Return ``wanted``, which must be one of ``names`` (of columns or groups).

    Raises:
        WorkbenchError: otherwise; it lists the names and the closest one.
    """
    if wanted in names:
        return wanted
    close = difflib.get_close_matches(wanted, names, n=1, cutoff=0.6)
    hint = f"; did you mean {close[0]!r}?" if close else "."
    raise WorkbenchError(f"{option}: there is no {kind} {wanted!r} among {_listed(names)}{hint}")


def _listed(names: list[str], limit: int = 12) -> str:
    shown = ", ".join(repr(name) for name in names[:limit])
    return shown if len(names) <= limit else f"{shown} and {len(names) - limit} more"
