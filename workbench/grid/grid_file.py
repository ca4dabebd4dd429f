"""Define what a grid file may say: its axes, the combinations that are left out, and the settings
that all cells share.

An axis is a list; each of its entries is a plain value or has a ``name``, a value and ``set``, the
settings that come with it. Unknown keys are refused, and so are two entries of one name.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import Any

from pydantic import Field, ValidationError, field_validator, model_validator

from workbench.errors import WorkbenchError
from workbench.files.names import check_name
from workbench.settings.errors import explained
from workbench.settings.fields import Seed, Settings
from workbench.settings.file import put_value, read_settings_file

LOOP = "loop"
"""The recipe of ``workbench run``."""
_PLAIN = re.compile(r"[^A-Za-z0-9.-]+")


def plain_name(value: str) -> str:
    """Return what is left of a model's id, a file's path or a name as part of a folder's name."""
    last = value.replace("\\", "/").rstrip("/").rpartition("/")[2]
    return _PLAIN.sub("-", last).strip("-.") or "unnamed"


def _named(entry: Any, key: str) -> Any:
    """Return an entry of an axis, with a name made of its value where it has none."""
    if isinstance(entry, str):
        entry = {key: entry}
    if isinstance(entry, Mapping) and "name" not in entry and isinstance(entry.get(key), str):
        value = entry[key]
        stem = Path(value).stem if key == "source" and Path(value).suffix else value
        return {"name": plain_name(stem), **entry}
    return entry


class Entry(Settings):
    """The base of an entry of an axis: its name in cells and tables, and settings that come with it
    (dotted or nested keys).
    """

    name: str
    set: dict[str, Any] = Field(default_factory=dict)

    @field_validator("name")
    @classmethod
    def _check_name(cls, name: str) -> str:
        if plain_name(name) != name:
            raise ValueError("a name has letters, digits, '.' and '-' alone")
        return check_name(name, "the name")


class ModelEntry(Entry):
    """A model of the axis ``models``; ``model`` is what ``workbench run --model`` takes."""

    model: str


class QuestionsEntry(Entry):
    """A question set of the axis ``questions``; ``source`` is what ``workbench run --questions``
    takes.
    """

    source: str


class RecipeEntry(Entry):
    """A recipe of the axis ``recipes``: ``loop`` for ``workbench run``, else one of ``workbench
    teach`` with some of its arms; none for its default ones.
    """

    recipe: str
    arms: tuple[str, ...] = ()


class SettingsEntry(Entry):
    """A named change of settings, of the axis ``settings``."""


class SeedRange(Settings):
    """Neighbouring seeds: ``count`` from ``first`` on."""

    first: Seed = 0
    count: int = Field(ge=1, le=10_000)


class Exclusion(Settings):
    """Names on some axes; cells that have all of them are left out."""

    model: str | None = None
    questions: str | None = None
    recipe: str | None = None
    settings: str | None = None
    seed: Seed | None = None

    def named(self) -> dict[str, str | int]:
        """Return the axes that it names."""
        return {key: value for key, value in self.model_dump().items() if value is not None}


class GridFile(Settings):
    """Everything that decides which cells a grid has.

    Attributes:
        common: settings of all cells, which an entry of an axis may change.
        measures: patterns of the summary keys on the page; all keys are in the table.
    """

    models: tuple[ModelEntry, ...] = Field(
        (ModelEntry(name="default", model="default"),), min_length=1
    )
    questions: tuple[QuestionsEntry, ...] = Field(
        (QuestionsEntry(name="builtin", source="builtin"),), min_length=1
    )
    recipes: tuple[RecipeEntry, ...] = Field((RecipeEntry(name=LOOP, recipe=LOOP),), min_length=1)
    settings: tuple[SettingsEntry, ...] = ()
    seeds: SeedRange | tuple[Seed, ...] = (0,)
    exclude: tuple[Exclusion, ...] = ()
    common: dict[str, Any] = Field(default_factory=dict)
    measures: tuple[str, ...] = (
        "auroc2.probe.before",
        "auroc2.stated.before",
        "auroc2.expected.before",
        "auroc2.stated.after",
        "auroc2.expected.after",
        "gain.auroc2.*",
        "ece.expected.after",
        "patching.layer_gradient",
        "patching.shift.last_layer",
    )

    @model_validator(mode="before")
    @classmethod
    def _name_plain_values(cls, data: Any) -> Any:
        if not isinstance(data, Mapping):
            return data
        seeds = data.get("seeds")
        if isinstance(seeds, Mapping) and (not {"count"} <= set(seeds) <= {"first", "count"}):
            raise ValueError("seeds are a list, or first and count, as {first: 0, count: 10}")
        keys = {"models": "model", "questions": "source", "recipes": "recipe"}
        return {
            axis: [_named(one, keys[axis]) for one in value]
            if axis in keys and isinstance(value, list)
            else value
            for axis, value in data.items()
        }

    @property
    def all_seeds(self) -> tuple[int, ...]:
        """The seeds one by one."""
        if isinstance(self.seeds, SeedRange):
            return tuple(range(self.seeds.first, self.seeds.first + self.seeds.count))
        return self.seeds

    @model_validator(mode="after")
    def _check_names(self) -> GridFile:
        if not self.all_seeds:
            raise ValueError("the axis seeds names no seed")
        for axis in ("models", "questions", "recipes", "settings"):
            names = [entry.name for entry in getattr(self, axis)]
            twice = next((name for i, name in enumerate(names) if name in names[:i]), None)
            if twice is not None:
                raise ValueError(
                    f"two entries of the axis {axis} have the name {twice!r}; give one of them "
                    "another 'name'"
                )
        return self


def read_grid(path: Path, changes: Mapping[str, Any] = MappingProxyType({})) -> GridFile:
    """Read a grid file, YAML or JSON.

    Args:
        changes: dotted keys of the file and the values that take the place of its own.

    Raises:
        WorkbenchError: naming the key, for unknown keys and values that cannot be.
    """
    content = read_settings_file(path)
    for key, value in changes.items():
        put_value(content, key.split("."), value, partial(_no_keys, key))
    try:
        return GridFile.model_validate(content)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        if first["type"] == "value_error":
            said = first["msg"].removeprefix("Value error, ")
            place = ".".join(str(part) for part in first["loc"])
            raise WorkbenchError(
                f"The grid file {path}: {f'{place}: ' if place else ''}{said}."
            ) from error
        raise WorkbenchError(explained(error, GridFile, "Grid key")) from error


def _no_keys(key: str, held: str) -> str:
    return f"--set {key}: {held} has no keys in the grid file; give all of it."
