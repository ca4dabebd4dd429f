"""Sentencepiece tokenizers of GGUF files against llama.cpp's rules, on a vocabulary written
here.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import gguf
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from workbench.errors import WorkbenchError
from workbench.loading import load_model
from workbench.models import LanguageModel
from workbench.models.sentencepiece_gguf import llama_cpp_ids

MakeGguf = Callable[..., Path]
SPECIALS = ("<unk>", "<s>", "</s>")
BYTES = tuple(f"<0x{byte:02X}>" for byte in range(256))
LETTERS = "▁" + "abcdefghijklmnopqrstuvwxyzABCDHIKLNSTW0123456789[]/:?.,%\n"
WORDS = (
    "he",
    "in",
    "th",
    "the",
    "▁t",
    "▁the",
    "▁h",
    "▁hi",
    "hi",
    "is",
    "▁is",
    "▁▁",
    "▁▁▁",
    "▁a",
    "an",
    "▁an",
    "and",
    "▁and",
)
TEMPLATE = (
    "{% for m in messages %}{{ bos_token + m.role + ': ' + m.content + eos_token }}{% endfor %}"
    "{% if add_generation_prompt %}{{ bos_token + 'assistant: ' }}{% endif %}"
)
PIECES = (*SPECIALS, *BYTES, *LETTERS, *WORDS)


def vocabulary(
    prefix: bool | None,
    kind: str = "llama",
    pieces: tuple[str, ...] = PIECES,
    defined: tuple[str, ...] = (),
) -> Callable[..., None]:
    """Writes a sentencepiece vocabulary; scores fall from piece to piece, as trainers write
    them.
    """

    def write(writer: Any, lm: LanguageModel) -> None:
        kinds = gguf.TokenType
        known = (*pieces, *defined)
        tokens = [*known, *(f"[PAD{n}]" for n in range(len(known), lm.config.vocab_size))]
        writer.add_tokenizer_model(kind)
        writer.add_tokenizer_pre("default")
        writer.add_token_list(tokens)
        writer.add_token_scores(
            [-1e9 if t.startswith("[PAD") else -float(n) for n, t in enumerate(tokens)]
        )
        of = {
            "<unk>": kinds.UNKNOWN,
            "<s>": kinds.CONTROL,
            "</s>": kinds.CONTROL,
            **dict.fromkeys(BYTES, kinds.BYTE),
            **dict.fromkeys(defined, kinds.USER_DEFINED),
        }
        writer.add_token_types(
            [kinds.UNUSED if t.startswith("[PAD") else of.get(t, kinds.NORMAL) for t in tokens]
        )
        writer.add_unk_token_id(0)
        writer.add_bos_token_id(1)
        writer.add_eos_token_id(2)
        writer.add_add_bos_token(True)
        if prefix is not None:
            writer.add_add_space_prefix(prefix)
        writer.add_chat_template(TEMPLATE)

    return write


@pytest.fixture
def load(
    make_gguf: MakeGguf, make_tiny: Callable[..., LanguageModel], tmp_path: Path
) -> Callable[[bool | None], Any]:
    def loaded(prefix: bool | None) -> Any:
        path = make_gguf(tmp_path / "tiny.gguf", make_tiny(), vocabulary=vocabulary(prefix))
        return load_model(str(path), device="cpu", cache_dir=tmp_path / "cache").tokenizer

    return loaded


@pytest.mark.parametrize("prefix", [True, None])
def test_a_space_stands_behind_every_special_token(
    load: Callable[[bool | None], Any], prefix: bool | None
) -> None:
    tokenizer = load(prefix)
    assert tokenizer.tokenize("<s>[INST] hi</s>the") == [
        "<s>", "▁", "[", "I", "N", "S", "T", "]", "▁hi", "</s>", "▁the"
    ]  # fmt: skip
    assert tokenizer.tokenize("hi  the") == ["▁hi", "▁", "▁the"]
    assert tokenizer.tokenize(" hi") == ["▁", "▁hi"]
    assert tokenizer.tokenize("aé\n") == ["▁a", "<0xC3>", "<0xA9>", "\n"]
    ids = tokenizer("the Water is hi", add_special_tokens=False)["input_ids"]
    assert tokenizer.decode(ids) == "the Water is hi"


@pytest.mark.parametrize("prefix", [True, False])
def test_tokens_that_the_file_defines_are_taken_whole(
    make_gguf: MakeGguf, make_tiny: Callable[..., LanguageModel], tmp_path: Path, prefix: bool
) -> None:
    """llama.cpp takes them out of the text first, and puts a space behind them too."""
    write = vocabulary(prefix, defined=("<tool>", "\n\n", "he is"))
    path = make_gguf(tmp_path / "tiny.gguf", make_tiny(), vocabulary=write)
    tokenizer = load_model(str(path), device="cpu", cache_dir=tmp_path / "cache").tokenizer
    space = "▁" if prefix else ""
    assert tokenizer.tokenize("hi<tool>the\n\nhe is") == [
        f"{space}hi", "<tool>", f"{space}the", "\n\n", "he is"
    ]  # fmt: skip
    ids = tokenizer("hi")["input_ids"]
    assert tokenizer.convert_ids_to_tokens(ids) == ["<s>", f"{space}hi"]


def test_none_stands_there_where_the_file_says_so(load: Callable[[bool | None], Any]) -> None:
    tokenizer = load(False)
    assert tokenizer.tokenize("<s>[INST] hi</s>the") == [
        "<s>",
        "[",
        "I",
        "N",
        "S",
        "T",
        "]",
        "▁hi",
        "</s>",
        "the",
    ]
    assert tokenizer.tokenize(" hi") == ["▁hi"]
    ids = tokenizer(" the hi", add_special_tokens=False)["input_ids"]
    assert tokenizer.decode(ids) == " the hi"


@pytest.mark.parametrize("prefix", [True, False])
def test_any_text_is_cut_as_llama_cpp_cuts_it(
    load: Callable[[bool | None], Any], prefix: bool
) -> None:
    tokenizer = load(prefix)
    pieces = {piece: index for index, piece in enumerate(PIECES)}
    scores = [-float(index) for index in range(len(PIECES))]
    specials = {piece: pieces[piece] for piece in SPECIALS}
    words = st.sampled_from([*WORDS, *SPECIALS, " ", "  ", "é", "the", "\n", "hit", "▁"])

    @given(st.lists(st.one_of(words, st.text(max_size=4)), max_size=8).map("".join))
    @settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
    def check(text: str) -> None:
        found = tokenizer(text, add_special_tokens=False)["input_ids"]
        assert found == llama_cpp_ids(text, pieces, scores, specials, prefix)

    check()


def test_llama_cpps_rules_by_hand() -> None:
    pieces = {
        piece: index
        for index, piece in enumerate(["▁", "a", "b", "ab", "▁a", "<s>", "<0xC3>", "<0xA9>"])
    }
    scores = [-9.0, -9.0, -9.0, -1.0, -2.0, 0.0, 0.0, 0.0]
    assert llama_cpp_ids("ab", pieces, scores, {"<s>": 5}, True) == [0, 3]
    assert llama_cpp_ids("a<s>a b", pieces, scores, {"<s>": 5}, True) == [4, 5, 4, 0, 2]
    assert llama_cpp_ids("a<s>ab", pieces, scores, {"<s>": 5}, False) == [1, 5, 3]
    assert llama_cpp_ids("é", pieces, scores, {}, False) == [6, 7]


def test_a_vocabulary_that_transformers_cuts_otherwise_is_refused(
    make_gguf: MakeGguf, make_tiny: Callable[..., LanguageModel], tmp_path: Path
) -> None:
    """Without tokens for bytes the two differ on characters that have none."""
    odd = tuple(piece for piece in PIECES if piece != "<0xC3>")
    path = make_gguf(tmp_path / "tiny.gguf", make_tiny(), vocabulary=vocabulary(True, pieces=odd))
    with pytest.raises(
        WorkbenchError,
        match=r"tiny\.gguf: the tokenizer .* into other tokens than llama\.cpp does: use the model's",
    ):
        load_model(str(path), device="cpu", cache_dir=tmp_path / "cache")


@pytest.mark.parametrize("kind", ["t5", "bert", "rwkv", "wonder", ""])
def test_other_kinds_of_tokenizers_are_refused(
    make_gguf: MakeGguf, make_tiny: Callable[..., LanguageModel], tmp_path: Path, kind: str
) -> None:
    path = make_gguf(tmp_path / "tiny.gguf", make_tiny(), vocabulary=vocabulary(True, kind=kind))
    with pytest.raises(
        WorkbenchError,
        match=r"^tiny\.gguf has a tokenizer of kind|transformers cannot read tiny\.gguf",
    ):
        load_model(str(path), device="cpu", cache_dir=tmp_path / "cache")
