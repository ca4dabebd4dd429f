"""Define what every single setting must be, whatever its meaning: the base class of all groups of
settings.

Besides its bounds, no setting takes a truth value for a number, an infinite number, an empty text,
or a text that cannot be a file's name or cannot be written to a file. A list is never empty and
holds each thing once.
"""

from __future__ import annotations

import reprlib
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationInfo, field_validator
from pydantic_core import PydanticCustomError

DERIVED_SEEDS = 10_000
"""A number above the distance of any derived seed (of a training, a fold, a circle of pairs) from
its seed.
"""
LARGEST_SEED = 2**32 - 1 - DERIVED_SEEDS
"""The largest seed: NumPy takes seeds below 2 ** 32, derived ones included."""
LONGEST_TEXT = 4096
KIND = "setting"

Seed = Annotated[int, Field(ge=0, le=LARGEST_SEED)]
Bytes = Annotated[int, Field(ge=0, le=10**15)]


class Settings(BaseModel):
    """The base of all settings."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    @field_validator("*", mode="before")
    @classmethod
    def _check_plain(cls, value: Any, info: ValidationInfo) -> Any:
        annotation = cls.model_fields[str(info.field_name)].annotation
        _check(value, annotation is bool)
        return value

    @field_validator("*", mode="after")
    @classmethod
    def _check_list(cls, value: Any, info: ValidationInfo) -> Any:
        if isinstance(value, tuple):
            twice = [item for index, item in enumerate(value) if item in value[:index]]
            if twice:
                raise _wrong(f"names {shown(twice[0])} twice")
        return value


def _check(value: Any, truth: bool) -> None:
    if isinstance(value, list | tuple):
        for item in value:
            if isinstance(item, list | tuple):
                raise _wrong("must be a plain list")
            _check(item, False)
    if isinstance(value, bool) and not truth:
        raise _wrong(f"must not be {str(value).lower()}, a truth value")
    if isinstance(value, str):
        _check_text(value)


def _check_text(text: str) -> None:
    if not text.strip():
        raise _wrong("must not be empty")
    if len(text) > LONGEST_TEXT:
        raise _wrong(f"must not be longer than {LONGEST_TEXT:,} characters; this has {len(text):,}")
    if "\0" in text:
        raise _wrong(f"must not hold a null character, as {shown(text)} does")
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        raise _wrong(f"must be readable as UTF-8, as {shown(text)} is not") from None


def _wrong(what: str) -> PydanticCustomError:
    # The message is a template, in which braces would be fields.
    return PydanticCustomError(KIND, "{what}", {"what": what})


class _Short(reprlib.Repr):
    """A value as it is written in settings, cut where it is long."""

    def __init__(self) -> None:
        super().__init__()
        self.maxstring = self.maxother = self.maxlong = 60

    def repr1(self, x: Any, level: int) -> str:
        if x is None:
            return "null"
        if isinstance(x, bool):
            return str(x).lower()
        return super().repr1(x, level)


def shown(value: Any) -> str:
    """Return ``value`` as an error shows it."""
    try:
        return _Short().repr(value)
    except ValueError:  # a whole number with more digits than Python writes
        return "a number of thousands of digits"
