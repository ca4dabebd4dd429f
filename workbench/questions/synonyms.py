"""List other names for the fields of a question, because an optional field that is silently ignored
changes what is asked.

``NAMES`` is the one table: for each field its usual names elsewhere. A name among them, or a near
spelling of a field, is refused with the rename it needs, unless the field itself is there too.
Names that mean the opposite need their values negated.
"""

from __future__ import annotations

import difflib
from collections.abc import Collection, Mapping
from functools import lru_cache

FIELDS = (
    "question",
    "answers",
    "id",
    "domain",
    "source",
    "licence",
    "kind",
    "answerable",
    "options",
)
NAMES: Mapping[str, tuple[str, ...]] = {
    "question": (
        "prompt",
        "query",
        "question_text",
        "question_stem",
        "stem",
        "problem",
        "goal",
        "input",
        "text",
    ),
    "answers": (
        *(
            "answer",
            "gold",
            "golds",
            "gold_answer",
            "gold_answers",
            "target",
            "targets",
            "reference_answer",
            "reference_answers",
        ),
        *(
            "accepted_answers",
            "correct_answer",
            "correct_answers",
            "best_answer",
            "possible_answers",
            "aliases",
            "answer_aliases",
        ),
        *("answer_key", "answerkey", "solution", "label"),
    ),
    "id": (
        "question_id",
        "qid",
        "uid",
        "item_id",
        "doc_id",
        "example_id",
        "sample_id",
        "prompt_id",
        "problem_id",
    ),
    "domain": ("subject", "subjects", "category", "categories", "topic", "topics", "subject_name"),
    "source": ("dataset", "dataset_name", "data_source"),
    "licence": ("license", "licenses", "licences"),
    "kind": ("question_type", "answer_type", "question_kind"),
    "answerable": ("is_answerable", "has_answer"),
    "options": (
        *(
            "option",
            "choice",
            "choices",
            "answer_choices",
            "answer_options",
            "multiple_choice_options",
            "mc_options",
        ),
        *(
            "candidates",
            "alternatives",
            "distractor",
            "distractors",
            "incorrect_answers",
            "wrong_answers",
            "endings",
        ),
    ),
}
OPPOSITE: Mapping[str, tuple[str, ...]] = {
    "answerable": ("unanswerable", "is_unanswerable", "is_impossible", "impossible", "no_answer"),
}
_NEAR = 0.85
_FIELD_OF = {name: field for field, names in NAMES.items() for name in names}
_OPPOSITE_OF = {name: field for field, names in OPPOSITE.items() for name in names}


def misnamed(found: Collection[str]) -> tuple[str, str, str] | None:
    """Return the first of the names ``found`` that means a field which is not among them: field,
    name, and what to do.
    """
    return _misnamed(tuple(map(str, found)))


@lru_cache(maxsize=256)
def _misnamed(found: tuple[str, ...]) -> tuple[str, str, str] | None:
    for name in found:
        if name in FIELDS:
            continue
        plain = name.strip().lower().replace(" ", "_").replace("-", "_")
        if plain in _OPPOSITE_OF and _OPPOSITE_OF[plain] not in found:
            field = _OPPOSITE_OF[plain]
            return field, name, f"rename {name!r} to '{field}' and turn its values round"
        near = difflib.get_close_matches(plain, FIELDS, n=1, cutoff=_NEAR)
        named = _FIELD_OF.get(plain) or (near[0] if near else None)
        if named is not None and named not in found:
            return named, name, f"rename {name!r} to '{named}'"
    return None
