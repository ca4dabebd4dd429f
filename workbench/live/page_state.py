"""Define what the page of the live bench keeps of what is looked at, so that it can be shown again.

The page writes it into its address, or into the widget that shows it. It names conversations,
tokens and changes; it holds no numbers, so a view that is shown again is computed again.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import Field, TypeAdapter, ValidationError

from workbench.errors import WorkbenchError
from workbench.live.requests import (
    Change,
    Index,
    Length,
    Over,
    Pair,
    Part,
    Read,
    Request,
)


class OpenedChange(Request):
    """The distribution, or a text, under one change."""

    view: Literal["outcome", "generate"]
    change: Change


class OpenedSlider(Request):
    """The readout along a direction, with the slider at ``length``, or the direction taken out."""

    view: Literal["slider"]
    layer: Index
    position: Index
    direction: Literal["probe", "difference"]
    length: Length | Literal["out"]


class PageState(Pair):
    """What is looked at.

    Attributes:
        range: the first and the last chosen token; None before one is chosen.
        layer, place, head: what the next change is made at; the last chosen token and no head alone
            where they are None.
        opened: the change that is shown.
    """

    read: Read
    component: Part
    over: Over
    range: tuple[Index, Index] | None = None
    layer: Index = 0
    place: Index | None = None
    head: Index | None = None
    opened: Annotated[OpenedChange | OpenedSlider, Field(discriminator="view")] | None = None


_STATES: TypeAdapter[PageState] = TypeAdapter(PageState)


def read_state(state: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a widget kept, checked; nothing for nothing.

    Raises:
        WorkbenchError: naming the first thing that is not as a page keeps it.
    """
    if not state:
        return {}
    try:
        found = _STATES.validate_json(json.dumps(state), strict=True)
    except (ValidationError, TypeError, ValueError) as error:
        raise WorkbenchError(
            f"This is not the state of a live bench{_place(error)}; give what a widget's 'state' "
            "holds."
        ) from None
    return found.model_dump(mode="json")


def _place(error: Exception) -> str:
    if not isinstance(error, ValidationError):
        return ""
    first = error.errors(include_url=False, include_input=False, include_context=False)[0]
    where = ".".join(str(part) for part in first["loc"])
    return f" at {where}: {first['msg']}" if where else ""
