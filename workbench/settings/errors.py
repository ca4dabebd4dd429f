"""Say in words what is wrong with a setting: which one, what it must be, what it is, and what may
have been meant.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from workbench.settings.fields import KIND, shown

_MUST: Mapping[str, str] = {
    "int": "be a whole number",
    "float": "be a number",
    "bool": "be true or false",
    "string": "be text",
    "path": "be the path of a file",
    "tuple": "be a list, such as [a, b]",
    "model": "hold keys and values",
    "dict": "hold keys and values",
    "finite": "be a finite number",
}
"""First word of pydantic's kind of error -> what the setting must do."""


def explained(
    error: ValidationError, settings: type[BaseModel], what: str = "Configuration key"
) -> str:
    """Return the first mistake in ``error``, as one sentence; ``settings`` is the class whose keys
    were given.
    """
    details = error.errors(include_url=False)
    place = _place(details[0], settings)
    start = f"{what} {shown('.'.join(place))}"
    if details[0]["type"] == "extra_forbidden":
        return f"{start}: there is no such setting; {_meant(place, settings)}"
    own = [one for one in details if _place(one, settings) == place]
    for one in own:
        if one["type"] == KIND:
            return f"{start}: it {one['msg']}."
    quoted = isinstance(own[0]["input"], int | float) and own[0]["type"].startswith(
        ("string", "path")
    )
    return f"{start}: {_required(own)}{'; put it in quotes' if quoted else ''}."


def requirement(error: ValidationError) -> str:
    """Return what a single value must be, and what it is."""
    details = error.errors(include_url=False)
    if details[0]["type"] == "value_error":  # said by the reader of the command line, in words
        return details[0]["msg"].removeprefix("Value error, ").removesuffix(".")
    return _required(details)


def _required(details: Sequence[ErrorDetails]) -> str:
    musts = dict.fromkeys(_must(one) for one in details)
    return f"it must {' or '.join(musts)}, not {shown(details[0]['input'])}"


def _place(one: ErrorDetails, settings: type[BaseModel]) -> tuple[str, ...]:
    """Return the keys that lead to the setting, and the index in a list; without the names that
    pydantic gives to alternatives.
    """
    place: list[str] = []
    group: Any = settings
    for part in one["loc"]:
        if isinstance(part, int) or (isinstance(group, type) and issubclass(group, BaseModel)):
            place.append(str(part))
        if isinstance(part, str) and isinstance(group, type) and issubclass(group, BaseModel):
            field = group.model_fields.get(part)
            group = None if field is None else field.annotation
    return tuple(place)


def _must(one: ErrorDetails) -> str:
    kind, context = one["type"], one.get("ctx", {})
    if kind == "greater_than_equal":
        return f"be at least {_number(context['ge'])}"
    if kind == "greater_than":
        return f"be above {_number(context['gt'])}"
    if kind == "less_than_equal":
        return f"be at most {_number(context['le'])}"
    if kind == "less_than":
        return f"be below {_number(context['lt'])}"
    if kind == "too_short":
        return (
            f"hold at least {context['min_length']} "
            f"{'value' if context['min_length'] == 1 else 'values'}"
        )
    if kind == "too_long":
        return f"hold at most {context['max_length']} values"
    if kind == "literal_error":
        expected: str = context["expected"]
        return f"be {'one of ' if ' or ' in expected else ''}{expected}"
    return _MUST.get(kind.partition("_")[0], f"be right ({one['msg']})")


def _number(bound: float) -> str:
    return f"{bound:,}" if isinstance(bound, int) else f"{bound:,g}"


def _meant(place: tuple[str, ...], settings: type[BaseModel]) -> str:
    """Return a setting of a similar name, in the same group or else anywhere; or the settings of
    the group.
    """
    known = list(names(settings))
    group = ".".join(place[:-1])
    siblings = {key.rpartition(".")[2]: key for key in known if key.rpartition(".")[0] == group}
    # Of several settings of one name the one in the outermost group is meant.
    deepest_first = sorted(known, key=lambda key: -key.count("."))
    anywhere = {key.rpartition(".")[2]: key for key in deepest_first}
    # Whoever writes a dotted key into a file means a setting by its whole name.
    wanted = place[-1].rpartition(".")[2]
    for candidates, alike in ((siblings, 0.6), (anywhere, 0.75)):
        for name in difflib.get_close_matches(wanted, candidates, n=1, cutoff=alike):
            nests = (
                f", which a file writes as {nested(candidates[name])}" if "." in place[-1] else ""
            )
            return f"did you mean {candidates[name]!r}{nests}?"
    return f"{f'the settings of {group!r} are' if group else 'there are'} {', '.join(siblings)}."


def nested(key: str) -> str:
    """Return a dotted key as a file writes it: teach: {epochs: ...}."""
    first, _, rest = key.partition(".")
    return f"{first}: {'{' + nested(rest) + '}' if rest else '...'}"


def names(settings: type[BaseModel], before: str = "") -> Iterator[str]:
    """Yield all settings of a class by their dotted keys, groups too."""
    for key, field in settings.model_fields.items():
        yield f"{before}{key}"
        if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
            yield from names(field.annotation, f"{before}{key}.")
