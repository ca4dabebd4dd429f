"""Read what a person writes as settings into plain values: a YAML or JSON file, or the value of one
``--set key=value``.

Words mean what they say, by the core schema of YAML 1.2, which JSON is a part of: ``true`` and
``false`` are the only truth values, ``010`` is ten, ``1:30`` and ``yes`` are text, ``5e-5`` is a
number. A key that occurs twice, unlimited nesting, aliases that expand without limit, numbers of
hundreds of digits and files that are no settings are refused with their line.
"""

from __future__ import annotations

import re
import stat
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import yaml

from workbench.errors import WorkbenchError

MOST_BYTES = 200_000
MOST_DEPTH = 16
MOST_VALUES = 20_000
MOST_DIGITS = 300
_TAG = "tag:yaml.org,2002:"


class _Refused(yaml.YAMLError):
    """The error of a refused file: what is wrong and where, in words for a person."""

    def __init__(self, what: str, mark: Any) -> None:
        super().__init__(f"line {mark.line + 1}: {what}")


class _Loader(yaml.SafeLoader):
    """The safe loader with YAML 1.2's plain words, bounded, each key once."""

    yaml_implicit_resolvers: dict[str, Any] = {}  # noqa: RUF012 (declared so by PyYAML)

    def __init__(self, text: bytes | str) -> None:
        super().__init__(text)
        self._depth = self._deepest = self._values = 0
        self._unfolded: dict[int, tuple[int, int]] = {}

    def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node | None:
        """Return a node of the text. Its depth and size are counted with its aliases expanded."""
        event = self.peek_event()
        if isinstance(event, yaml.AliasEvent):
            node = super().compose_node(parent, index)
            if id(node) not in self._unfolded:
                raise _Refused(f"*{event.anchor} is inside of what it repeats", event.start_mark)
            values, height = self._unfolded[id(node)]
            self._count(values, self._depth + 1 + height, event.start_mark)
            return node
        if event.tag is not None:
            raise _Refused(
                f"the tag {event.tag!r} is not used here; write the value alone", event.start_mark
            )
        before, deepest = self._values, self._deepest
        self._depth += 1
        self._deepest = self._depth
        self._count(1, self._depth, event.start_mark)
        node = super().compose_node(parent, index)
        self._unfolded[id(node)] = self._values - before, self._deepest - self._depth
        self._deepest = max(deepest, self._deepest)
        self._depth -= 1
        return node

    def _count(self, values: int, depth: int, mark: Any) -> None:
        self._values += values
        self._deepest = max(self._deepest, depth)
        if depth > MOST_DEPTH:
            raise _Refused(f"values are nested more than {MOST_DEPTH} deep", mark)
        if self._values > MOST_VALUES:
            raise _Refused(f"there are more than {MOST_VALUES:,} values", mark)

    def compose_mapping_node(self, anchor: Any) -> yaml.MappingNode:
        """Return a mapping whose keys are words, each of which occurs once."""
        node: yaml.MappingNode = super().compose_mapping_node(anchor)
        seen = set()
        for key, _ in node.value:
            if not isinstance(key, yaml.ScalarNode) or key.tag not in (
                f"{_TAG}str",
                f"{_TAG}merge",
            ):
                what = (
                    repr(key.value) if isinstance(key, yaml.ScalarNode) else "a list or a mapping"
                )
                raise _Refused(f"the name of a setting is a word, not {what}", key.start_mark)
            if key.value in seen:
                raise _Refused(f"{key.value!r} is given twice", key.start_mark)
            seen.add(key.value)
        return node


def _resolve(tag: str, pattern: str, first: Sequence[str]) -> None:
    _Loader.add_implicit_resolver(f"{_TAG}{tag}", re.compile(f"(?:{pattern})$"), list(first))


_DIGITS = list("-+0123456789")
_resolve("bool", "true|True|TRUE|false|False|FALSE", "tTfF")
_resolve("int", "[-+]?[0-9]+", _DIGITS)
_resolve("float", r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?", [*_DIGITS, "."])
_resolve("float", r"[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)", "-+.")
_resolve("null", "~|null|Null|NULL|", ["~", "n", "N", ""])
_resolve("merge", "<<", "<")


def _number(loader: _Loader, node: yaml.ScalarNode) -> int | float:
    text = node.value
    if len(text) > MOST_DIGITS:
        raise _Refused(f"a number of {len(text):,} digits is no setting", node.start_mark)
    if node.tag == f"{_TAG}int":
        return int(text)
    return float(text.lower().replace(".inf", "inf").replace(".nan", "nan"))


def _text(loader: _Loader, node: yaml.ScalarNode) -> str:
    """Return a text; a character that JSON writes as two halves is put together."""
    if any("\ud800" <= character <= "\udfff" for character in node.value):
        return node.value.encode("utf-16", "surrogatepass").decode("utf-16", "surrogatepass")
    return str(node.value)


_Loader.add_constructor(f"{_TAG}int", _number)
_Loader.add_constructor(f"{_TAG}float", _number)
_Loader.add_constructor(f"{_TAG}str", _text)


def read_settings_file(path: Path) -> dict[str, Any]:
    """Read the keys and values of a YAML or JSON file.

    Raises:
        WorkbenchError: naming the file, and the line where there is one.
    """
    where = f"Cannot read the configuration file {_path(path)}"
    try:
        mode = path.stat().st_mode
        content = b""
        if stat.S_ISREG(mode):
            with path.open("rb") as file:
                content = file.read(MOST_BYTES + 1)
    except FileNotFoundError as error:
        raise WorkbenchError(f"{where}: there is no such file.") from error
    except OSError as error:
        raise WorkbenchError(f"{where}: {error.strerror}.") from error
    except ValueError as error:  # a null character in the path
        raise WorkbenchError(f"{where}: {error}.") from error
    if not stat.S_ISREG(mode):
        raise WorkbenchError(
            f"{where}: it is {'a folder' if stat.S_ISDIR(mode) else 'not a file'}; give a YAML or "
            "JSON file."
        )
    if len(content) > MOST_BYTES:
        raise WorkbenchError(
            f"{where}: it is larger than {MOST_BYTES:,} bytes, so these are no settings."
        )
    try:
        data = _read(content)
    except yaml.YAMLError as error:
        raise WorkbenchError(f"{where}: {_problem(error)}.") from error
    if data is None:
        return {}
    if not isinstance(data, dict):
        raise WorkbenchError(
            f"The configuration file {_path(path)} must hold keys and values, such as 'seed: 1'."
        )
    return data


def read_assignments(given: Sequence[str]) -> dict[str, Any]:
    """Read ``--set key=value`` options as dotted keys and values.

    Raises:
        WorkbenchError: for what is no assignment, and for a setting that is given twice, alone or
            as part of another.
    """
    out: dict[str, Any] = {}
    for assignment in given:
        shown = _shortened(assignment)
        key, equals, value = assignment.partition("=")
        if not equals or not all(part.strip() for part in key.split(".")):
            raise WorkbenchError(
                f"--set {shown} must read key=value, for example --set teach.epochs=2."
            )
        key = key.strip()
        for other in out:
            if key == other:
                raise WorkbenchError(f"--set gives {_shortened(key)} twice; give it once.")
            if f"{key}.".startswith(f"{other}.") or f"{other}.".startswith(f"{key}."):
                raise WorkbenchError(
                    f"--set gives {_shortened(key)} and {_shortened(other)}, of which one is part "
                    "of the other; give one."
                )
        if len(value) > MOST_BYTES:
            raise WorkbenchError(
                f"--set {shown}: the value is longer than {MOST_BYTES:,} characters."
            )
        try:
            out[key] = _read(value)
        except _Refused as error:
            raise WorkbenchError(f"--set {shown}: {_problem(error)}.") from error
        except yaml.YAMLError as error:
            raise WorkbenchError(
                f"--set {shown}: the value is not readable as YAML; quote it."
            ) from error
    return out


def put_value(
    content: dict[str, Any], path: Sequence[str], value: Any, refusal: Callable[[str], str]
) -> None:
    """Put a value at nested keys of ``content``, in mappings that are made if missing.

    Args:
        refusal: gives the error's words for the dotted key on the path that has no keys.

    Raises:
        WorkbenchError: where the path goes through a value that has no keys.
    """
    for depth, part in enumerate(path[:-1]):
        content = content.setdefault(part, {})
        if not isinstance(content, dict):
            raise WorkbenchError(refusal(".".join(path[: depth + 1])))
    content[path[-1]] = value


def _read(content: bytes | str) -> Any:
    loader = _Loader(content)
    try:
        return loader.get_single_data()
    finally:
        loader.dispose()


def _problem(error: yaml.YAMLError) -> str:
    """Return what PyYAML or a check above says is wrong, in one line."""
    if isinstance(error, yaml.MarkedYAMLError):
        mark = error.problem_mark or error.context_mark
        line = "" if mark is None else f"line {mark.line + 1}: "
        return f"{line}{error.problem or error.context}"
    if isinstance(error, yaml.reader.ReaderError):
        return f"at byte {error.position} is what no YAML file holds ({error.reason})"
    return str(error)


def _path(path: Path, most: int = 500) -> str:
    text = str(path)
    return text if len(text) <= most else f"{text[:60]}..."


def _shortened(text: str, most: int = 80) -> str:
    return repr(text if len(text) <= most else f"{text[:most]}...")
