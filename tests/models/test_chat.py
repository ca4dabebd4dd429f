from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from transformers import AutoTokenizer, PreTrainedTokenizerFast

from workbench.errors import WorkbenchError
from workbench.models import Turn, encode, encode_history, render
from workbench.models.chat import require_chat_template

MakeTokenizer = Callable[[str], Any]
KINDS = ("digits", "whole_numbers", "merged_space")
GEMMA_LIKE = (
    "{{ bos_token }}{% if messages[0]['role'] == 'system' %}{{ raise_exception('System role not "
    "supported') }}{% endif %}"
    "{% for message in messages %}{% if (message['role'] == 'user') != (loop.index0 % 2 == 0) %}"
    "{{ raise_exception('Roles must alternate') }}{% endif %}"
    "{{ '<|im_start|>' + ('model' if message['role'] == 'assistant' else 'user') + '\n' + "
    "message['content'] | trim }}"
    "{{ '<|im_end|>\n' }}{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>model\n' }}{% "
    "endif %}"
)
DROPS_SYSTEM = (
    "{% for message in messages %}{% if message['role'] != 'system' %}[{{ message['content'] }}]{% "
    "endif %}{% endfor %}"
    "{% if add_generation_prompt %}{{ '[' }}{% endif %}"
)


def test_the_prefix_follows_the_generation_prompt(make_tokenizer: MakeTokenizer) -> None:
    text = render(
        make_tokenizer("digits"),
        [Turn("system", "Be brief."), Turn("user", "What is 2 + 2?")],
        "Answer:",
    )
    assert text == (
        "<|im_start|>system\nBe brief.<|im_end|>\n<|im_start|>user\nWhat is 2 + 2?<|im_end|>\n"
        "<|im_start|>assistant\nAnswer:"
    )


def test_a_trailing_assistant_turn_is_history(make_tokenizer: MakeTokenizer) -> None:
    turns = [Turn("system", "S"), Turn("user", "Q"), Turn("assistant", "A")]
    assert render(make_tokenizer("digits"), turns).endswith(
        "<|im_start|>assistant\nA<|im_end|>\n<|im_start|>assistant\n"
    )


def test_a_system_turn_joins_the_first_user_turn_where_it_has_no_role(
    make_tokenizer: MakeTokenizer,
) -> None:
    tokenizer = make_tokenizer("digits")
    tokenizer.chat_template = GEMMA_LIKE
    turns = [
        Turn("system", "Be brief."),
        Turn("user", "Q"),
        Turn("assistant", "A"),
        Turn("user", "R"),
    ]
    assert render(tokenizer, turns) == (
        "<|im_start|><|im_start|>user\nBe brief.\n\nQ<|im_end|>\n<|im_start|>model\nA<|im_end|>\n"
        "<|im_start|>user\nR<|im_end|>\n<|im_start|>model\n"
    )
    tokenizer.chat_template = DROPS_SYSTEM
    assert render(tokenizer, turns[:2]) == "[Be brief.\n\nQ]["
    with pytest.raises(WorkbenchError, match="no user turn follows the system turn"):
        render(tokenizer, turns[:1])


def test_the_templates_refusal_is_passed_on(make_tokenizer: MakeTokenizer) -> None:
    tokenizer = make_tokenizer("digits")
    tokenizer.chat_template = GEMMA_LIKE
    with pytest.raises(
        WorkbenchError, match=r"refuses the turns \(user, user\): Roles must alternate"
    ):
        render(tokenizer, [Turn("user", "a"), Turn("user", "b")])


def test_mistakes_in_turns() -> None:
    with pytest.raises(WorkbenchError, match="role 'model'"):
        Turn("model", "x")  # type: ignore[arg-type]
    with pytest.raises(WorkbenchError, match="at least one turn"):
        render(None, [])


def test_thinking_is_off_where_the_template_has_a_switch(make_tokenizer: MakeTokenizer) -> None:
    tokenizer = make_tokenizer("digits")
    tokenizer.chat_template = (
        "{% for message in messages %}[{{ message['content'] }}]{% endfor %}{% if "
        "add_generation_prompt %}[<think>"
        "{% if enable_thinking is defined and not enable_thinking %}</think>{% endif %}{% endif %}"
    )
    assert render(tokenizer, [Turn("user", "x")], "Answer:") == "[x][<think></think>Answer:"


def test_a_base_model_is_told_what_to_do(make_tokenizer: MakeTokenizer) -> None:
    tokenizer = make_tokenizer("digits")
    tokenizer.chat_template = None
    with pytest.raises(
        WorkbenchError,
        match=r"'some/base' has no chat template.*instruct version.*chat_template=FILE",
    ):
        require_chat_template(tokenizer, "some/base")


@pytest.mark.parametrize("kind", KINDS)
def test_without_spelled_specials_the_ids_are_those_of_the_text(
    make_tokenizer: MakeTokenizer, kind: str
) -> None:
    tokenizer = make_tokenizer(kind)

    @given(content=st.text(max_size=30), prefix=st.sampled_from(["", "Answer:", "Confidence: 7"]))
    def check(content: str, prefix: str) -> None:
        turns = [Turn("user", content), Turn("assistant", "12"), Turn("user", content[::-1])]
        if re.search(r"<\|(endoftext|im_start|im_end)\|>", content + content[::-1]):
            return
        text = render(tokenizer, turns, prefix)
        assert (
            encode(tokenizer, turns, prefix)
            == tokenizer(text, add_special_tokens=False)["input_ids"]
        )

    check()


@pytest.mark.parametrize("kind", KINDS)
def test_spelled_specials_become_text_and_nothing_else_changes(
    make_tokenizer: MakeTokenizer, kind: str
) -> None:
    """Counts of control tokens are the template's, the text survives, and each turn has the ids
    it has by itself.
    """
    tokenizer = make_tokenizer(kind)
    piece = st.one_of(
        st.sampled_from(
            [
                "<|im_end|>",
                "<|im_start|>",
                "<|endoftext|>",
                "<|",
                "|>",
                "im_end",
                "\n",
                " 73",
                "the",
                "",
            ]
        ),
        st.text(max_size=6),
    )

    @given(pieces=st.lists(piece, max_size=8), prefix=st.sampled_from(["", "Answer: <|im_end|>"]))
    def check(pieces: list[str], prefix: str) -> None:
        content = "".join(pieces)
        turns = [Turn("system", "S"), Turn("user", content)]
        ids = encode(tokenizer, turns, prefix)
        assert ids.count(1) == 3
        assert ids.count(2) == 2
        assert ids.count(0) == 0
        assert tokenizer.decode(ids) == render(tokenizer, turns, prefix)
        alone = tokenizer(f"user\n{content}", add_special_tokens=False, split_special_tokens=True)[
            "input_ids"
        ]
        start = [place for place, token in enumerate(ids) if token == 1][1] + 1
        assert ids[start : start + len(alone)] == alone
        assert ids[start + len(alone)] == 2

    check()


def test_a_nested_spelling_is_defused(make_tokenizer: MakeTokenizer) -> None:
    tokenizer = make_tokenizer("digits")
    ids = encode(tokenizer, [Turn("system", "S"), Turn("user", "<|im_<|im_end|>end|>")])
    assert ids.count(2) == 2


def test_private_use_characters_in_the_question_survive(make_tokenizer: MakeTokenizer) -> None:
    tokenizer = make_tokenizer("digits")
    turns = [Turn("user", "\ue000<|im_end|>\ue001")]
    assert tokenizer.decode(encode(tokenizer, turns)) == render(tokenizer, turns)


def test_a_trimming_template_trims_the_same(make_tokenizer: MakeTokenizer) -> None:
    tokenizer = make_tokenizer("digits")
    tokenizer.chat_template = GEMMA_LIKE
    turns = [Turn("user", "  <|im_end|>  ")]
    assert tokenizer.decode(encode(tokenizer, turns)) == (
        "<|im_start|><|im_start|>user\n<|im_end|><|im_end|>\n<|im_start|>model\n"
    )


def test_an_unsafe_tokenizer_is_refused(make_tokenizer: MakeTokenizer) -> None:
    class Slow:
        def __init__(self, inner: PreTrainedTokenizerFast) -> None:
            self._inner, self.is_fast = inner, False

        def __getattr__(self, name: str) -> Any:
            return getattr(self._inner, name)

        def __call__(self, *args: Any, **kwargs: Any) -> Any:
            return self._inner(*args, **kwargs)

    with pytest.raises(WorkbenchError, match=r"spells the model's special token '<\|im_end\|>'"):
        encode(Slow(make_tokenizer("digits")), [Turn("user", "a<|im_end|>")])


def test_a_saved_tokenizer_encodes_the_same(make_tokenizer: MakeTokenizer, tmp_path: Any) -> None:
    turns = [Turn("user", "What is 12 + 30 <|im_end|>?")]
    for kind in KINDS:
        tokenizer = make_tokenizer(kind)
        tokenizer.save_pretrained(tmp_path / kind)
        assert encode(AutoTokenizer.from_pretrained(tmp_path / kind), turns) == encode(
            tokenizer, turns
        )


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        ("digits", ["Ġ", "7", "3", "%", "Ġ", "1", "0", "0"]),
        ("whole_numbers", ["Ġ", "73", "%", "Ġ", "100"]),
        ("merged_space", ["Ġ7", "3", "%", "Ġ1", "0", "0"]),
    ],
)
def test_the_three_kinds_of_number_tokens(
    make_tokenizer: MakeTokenizer, kind: str, expected: list[str]
) -> None:
    assert make_tokenizer(kind).tokenize(" 73% 100") == expected


def test_history_is_the_conversation_without_the_opening_of_a_reply(
    make_tokenizer: MakeTokenizer,
) -> None:
    tokenizer = make_tokenizer("digits")
    turns = [Turn("system", "Be brief."), Turn("user", "Who?"), Turn("assistant", "Ada")]
    text = tokenizer.decode(encode_history(tokenizer, turns))
    assert f"{text}<|im_start|>assistant\n" == render(tokenizer, turns)
    tokenizer.chat_template = (
        "{% for m in messages %}{% if m['role'] == 'system' %}{{ raise_exception('no') }}{% endif "
        "%}"
        "{{ m['role'] + ':' + m['content'] + ';' }}{% endfor %}{% if add_generation_prompt %}{{ "
        "'assistant:' }}{% endif %}"
    )
    assert (
        tokenizer.decode(encode_history(tokenizer, turns))
        == "user:Be brief.\n\nWho?;assistant:Ada;"
    )
