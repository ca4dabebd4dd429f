"""Load a tokenizer as models are loaded with it: padding on the left, with the turns it is to
write.
"""

from __future__ import annotations

from datetime import date
from pathlib import Path
from typing import Any, Literal

from transformers import AutoTokenizer

from workbench.errors import WorkbenchError
from workbench.models.chat import require_chat_template
from workbench.models.chat_template import chosen_template, name_template, set_day
from workbench.models.plain_turns import use_plain_turns

Template = Literal["chat", "plain"]


def open_tokenizer(
    place: str,
    spec: str,
    chat_template: Path | None,
    template: Template,
    day: date,
    options: dict[str, Any],
) -> Any:
    """Return the tokenizer at ``place``, a folder or hub id, called ``spec`` in errors.

    Args:
        chat_template, template, day: as :func:`workbench.loading.load_model` takes them.
        options: for ``from_pretrained``.

    Raises:
        WorkbenchError: for a tokenizer without a template, or with neither a pad nor an end token.
    """
    tokenizer = AutoTokenizer.from_pretrained(place, padding_side="left", **options)
    name_template(tokenizer, spec if chat_template is None else str(chat_template))
    if template == "plain":
        use_plain_turns(tokenizer)
    elif chat_template is not None:
        tokenizer.chat_template = chosen_template(tokenizer, spec, chat_template)
    require_chat_template(tokenizer, spec)
    if tokenizer.pad_token is None:
        if tokenizer.eos_token is None:
            raise WorkbenchError(
                f"the tokenizer of {spec!r} has neither a pad nor an end token: set one in its "
                "folder"
            )
        tokenizer.pad_token = tokenizer.eos_token
    set_day(tokenizer, day)
    return tokenizer
