"""Define what the page may ask of the live bench, and how much of it.

Everything that comes from the page is read through these models: unknown keys are refused, texts,
tokens and cells are bounded. What a request names is looked up by the session; nothing in it is a
path, a name of code, or markup.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from workbench.errors import WorkbenchError

MOST_BYTES = 200_000
"""Of a request."""
MOST_CHARACTERS = 20_000
MOST_TOKENS = 1024
"""Of one conversation."""
MOST_POSITIONS = 64
"""Of a grid."""
MOST_GENERATED = 32
MOST_LENGTHS = 17

Which = Literal["base", "tuned"]
Part = Literal[
    "resid_pre", "resid_mid", "resid_post", "attn_out", "mlp_in", "mlp_out",
    "heads", "queries", "keys", "values",
]  # fmt: skip
Over = Literal["position", "head", "component"]
Index = Annotated[int, Field(ge=0, lt=1_000_000)]
Length = Annotated[float, Field(ge=-100, le=100, allow_inf_nan=False)]


class Request(BaseModel):
    """A part of what the page asks, or keeps: no unknown keys, and nothing to change."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class SaidTurn(Request):
    """A turn of a chat."""

    role: Literal["system", "user", "assistant"]
    content: Annotated[str, Field(max_length=MOST_CHARACTERS)]


class TextPrompt(Request):
    """A text as it is, run by one of the models."""

    kind: Literal["text"]
    text: Annotated[str, Field(min_length=1, max_length=MOST_CHARACTERS)]
    model: Which = "base"


class ChatPrompt(Request):
    """Chat turns; a last turn of the assistant is continued."""

    kind: Literal["chat"]
    turns: Annotated[tuple[SaidTurn, ...], Field(min_length=1, max_length=16)]
    model: Which = "base"


class QuestionPrompt(Request):
    """A question of the run, with the answer given, up to its confidence position."""

    kind: Literal["question"]
    question: Index
    model: Which = "base"


Side = Annotated[TextPrompt | ChatPrompt | QuestionPrompt, Field(discriminator="kind")]


class Pair(Request):
    """The conversation that is patched, and the one whose states are put into it."""

    base: Side
    donor: Side


class TextsRead(Request):
    """The logit of the first text minus that of the second, or the log-probability of the first."""

    kind: Literal["texts"]
    first: Annotated[str, Field(min_length=1, max_length=200)]
    second: Annotated[str, Field(min_length=1, max_length=200)] | None = None


class ScaleRead(Request):
    """The expected confidence on a format's scale; the run's own if none is named."""

    kind: Literal["scale"]
    format: Annotated[str, Field(max_length=80)] | None = None


Read = Annotated[TextsRead | ScaleRead, Field(discriminator="kind")]


class Swap(Request):
    """The donor's state replaces the patched run's own."""

    kind: Literal["swap"]
    layer: Index
    position: Index
    component: Part = "resid_post"
    head: Index | None = None


class Steer(Request):
    """A direction, ``length`` units long, is added."""

    kind: Literal["steer"]
    layer: Index
    position: Index
    direction: Literal["probe", "difference"]
    length: Length


class Project(Request):
    """What lies along a direction is taken out."""

    kind: Literal["project"]
    layer: Index
    position: Index
    direction: Literal["probe", "difference"]


Change = Annotated[Swap | Steer | Project, Field(discriminator="kind")]


class TokensView(Request):
    """The tokens of both conversations, and which belong together."""

    view: Literal["tokens"]
    pair: Pair


class CurveView(Request):
    """All layers at one token, with controls."""

    view: Literal["curve"]
    pair: Pair
    read: Read
    position: Index
    component: Part = "resid_post"


class GridView(Request):
    """Layers by tokens, or by heads or components of the tokens patched together."""

    view: Literal["grid"]
    pair: Pair
    read: Read
    positions: Annotated[tuple[Index, ...], Field(min_length=1, max_length=MOST_POSITIONS)]
    over: Over = "position"
    component: Part = "resid_post"


class OutcomeView(Request):
    """The distribution before and after one change."""

    view: Literal["outcome"]
    pair: Pair
    read: Read
    change: Change


class SliderView(Request):
    """The readout along a direction, at several lengths, and without it."""

    view: Literal["slider"]
    pair: Pair
    read: Read
    layer: Index
    position: Index
    direction: Literal["probe", "difference"]
    lengths: Annotated[tuple[Length, ...], Field(min_length=1, max_length=MOST_LENGTHS)]


class GenerateView(Request):
    """A short greedy continuation with and without one change."""

    view: Literal["generate"]
    pair: Pair
    change: Change
    tokens: Annotated[int, Field(ge=1, le=MOST_GENERATED)] = 16


View = TokensView | CurveView | GridView | OutcomeView | SliderView | GenerateView
_VIEWS: TypeAdapter[View] = TypeAdapter(Annotated[View, Field(discriminator="view")])


def read_view(body: bytes) -> View:
    """Return the view that a request's JSON asks for.

    Raises:
        WorkbenchError: naming the first thing that is not as it should be.
    """
    try:
        return _VIEWS.validate_json(body, strict=True)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False, include_context=False)[0]
        where = ".".join(str(part) for part in first["loc"]) or "the request"
        raise WorkbenchError(f"The request cannot be read at {where}: {first['msg']}.") from None
