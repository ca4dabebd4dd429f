"""Check that a model embeds the tokens its tokenizer gives it.

A tokenizer may hold more tokens than the model embeds. Control tokens that no template writes do no
harm: a text that spells one is given to the model as ordinary text. Tokens of ordinary text do, and
the one that rows are padded with: a pass with it ends in an index error, on some devices in one
that stops the process. :func:`workbench.models.validate` has looked at a sentence and a
conversation; here the whole vocabulary is looked at.

An embedding with rows that the tokenizer never gives is usual, and says nothing.
"""

from __future__ import annotations

from workbench.errors import WorkbenchError
from workbench.models.language_model import LanguageModel


def require_vocabulary(lm: LanguageModel) -> None:
    """Refuse a model that does not embed the tokens of any text, or the one for padding.

    Raises:
        WorkbenchError: for such a model.
    """
    rows, tokenizer = lm.embedding().weight.shape[0], lm.tokenizer
    if not 0 <= tokenizer.pad_token_id < rows:
        raise WorkbenchError(
            f"the tokenizer of {lm.name!r} pads with {tokenizer.pad_token!r}, the token "
            f"{tokenizer.pad_token_id}, and the model embeds {rows} tokens: set pad_token in "
            "tokenizer_config.json to a token it embeds, such as the end token"
        )
    beyond = {token: text for text, token in tokenizer.get_vocab().items() if token >= rows}
    control = {*tokenizer.all_special_ids} | {
        token for token, added in tokenizer.added_tokens_decoder.items() if added.special
    }
    strange = sorted(beyond.keys() - control)
    if strange:
        more = f" and {len(strange) - 1} more" if len(strange) > 1 else ""
        raise WorkbenchError(
            f"the tokenizer of {lm.name!r} knows the token {strange[0]} "
            f"({beyond[strange[0]][:40]!r}){more} and the model embeds {rows} tokens: use the "
            "tokenizer that belongs to the model"
        )


def require_embedded(lm: LanguageModel, ids: tuple[int, ...], what: str) -> None:
    """Refuse token ids that the model does not embed.

    Raises:
        WorkbenchError: for such an id.
    """
    size = min(int(lm.config.vocab_size), lm.embedding().weight.shape[0])
    outside = next((token for token in ids if not 0 <= token < size), None)
    if outside is not None:
        raise WorkbenchError(
            f"{what} holds a token id outside the vocabulary of {size}, {outside}; give ids of "
            "this model's tokenizer, or another text."
        )
