"""Rebuild tokenizers of the sentencepiece kind (``tokenizer.ggml.model = llama``) from a GGUF file,
exactly as llama.cpp reads them.

llama.cpp puts a space in front of every stretch of text at the beginning or after a special token,
where the file says ``add_space_prefix`` (and where it says nothing); then all spaces become ``▁``
and neighbouring pieces are merged, best score first. transformers puts the space in front of the
first stretch alone. So the normaliser is set anew here: it works on each stretch between special
tokens by itself.

The result is compared with llama.cpp's algorithm, implemented again in :func:`llama_cpp_ids`, on
texts that hold what tokenizers differ in; a file on which the two differ is refused.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise
from typing import Any

from gguf import TokenType
from tokenizers import Tokenizer, decoders, normalizers
from transformers import PreTrainedTokenizerFast

from workbench.errors import WorkbenchError

SPACE = "▁"
_WHOLE = (TokenType.UNKNOWN, TokenType.CONTROL, TokenType.USER_DEFINED)
TEXTS = (
    "Hello",
    " Hello",
    "What is 12 + 345?  Two spaces,   three.",
    "Answer: 73% of 1,000.5",
    "line\n\nbreaks\tand tabs ",
    "naïve café, Kabul, Ελλάδα, 東京, 🙂 ½ x²",
    "[INST] hi [/INST]",
    "don't I'll <b>it</b> {x: [1, 2]}",
)


def as_llama_cpp(name: str, tokenizer: Any, reader: Any) -> Any:
    """Return the tokenizer that transformers made of the GGUF file ``name``, with llama.cpp's
    treatment of spaces.

    Raises:
        WorkbenchError: where it still differs from llama.cpp.
    """
    field = reader.get_field("tokenizer.ggml.add_space_prefix")
    prefix = True if field is None else bool(field.contents())
    backend = Tokenizer.from_str(tokenizer.backend_tokenizer.to_str())
    to_mark = normalizers.Replace(" ", SPACE)
    backend.normalizer = (
        normalizers.Sequence([normalizers.Prepend(SPACE), to_mark]) if prefix else to_mark
    )
    backend.pre_tokenizer = None
    decoding = [decoders.Replace(SPACE, " "), decoders.ByteFallback(), decoders.Fuse()]
    backend.decoder = decoders.Sequence(
        [*decoding, decoders.Strip(" ", 1, 0)] if prefix else decoding
    )
    plain = PreTrainedTokenizerFast(
        tokenizer_object=backend,
        padding_side="left",
        clean_up_tokenization_spaces=False,
        chat_template=tokenizer.chat_template,
        **tokenizer.special_tokens_map,
    )
    _compare(name, plain, reader, prefix)
    return plain


def _compare(name: str, tokenizer: Any, reader: Any, prefix: bool) -> None:
    tokens = [str(token) for token in reader.get_field("tokenizer.ggml.tokens").contents()]
    scores = reader.get_field("tokenizer.ggml.scores")
    if scores is None:
        raise WorkbenchError(
            f"{name} holds no scores for its tokenizer: use the model's safetensors folder"
        )
    pieces = {token: index for index, token in reversed(list(enumerate(tokens)))}
    values = [float(score) for score in scores.contents()]
    specials = _whole_tokens(reader, tokens)
    for text in (
        *TEXTS,
        *(f"the{special}{text}" for special in _some(list(specials)) for text in TEXTS[:3]),
    ):
        found = tokenizer(text, add_special_tokens=False)["input_ids"]
        expected = llama_cpp_ids(text, pieces, values, specials, prefix)
        if found != expected:
            raise WorkbenchError(
                f"{name}: the tokenizer that transformers makes of this file cuts {text!r} into "
                "other tokens than llama.cpp does: "
                "use the model's safetensors folder"
            )


def _some(specials: list[str]) -> list[str]:
    """Return the first tokens and the last, which files that add tokens write there."""
    return list(dict.fromkeys([*specials[:3], *specials[-3:]]))


def _whole_tokens(reader: Any, tokens: list[str]) -> dict[str, int]:
    """Return the tokens that llama.cpp takes out of a text before anything else, with their ids:
    those the file marks as unknown, control or user-defined.
    """
    kinds = reader.get_field("tokenizer.ggml.token_type")
    marked = [] if kinds is None else [int(kind) for kind in kinds.contents()]
    return {
        token: index
        for index, (token, kind) in enumerate(zip(tokens, marked, strict=False))
        if kind in _WHOLE
    }


def llama_cpp_ids(
    text: str,
    pieces: Mapping[str, int],
    scores: list[float],
    specials: Mapping[str, int],
    prefix: bool,
) -> list[int]:
    """Return token ids of ``text`` by llama.cpp's rules: special tokens first, then each stretch
    between them by scores.
    """
    ids: list[int] = []
    for stretch in _stretches(text, sorted(specials, key=len, reverse=True)):
        if stretch in specials:
            ids.append(specials[stretch])
        else:
            marked = (SPACE if prefix else "") + stretch.replace(" ", SPACE)
            ids += [
                index
                for symbol in _merged(marked, pieces, scores)
                for index in _written(symbol, pieces)
            ]
    return ids


def _stretches(text: str, specials: list[str]) -> list[str]:
    """Cut ``text`` at special tokens, which become pieces of their own; longer ones are searched
    first.
    """
    parts = [text]
    for special in specials:
        cut: list[str] = []
        for part in parts:
            if part in specials:
                cut.append(part)
                continue
            before, *rest = part.split(special)
            cut.append(before)
            for more in rest:
                cut += [special, more]
        parts = [part for part in cut if part]
    return parts


def _merged(text: str, pieces: Mapping[str, int], scores: list[float]) -> list[str]:
    """Merge characters while two neighbours make a piece: the best score first, of equal ones the
    leftmost.
    """
    symbols = list(text)
    while True:
        pairs = [
            (scores[pieces[a + b]], -at)
            for at, (a, b) in enumerate(pairwise(symbols))
            if a + b in pieces
        ]
        if not pairs:
            return symbols
        at = -max(pairs)[1]
        symbols[at : at + 2] = [symbols[at] + symbols[at + 1]]


def _written(symbol: str, pieces: Mapping[str, int]) -> list[int]:
    """Return the id of a symbol, or of its bytes where it is no piece."""
    if symbol in pieces:
        return [pieces[symbol]]
    return [pieces[f"<0x{byte:02X}>"] for byte in symbol.encode() if f"<0x{byte:02X}>" in pieces]
