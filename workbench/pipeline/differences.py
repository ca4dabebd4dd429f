"""Say in words how the making of two results differed: code and libraries, settings, inputs and
arms.

The words do not show whether a difference changes a number. Everything that goes into a stage's key
is compared by its value.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

_MOST_SHOWN, _LONGEST = 6, 80


@dataclass(frozen=True)
class Origin:
    """The code and libraries that made a result."""

    code: str
    libraries: Mapping[str, str]

    @classmethod
    def read(cls, made_from: Mapping[str, Any]) -> Origin | None:
        """Read the origin that was kept with a stage; None where nothing was kept."""
        if "code" not in made_from:
            return None
        return cls(
            str(made_from["code"]),
            {str(k): str(v) for k, v in made_from.get("libraries", {}).items()},
        )

    def changes(self, now: Origin) -> list[str]:
        """Return what differs, in words."""
        found = [] if self.code == now.code else ["the workbench's own code"]
        for name in sorted(self.libraries.keys() | now.libraries.keys()):
            before, after = self.libraries.get(name, "absent"), now.libraries.get(name, "absent")
            if before != after:
                found.append(f"{name} {before} -> {after}")
        return found


def in_names_of(there: Mapping[str, Any], now: Mapping[str, Any]) -> dict[str, Any]:
    """Return a key's contents as they would be with the settings that the code of ``there`` had:
    one that only one version has belongs to the code.
    """
    return {
        part: _in_names_of(there.get(part), content) if part in ("settings", "given") else content
        for part, content in now.items()
    }


def _in_names_of(there: Any, now: Any) -> Any:
    if not isinstance(there, Mapping) or not isinstance(now, Mapping):
        return now
    return {
        name: _in_names_of(value, now[name]) if name in now else value
        for name, value in there.items()
    }


def settings_differences(there: Mapping[str, Any], now: Mapping[str, Any]) -> tuple[str, ...]:
    """Name the settings, inputs and arms that differ between two keys' contents.

    A setting that only one version of the code has belongs to the code, and is not named.

    Args:
        there: what the results in the folder were made from.
        now: what they would be made from.
    """
    found = []
    for part in ("settings", "inputs", "given"):
        before, after = dict(_flat(there.get(part))), dict(_flat(now.get(part)))
        if part not in there:
            continue
        names = (
            before.keys() | after.keys()
            if there.get("code") == now["code"]
            else before.keys() & after.keys()
        )
        for name in sorted(names):
            old, new = before.get(name), after.get(name)
            if old != new:
                found.append(
                    f"{name} changed"
                    if part == "inputs"
                    else f"{name}: {_said(old)} there, {_said(new)} now"
                )
    return tuple(found)


def _said(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False, default=str)
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}..."


def _flat(content: Any, name: str = "") -> Iterator[tuple[str, Any]]:
    if isinstance(content, Mapping) and content:
        for key, value in content.items():
            yield from _flat(value, f"{name}.{key}" if name else str(key))
    else:
        yield name, list(content) if isinstance(content, tuple) else content


def list_some(lines: Sequence[str], sign: str) -> str:
    """Join the first lines with ``sign`` and count the others."""
    more = len(lines) - _MOST_SHOWN
    return sign.join(lines[:_MOST_SHOWN]) + (f" and {more} more" if more > 0 else "")
