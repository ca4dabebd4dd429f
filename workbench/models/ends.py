"""Find the tokens that end a turn."""

from __future__ import annotations

from collections.abc import Iterable

from workbench.errors import WorkbenchError
from workbench.models.language_model import LanguageModel


def end_tokens(lm: LanguageModel) -> set[int]:
    """Return the ids that end a turn, from the tokenizer and the model's generation settings.

    Raises:
        WorkbenchError: if the generation settings declare end tokens that are no token ids.
    """
    declared = getattr(lm.base().generation_config, "eos_token_id", None)
    several = (
        declared if isinstance(declared, Iterable) and not isinstance(declared, str) else [declared]
    )
    ids = {token for token in (*several, lm.tokenizer.eos_token_id) if token is not None}
    if not all(isinstance(token, int) and not isinstance(token, bool) for token in ids):
        raise WorkbenchError(
            f"generation_config.json of {lm.name!r} says eos_token_id = {str(declared)[:80]}, "
            "which must be numbers of tokens: correct it"
        )
    return ids
