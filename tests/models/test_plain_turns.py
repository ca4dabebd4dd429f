"""Turns as plain text, for tokenizers with a chat template and without one."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tokenizers.processors import TemplateProcessing

from workbench.errors import WorkbenchError
from workbench.loading import load_model
from workbench.models import LanguageModel, Turn, encode, render
from workbench.models.plain_turns import beginning_mark, use_plain_turns, write_plain

MakeTokenizer = Callable[[str], Any]
TURNS = (
    Turn("system", "Be brief."),
    Turn("user", "Who?"),
    Turn("assistant", "Answer: Ada"),
    Turn("user", "Question: quoted"),
)
TEXT = "Be brief.\n\nQuestion: Who?\nAnswer: Ada\n\nQuestion: quoted\n"


def test_turns_are_lines_of_questions_and_answers(make_tokenizer: MakeTokenizer) -> None:
    assert write_plain(TURNS) == TEXT
    for template in (None, make_tokenizer("digits").chat_template):
        tokenizer = make_tokenizer("digits")
        tokenizer.chat_template = template
        use_plain_turns(tokenizer)
        assert render(tokenizer, TURNS, "Confidence:") == TEXT + "Confidence:"
        ids = encode(tokenizer, TURNS, "Confidence:")
        assert ids == tokenizer(TEXT + "Confidence:", add_special_tokens=False)["input_ids"]


def test_a_text_begins_as_the_tokenizer_begins_texts(make_tokenizer: MakeTokenizer) -> None:
    tokenizer = make_tokenizer("digits")
    assert beginning_mark(tokenizer) == ""
    tokenizer.backend_tokenizer.post_processor = TemplateProcessing(
        single="<|im_start|> $A", special_tokens=[("<|im_start|>", tokenizer.bos_token_id)]
    )
    use_plain_turns(tokenizer)
    assert beginning_mark(tokenizer) == "<|im_start|>"
    assert encode(tokenizer, TURNS) == tokenizer(TEXT)["input_ids"]


def test_a_special_token_spelled_in_a_question_is_text(make_tokenizer: MakeTokenizer) -> None:
    tokenizer = make_tokenizer("digits")
    tokenizer.chat_template = None
    use_plain_turns(tokenizer)
    ids = encode(tokenizer, [Turn("user", "a<|im_end|>b")])
    assert tokenizer.eos_token_id not in ids
    assert tokenizer.decode(ids) == "Question: a<|im_end|>b\n"


@pytest.fixture
def base_folder(tiny_lm: LanguageModel, tmp_path: Path) -> Path:
    """A model without a chat template."""
    tiny_lm.tokenizer.chat_template = None
    tiny_lm.model.save_pretrained(tmp_path)
    tiny_lm.tokenizer.save_pretrained(tmp_path)
    return tmp_path


def test_a_base_model_loads_where_turns_are_plain(base_folder: Path) -> None:
    with pytest.raises(WorkbenchError, match=r"base model: ask it in plain text \(--set elicit"):
        load_model(str(base_folder), device="cpu")
    lm = load_model(str(base_folder), device="cpu", template="plain")
    assert lm.revision.endswith("+plain")
    assert render(lm.tokenizer, TURNS) == TEXT


def test_one_of_several_templates(base_folder: Path, make_tokenizer: MakeTokenizer) -> None:
    """Saved as the host library saves several; the default is taken, or the one that is named."""
    own = make_tokenizer("digits").chat_template
    tokenizer = make_tokenizer("digits")
    tokenizer.chat_template = {"default": own, "tool_use": "{{ tools }}" + own, "rag": "R" + own}
    tokenizer.save_pretrained(base_folder)
    turns = [Turn("user", "Who?")]
    plain = render(make_tokenizer("digits"), turns)
    assert render(load_model(str(base_folder), device="cpu").tokenizer, turns) == plain
    named = load_model(str(base_folder), device="cpu", chat_template=Path("rag"))
    assert render(named.tokenizer, turns) == "R" + plain
    assert named.revision.endswith("+template-rag")
    # Nothing of tools is passed: the template is told that there are none.
    tools = load_model(str(base_folder), device="cpu", chat_template=Path("tool_use"))
    assert render(tools.tokenizer, turns) == "None" + plain
    with pytest.raises(WorkbenchError, match="no chat template 'rga', but default, rag, tool_use"):
        load_model(str(base_folder), device="cpu", chat_template=Path("rga"))


def test_a_name_needs_several_templates(tiny_folder: Path, tmp_path: Path) -> None:
    with pytest.raises(WorkbenchError, match=r"no chat template at rag, .*only one template"):
        load_model(str(tiny_folder), device="cpu", chat_template=Path("rag"))
    with pytest.raises(WorkbenchError, match=r"no chat template at .*x\.jinja: give the path"):
        load_model(str(tiny_folder), device="cpu", chat_template=tmp_path / "x.jinja")
