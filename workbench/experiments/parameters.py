"""Hold what an experiment lets a person choose, typed, besides the settings of its run.

A parameter is given as ``name=value``, as a setting is (``model.name=...``): a name that the
experiment's parameters have is a parameter, any other a setting. No parameter may therefore be
named like a group of settings. A list is written with commas, ``lengths=0.5,1``, or as YAML
writes it, ``lengths=[0.5, 1]``.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Self, get_origin

from pydantic import ValidationError

from workbench.errors import WorkbenchError
from workbench.settings.errors import explained
from workbench.settings.fields import Settings
from workbench.settings.file import read_assignments

NONE = "none"
"""The value of a parameter that names a run or a model, where none is used."""


class Parameters(Settings):
    """The base of every experiment's parameters; an experiment without any uses it as it is."""

    def replace(self, given: Mapping[str, Any]) -> Self:
        """Return the same parameters with the ``given`` values, checked, in place of the old ones.

        Raises:
            WorkbenchError: naming the parameter, for unknown names and values out of range.
        """
        kind = type(self)
        whole = {**self.model_dump(), **{name: kind.read(name, given[name]) for name in given}}
        try:
            return kind.model_validate(whole)
        except ValidationError as error:
            raise WorkbenchError(explained(error, kind, "Parameter")) from error

    @classmethod
    def read(cls, name: str, value: Any) -> Any:
        """Split the value of a list at its commas; leave others as they are."""
        field = cls.model_fields.get(name)
        if field is None or get_origin(field.annotation) is not tuple:
            return value
        if isinstance(value, str):
            return tuple(read_assignments([f"{name}={part}"])[name] for part in value.split(","))
        return () if value is None else value if isinstance(value, list | tuple) else (value,)


def split_assignments(
    kind: type[Parameters], given: Mapping[str, Any]
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Split what was given by name into parameters of this ``kind`` and settings of the run."""
    own = {name: value for name, value in given.items() if name in kind.model_fields}
    return own, {name: value for name, value in given.items() if name not in own}
