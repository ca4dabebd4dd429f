"""Define the configuration of a run: typed, frozen, unknown keys refused, written next to every
result.

:func:`resolve` is the one rule of precedence. What a person writes, on the command line or in a
file, beats an arm of a recipe; the arm beats the recipe; the recipe beats the package. The command
line beats a file. A value counts as written even where it is the default, so a file that lists
every setting leaves nothing to recipes and arms. After :func:`resolve` every value is explicit, and
its origin is known (``workbench settings --why``).
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from enum import IntEnum
from functools import partial
from pathlib import Path
from typing import Any

from pydantic import Field, ValidationError

from workbench.errors import WorkbenchError
from workbench.settings.asking import ElicitSettings
from workbench.settings.defaults import RESAMPLES
from workbench.settings.errors import explained, names
from workbench.settings.fields import Seed, Settings
from workbench.settings.file import put_value, read_settings_file
from workbench.settings.groups import (
    AttributionSettings,
    MeasureSettings,
    ModelSettings,
    PatchSettings,
    ProbeConfig,
    QuestionSettings,
)
from workbench.settings.teaching import HeadSettings, LoraSettings, TeachSettings

__all__ = [
    "AttributionSettings",
    "ElicitSettings",
    "HeadSettings",
    "LoraSettings",
    "MeasureSettings",
    "ModelSettings",
    "PatchSettings",
    "ProbeConfig",
    "QuestionSettings",
    "Resolved",
    "RunConfig",
    "SetBy",
    "TeachSettings",
    "UserSettings",
    "dump_config",
    "load_config",
    "resolve",
    "user_settings",
    "with_arm",
    "with_recipe",
]


class RunConfig(Settings):
    """Everything that decides a run's results."""

    model: ModelSettings = ModelSettings()
    questions: QuestionSettings = QuestionSettings()
    elicit: ElicitSettings = ElicitSettings()
    probe: ProbeConfig = ProbeConfig()
    teach: TeachSettings = TeachSettings()
    patch: PatchSettings = PatchSettings()
    attribution: AttributionSettings = AttributionSettings()
    measure: MeasureSettings = MeasureSettings()
    bootstrap_resamples: int = Field(
        RESAMPLES, ge=100, le=10**6, description="bootstrap resamples of every interval"
    )
    seed: Seed = 0
    trainings: int = Field(
        1,
        ge=1,
        le=1000,
        description="trainings of the main loop, with the seeds from seed on, on the same answers "
        "and targets",
    )


class SetBy(IntEnum):
    """The origin of a value; a later one in this list beats an earlier one."""

    PACKAGE = 0
    RECIPE = 1
    ARM = 2
    FILE = 3
    COMMAND_LINE = 4

    @property
    def shown(self) -> str:
        """The origin as ``workbench settings --why`` prints it."""
        return "--set" if self is SetBy.COMMAND_LINE else self.name.lower()

    @property
    def by_user(self) -> bool:
        """Whether a person wrote the value."""
        return self >= SetBy.FILE


@dataclass(frozen=True)
class UserSettings:
    """The settings a person wrote.

    Attributes:
        file: nested keys and values, as a file holds them.
        assigned: dotted keys and values of the command line.
    """

    file: Mapping[str, Any] = field(default_factory=dict)
    assigned: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Resolved:
    """A configuration in which every value is explicit, and who gave each.

    Attributes:
        origins: by the dotted key of every single setting.
    """

    config: RunConfig
    origins: Mapping[str, SetBy]

    def values(self) -> Iterator[tuple[str, Any, SetBy]]:
        """Yield (dotted key, value as JSON takes it, origin) of every setting."""
        whole = self.config.model_dump(mode="json")
        for key, origin in self.origins.items():
            value: Any = whole
            for part in key.split("."):
                value = value[part]
            yield key, value, origin


def resolve(
    defaults: RunConfig,
    recipe: Mapping[str, Any],
    arm: Mapping[str, Any],
    user: UserSettings,
) -> Resolved:
    """Decide every setting: the user's value, else the arm's, else the recipe's, else the default.

    Args:
        recipe: dotted keys and values of a recipe, or of an experiment.
        arm: nested keys and values of an arm's ``teach``.

    Raises:
        WorkbenchError: naming the key, for unknown keys and values out of range.
    """
    start = Resolved(defaults, dict.fromkeys(_keys(), SetBy.PACKAGE))
    found = _put(start, _dotted(recipe), SetBy.RECIPE)
    found = _put(found, _leaves({"teach": arm}), SetBy.ARM)
    # A file may name a group and put nothing into it.
    file = (
        (path, value)
        for path, value in _leaves(user.file)
        if value is not None or ".".join(path) not in _groups()
    )
    found = _put(found, file, SetBy.FILE)
    return _put(found, _dotted(user.assigned), SetBy.COMMAND_LINE)


def with_arm(resolved: Resolved, arm: Mapping[str, Any]) -> Resolved:
    """Put an arm's training settings where the user wrote nothing.

    Args:
        arm: nested keys and values of the arm's ``teach``.
    """
    return _put(resolved, _leaves({"teach": arm}), SetBy.ARM)


def with_recipe(resolved: Resolved, recipe: Mapping[str, Any]) -> Resolved:
    """Put a recipe's or an experiment's settings where neither an arm nor the user wrote anything.

    Args:
        recipe: dotted keys and values.
    """
    return _put(resolved, _dotted(recipe), SetBy.RECIPE)


def user_settings(
    path: Path | None = None, assigned: Mapping[str, Any] | None = None
) -> UserSettings:
    """Read what a person wrote: a YAML or JSON file, and dotted keys of the command line.

    Raises:
        WorkbenchError: naming a file that cannot be read.
    """
    return UserSettings({} if path is None else read_settings_file(path), dict(assigned or {}))


def load_config(path: Path | None = None, assigned: Mapping[str, Any] | None = None) -> RunConfig:
    """Read settings of a run without a recipe: ``assigned`` dotted keys, else a YAML or JSON file,
    else the defaults.

    Raises:
        WorkbenchError: naming the file or key, for unreadable files, unknown keys and values out of
            range.
    """
    return resolve(RunConfig(), {}, {}, user_settings(path, assigned)).config


def dump_config(config: Settings) -> str:
    """Write the settings as indented JSON."""
    return json.dumps(config.model_dump(mode="json"), indent=2, sort_keys=True)


Keys = tuple[str, ...]


def _put(resolved: Resolved, values: Any, by: SetBy) -> Resolved:
    """Put ``values``, pairs of a path and a value, where no origin of higher rank gave one.

    Raises:
        WorkbenchError: for unknown keys and values out of range.
    """
    data, origins = resolved.config.model_dump(mode="json"), dict(resolved.origins)
    for path, value in values:
        key = ".".join(path)
        if origins.get(key, by) > by or (value == {} and key in _groups()):
            continue
        put_value(data, path, value, partial(_no_keys, path))
        if key in origins:
            origins[key] = by
    try:
        return replace(resolved, config=RunConfig.model_validate(data), origins=origins)
    except ValidationError as error:
        raise WorkbenchError(explained(error, RunConfig)) from error


def _no_keys(path: Keys, held: str) -> str:
    return f"Configuration key {held!r} holds a value, so {'.'.join(path)!r} cannot be set in it."


def _dotted(values: Mapping[str, Any]) -> Iterator[tuple[Keys, Any]]:
    """Yield the single settings of dotted keys, whose values may be whole groups."""
    for key, value in values.items():
        path = tuple(key.split("."))
        if isinstance(value, Mapping):
            yield from _leaves(value, path)
        else:
            yield path, value


def _leaves(data: Mapping[str, Any], before: Keys = ()) -> Iterator[tuple[Keys, Any]]:
    """Yield the single settings of nested keys."""
    for key, value in data.items():
        if isinstance(value, Mapping) and value:
            yield from _leaves(value, (*before, key))
        else:
            yield (*before, key), value


def _keys() -> list[str]:
    """Return the dotted keys of all single settings."""
    return [key for key in names(RunConfig) if key not in _groups()]


def _groups() -> set[str]:
    found = list(names(RunConfig))
    return {key.rpartition(".")[0] for key in found} - {""}
