"""Write out turns by a tokenizer's chat template. The text depends on the turns and the
configuration alone, never on the clock.

Some templates write today's date. They are given the date of the configuration instead, as
``date_string`` and through ``strftime_now`` (at midnight), so the same settings give the same
prompt on any day. Where a template knows a switch for thinking, it is off unless thinking is asked
for; no tools and no documents are passed. Templates are rendered here within bounds (see
:mod:`workbench.models.template_limits`), because transformers sets no bounds and passes the present
time to them. A tokenizer that is told so writes turns without any template
(:mod:`workbench.models.plain_turns`).

Any error inside a template becomes a :class:`WorkbenchError` that names the template and the error.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date, datetime, time
from functools import lru_cache
from pathlib import Path
from typing import Any

from jinja2 import Template
from jinja2.exceptions import TemplateSyntaxError

from workbench.errors import WorkbenchError
from workbench.models.plain_turns import beginning_mark, is_plain, write_plain
from workbench.models.template_limits import BoundedEnvironment, RefusedError
from workbench.models.turn import Turn

DEFAULT_DATE = date(2025, 1, 1)
_MOST_WRITTEN = 1024
_written: dict[tuple[Any, ...], str] = {}  # one conversation is encoded with many endings
MEND = "correct the template, or give another one (--set model.chat_template=FILE)"
SWITCHES: Mapping[bool, Mapping[str, bool]] = {
    False: {"enable_thinking": False},
    True: {"enable_thinking": True, "thinking": True},
}
"""Whether thinking is asked for -> the variables by which templates are told. Those of how much is
thought (``reasoning_effort``) are left to the template."""
THOUGHT_FIELDS = ("reasoning_content", "reasoning", "thinking")
"""The fields of a message in which templates look for what an assistant thought."""


def set_day(tokenizer: Any, day: date) -> None:
    """Let the tokenizer's template write ``day`` where it writes today's date."""
    tokenizer.chat_day = day


def day_of(tokenizer: Any) -> date:
    """Return the date that the tokenizer's template writes."""
    return getattr(tokenizer, "chat_day", DEFAULT_DATE)


def name_template(tokenizer: Any, name: str) -> None:
    """Call the tokenizer's template ``name`` in errors."""
    tokenizer.chat_name = name


def template_name(tokenizer: Any) -> str:
    """Return what errors call the tokenizer's template."""
    given = getattr(tokenizer, "chat_name", None) or getattr(tokenizer, "name_or_path", "")
    return f"the chat template of {given!r}" if given else "the model's chat template"


def write_turns(
    tokenizer: Any, turns: Sequence[Turn], *, open_reply: bool, thinking: bool = False
) -> str:
    """Return the turns as the template writes them, with its generation prompt after them if
    ``open_reply``, and told to think if ``thinking``.
    """
    if is_plain(tokenizer):
        return beginning_mark(tokenizer) + write_plain(turns)
    specials = tokenizer.special_tokens_map
    asked = (tuple(turns), open_reply, thinking)
    key = (template_text(tokenizer), str(specials), day_of(tokenizer), *asked)
    if key not in _written:
        if len(_written) >= _MOST_WRITTEN:
            _written.clear()
        _written[key] = _write(tokenizer, specials, *asked)
    return _written[key]


def _write(
    tokenizer: Any,
    specials: dict[str, Any],
    turns: Sequence[Turn],
    open_reply: bool,
    thinking: bool,
) -> str:
    environment, template = _compiled(tokenizer)
    variables = {
        **specials,
        "messages": [_message(turn) for turn in turns],
        "tools": None,
        "documents": None,
        "add_generation_prompt": open_reply,
        **SWITCHES[thinking],
        **_dates(day_of(tokenizer)),
    }
    roles = ", ".join(turn.role for turn in turns)
    try:
        return environment.rendered(template, variables, sum(len(turn.content) for turn in turns))
    except RefusedError as error:
        mend = (
            MEND
            if _alternate(turns)
            else "let user and assistant turns alternate, starting with a user turn"
        )
        raise WorkbenchError(
            f"{template_name(tokenizer)} refuses the turns ({roles}): {error}; {mend}"
        ) from error
    except Exception as error:  # a template is a foreign program: it can raise anything
        raise WorkbenchError(
            f"{template_name(tokenizer)} fails on the turns ({roles}): {said(error)}; {MEND}"
        ) from error


def _alternate(turns: Sequence[Turn]) -> bool:
    """Return whether the turns are a user's and the assistant's in turn; a system turn, which not
    every template takes, is none of these.
    """
    return [turn.role for turn in turns] == [
        ("user", "assistant")[at % 2] for at in range(len(turns))
    ]


def _message(turn: Turn) -> dict[str, str]:
    thought = {} if turn.thought is None else dict.fromkeys(THOUGHT_FIELDS, turn.thought)
    return {"role": turn.role, "content": turn.content, **thought}


def template_text(tokenizer: Any) -> str:
    """Return the source of the tokenizer's template: its only one, or of several the default.

    Raises:
        WorkbenchError: for several templates of which none is the default.
    """
    try:
        return str(tokenizer.get_chat_template())
    except (ValueError, TypeError, KeyError) as error:
        raise WorkbenchError(
            f"the tokenizer of {getattr(tokenizer, 'chat_name', None) or 'the model'!r} has no "
            "default chat template "
            f"({said(error)}): give one (--set model.chat_template=FILE)"
        ) from error


def chosen_template(tokenizer: Any, spec: str, given: Path) -> str:
    """Return the source of the template that is used in place of the default of the model ``spec``:
    a file's, or the tokenizer's own of this name.

    Raises:
        WorkbenchError: for a file that is not there or no text, and an unknown name.
    """
    own = tokenizer.chat_template if isinstance(tokenizer.chat_template, dict) else {}
    if names_template(given) and own:
        if str(given) in own:
            return str(own[str(given)])
        raise WorkbenchError(
            f"the tokenizer of {spec!r} has no chat template {str(given)!r}, but "
            f"{', '.join(sorted(own))}: choose one of them, or give the path of a Jinja file"
        )
    if not given.is_file():
        several = ""
        if names_template(given):
            several = f", and the tokenizer of {spec!r} has only one template"
        raise WorkbenchError(
            f"there is no chat template at {given}{several}: give the path of a Jinja file"
        )
    try:
        return given.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise WorkbenchError(
            f"the chat template {given} cannot be read as UTF-8 text ({error})"
        ) from error


def names_template(given: Path) -> bool:
    """Return whether ``given`` is the name of one of a tokenizer's templates: a bare word that is
    no file.
    """
    return given.name == str(given) and not given.suffix and not given.exists()


def said(error: BaseException) -> str:
    """Return an error's kind and first line."""
    lines = str(error).strip().splitlines()
    return f"{type(error).__name__}: {lines[0][:300]}" if lines else type(error).__name__


def _compiled(tokenizer: Any) -> tuple[BoundedEnvironment, Template]:
    try:
        return _compile(template_text(tokenizer))
    except WorkbenchError:
        raise
    except TemplateSyntaxError as error:
        raise WorkbenchError(
            f"{template_name(tokenizer)} has a syntax error in line {error.lineno}: "
            f"{error.message}; {MEND}"
        ) from error
    except Exception as error:  # deep nesting ends in RecursionError, MemoryError or SyntaxError
        raise WorkbenchError(
            f"{template_name(tokenizer)} cannot be compiled: {said(error)}; {MEND}"
        ) from error


@lru_cache(maxsize=32)
def _compile(source: str) -> tuple[BoundedEnvironment, Template]:
    environment = BoundedEnvironment()
    return environment, environment.compiled(source)


def _dates(day: date) -> dict[str, Any]:
    """Return a template's clock, which always shows ``day``."""
    now = datetime.combine(day, time())
    return {"date_string": now.strftime("%d %b %Y"), "strftime_now": now.strftime}
