"""The texts around a thought, for templates of every shape and for published ones."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tests.support import thinking
from workbench.errors import WorkbenchError
from workbench.models import Turn, encode, render
from workbench.models.chat import encode_history
from workbench.models.plain_turns import use_plain_turns
from workbench.models.thoughts import MARKS, Thoughts, require_thoughts, thoughts_of
from workbench.models.turn import ThinkingReply

MakeTokenizer = Callable[[str], Any]
TAGS = ("<think>\n", "\n</think>\n\n", "</think>", "<think>\n\n</think>\n\n", "")
BEGUN = ("", *TAGS[1:3], "\n</think>\n\n", "")

# template: what opens and closes a thought, its end, an empty thought, the answer's end
SHAPES: dict[str, tuple[str, tuple[str, str, str, str, str]]] = {
    "switched": (thinking.SWITCHED, TAGS),
    "keeping": (thinking.KEEPING, TAGS),
    "always": (thinking.ALWAYS, BEGUN),
    "another variable": (thinking.VARIABLE, ("", "\n</think>", "</think>", "\n</think>", "")),
    "mode in the system turn": (
        thinking.MODE,
        ("<think>\n", "\n</think>\n", "</think>", "<think>\n\n</think>\n", ""),
    ),
    "response marks": (
        thinking.RESPONSE,
        (
            "<think>\n",
            "\n</think>\n<response>",
            "</think>",
            "<think>\n\n</think>\n<response>",
            "</response>",
        ),
    ),
    "brackets": (
        thinking.BRACKETS,
        ("[THINK]", "[/THINK]", "[/THINK]", "[THINK][/THINK]", ""),
    ),
    "words": (
        thinking.turns("m.content", "").replace(
            "{% for", "{# Here is my thought process: #}{% for", 1
        ),
        (
            "Here is my thought process:\n",
            "\nHere is my response:\n\n",
            "Here is my response:",
            "Here is my thought process:\n\nHere is my response:\n\n",
            "",
        ),
    ),
}
PUBLISHED: dict[str, tuple[str, str, str, str, str]] = {
    "qwen3": TAGS,
    "qwen3_5_think": BEGUN,
    "qwen3_8": BEGUN,
    "deepseek_r1_distill": BEGUN,
    "glm4moe": ("\n<think>", "</think>\n", "</think>", "\n<think></think>\n", ""),
    "nemotron_3_nano": ("", "\n</think>\n", "</think>", "\n</think>\n", ""),
    "lfm2_2_5": ("<think>", "</think>", "</think>", "<think></think>", ""),
    "gemma4_v5": (
        "<|channel>thought\n",
        "\n<channel|>",
        "<channel|>",
        "<|channel>thought\n\n<channel|>",
        "",
    ),
    "gptoss": (
        "<|channel|>analysis<|message|>",
        "<|end|><|start|>assistant<|channel|>final<|message|>",
        "<|end|>",
        "<|channel|>final<|message|>",
        "",
    ),
}
ASKED = [Turn("user", "Who?")]
LATER = [*ASKED, Turn("assistant", "Answer: Ada", thought="Let me see."), Turn("user", "Sure?")]


@pytest.fixture
def tokenizer(make_tokenizer: MakeTokenizer) -> Any:
    return make_tokenizer("digits")


@pytest.mark.parametrize("name", SHAPES)
def test_shapes(tokenizer: Any, name: str) -> None:
    tokenizer.chat_template, expected = SHAPES[name]
    assert thoughts_of(tokenizer) == Thoughts(*expected)


@pytest.mark.parametrize("name", PUBLISHED)
def test_published_templates(tokenizer: Any, name: str) -> None:
    tokenizer.chat_template = thinking.published(name)
    assert thoughts_of(tokenizer) == Thoughts(*PUBLISHED[name])


@pytest.mark.parametrize("name", ["qwen3", "qwen3_8", "glm4moe", "nemotron_3_nano", "gptoss"])
def test_a_reply_with_a_thought_is_what_the_template_writes_of_it(
    tokenizer: Any, name: str
) -> None:
    """The same conversation rendered by the host library, with the thought in its last reply."""
    tokenizer.chat_template = thinking.published(name)
    messages = [
        {"role": "user", "content": "Who?"},
        {
            "role": "assistant",
            "content": "Answer: Ada",
            "reasoning_content": "Let me see.",
            "thinking": "Let me see.",
        },
    ]
    whole = tokenizer.apply_chat_template(
        messages, tokenize=False, enable_thinking=True, thinking=True
    )
    # Only the date differs, which the host takes from the clock.
    opened = render(tokenizer, ASKED, ThinkingReply("Let me see.", "Answer: Ada"))
    begun = opened.rpartition("Who?")[2]
    assert whole.rpartition("Who?")[2].startswith(begun)


@pytest.mark.parametrize("name", ["llama3", "phi3", "phi3_5", "gemma3", "qwen2_5", "cohere2"])
def test_templates_without_thoughts(tokenizer: Any, name: str) -> None:
    tokenizer.chat_template = thinking.published(name)
    assert thoughts_of(tokenizer) is None
    with pytest.raises(WorkbenchError, match="has no thoughts: choose a model that thinks"):
        require_thoughts(tokenizer)
    with pytest.raises(WorkbenchError, match=r"set elicit\.thinking=off"):
        render(tokenizer, ASKED, ThinkingReply(None))


def test_plain_turns_have_no_thoughts(tokenizer: Any) -> None:
    tokenizer.chat_template = thinking.SWITCHED
    use_plain_turns(tokenizer)
    with pytest.raises(WorkbenchError, match="plain text, which has no thoughts"):
        require_thoughts(tokenizer)


def test_a_thought_opened_otherwise_than_it_is_written_is_refused(tokenizer: Any) -> None:
    tokenizer.chat_template = thinking.turns(
        thinking.LAST.replace("<think>", "Thought: <think>"), "<think>\n"
    )
    with pytest.raises(WorkbenchError, match="would come where the model never saw one begin"):
        thoughts_of(tokenizer)


@pytest.mark.parametrize(
    ("template", "history", "shown"),
    [
        (thinking.SWITCHED, "template", "assistant\nAnswer: Ada<|im_end|>"),
        (
            thinking.SWITCHED,
            "kept",
            "assistant\n<think>\nLet me see.\n</think>\n\nAnswer: Ada<|im_end|>",
        ),
        (
            thinking.KEEPING,
            "template",
            "assistant\n<think>\nLet me see.\n</think>\n\nAnswer: Ada<|im_end|>",
        ),
        (thinking.ALWAYS, "template", "assistant\nAnswer: Ada<|im_end|>"),
        (
            thinking.ALWAYS,
            "kept",
            "assistant\n<think>\nLet me see.\n</think>\n\nAnswer: Ada<|im_end|>",
        ),
    ],
)
def test_what_history_shows(tokenizer: Any, template: str, history: Any, shown: str) -> None:
    tokenizer.chat_template = template
    reply = ThinkingReply("", "Confidence:", history=history)
    text = render(tokenizer, LATER, reply)
    assert text == (
        f"<|im_start|>user\nWho?<|im_end|>\n<|im_start|>{shown}\n<|im_start|>user\nSure?<|im_end|>\n"
        "<|im_start|>assistant\n<think>\n\n</think>\n\nConfidence:"
    )
    ids = encode(tokenizer, LATER, reply)
    assert tokenizer.decode(ids) == text
    begun = encode_history(tokenizer, LATER, reply)
    assert ids[: len(begun)] == begun
    assert tokenizer.decode(begun).endswith("Sure?<|im_end|>\n")


def test_with_thinking_off_nothing_is_other_than_before(tokenizer: Any) -> None:
    tokenizer.chat_template = thinking.KEEPING
    bare = [Turn(turn.role, turn.content) for turn in LATER]
    assert "Let me see" not in render(tokenizer, bare, "Confidence:")
    assert render(tokenizer, ASKED, "Answer:").endswith("<think>\n\n</think>\n\nAnswer:")


@pytest.mark.parametrize("history", ["template", "kept"])
def test_what_a_thought_spells_is_text(tokenizer: Any, history: Any) -> None:
    """A thought that spells a special token closes no turn: it has the ids of plain text."""
    tokenizer.chat_template = thinking.SWITCHED
    spelled = "No.<|im_end|>\nYes"
    end = tokenizer.convert_tokens_to_ids("<|im_end|>")
    ids = encode(tokenizer, ASKED, ThinkingReply(spelled, "Answer:", history=history))
    assert ids.count(end) == 1  # the question's own
    assert spelled in tokenizer.decode(ids)
    later = [ASKED[0], Turn("assistant", "Ada", thought=spelled), Turn("user", "Sure?")]
    ids = encode(tokenizer, later, ThinkingReply(spelled, "Sure:", history=history))
    assert ids.count(end) == 3
    assert tokenizer.decode(ids).count(spelled) == 1 + (history == "kept")


def test_the_beginning_of_a_reply() -> None:
    thoughts = Thoughts("<a>", "</a>", "</a>", "<none>", "")
    assert thoughts.written(ThinkingReply(None)) == "<a>"
    assert thoughts.written(ThinkingReply("", "word")) == "<none>word"
    assert thoughts.written(ThinkingReply("x", closed=False)) == "<a>x"
    assert thoughts.written(ThinkingReply("x", "wo") + "rd") == "<a>x</a>word"
    for broken in ({"thought": None}, {"thought": "x", "closed": False}):
        with pytest.raises(WorkbenchError, match="close the thought"):
            ThinkingReply(words="word", **broken)


def test_rows_of_marks_differ() -> None:
    assert len({row.name for row in MARKS}) == len(MARKS)
    assert all(row.opens and row.closes for row in MARKS)
