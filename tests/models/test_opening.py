"""The probe of a chat template: named templates, those of well-known families among them, each
with its outcome.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any

import pytest
import trl

from workbench.elicit.conversation import answer_tokens, confidence_conversation, scale_tokens
from workbench.elicit.formats import FORMATS
from workbench.errors import WorkbenchError
from workbench.models import Turn, encode, render
from workbench.models.chat_template import set_day, write_turns
from workbench.models.opening import completion, opening_of

MakeTokenizer = Callable[[str], Any]
S = "<|im_start|>"
E = "<|im_end|>\n"


def chatml(
    opens: str = S + "assistant\n",
    history: str | None = None,
    content: str = "m.content",
    before: str = "",
    roles: str = "true",
) -> str:
    """ChatML whose generation prompt is ``opens`` and whose assistant turns begin with
    ``history`` (None: the usual).
    """
    begins = S + "assistant\n" if history is None else history
    return (
        f"{before}{{% for m in messages %}}{{% if {roles} %}}{{% if m.role == 'assistant' %}}{{{{ {begins!r} }}}}{{% else %}}"
        f"{{{{ {S!r} + m.role + '\n' }}}}{{% endif %}}{{{{ {content} }}}}{{{{ {E!r} }}}}{{% endif %}}{{% endfor %}}"
        f"{{% if add_generation_prompt %}}{{{{ {opens!r} }}}}{{% endif %}}"
    )


MOVES_SYSTEM = (
    "{% if messages[0].role == 'system' %}{% set sys = messages[0].content %}{% set turns = "
    "messages[1:] %}{% else %}"
    "{% set sys = '' %}{% set turns = messages %}{% endif %}{% for m in turns %}{% if m.role == "
    "'user' %}[INST] "
    "{% if loop.last or turns[loop.index0 + 1:] | length == 1 %}{{ sys }}\n\n{% endif %}{{ "
    "m.content }}[/INST]"
    "{% else %} {{ m.content }}</s>{% endif %}{% endfor %}"
)
LAST_USER = (
    "{% if messages[-1].role == 'assistant' %}{{ raise_exception('a user speaks last') }}{% endif "
    "%}"
)
EMPTY = "<think>\n\n</think>\n\n"

# name: (template, whether system turns are kept, completion)
GOOD: dict[str, tuple[str, bool, str]] = {
    "chatml": (chatml(), True, ""),
    "chatml trimming": (chatml(content="m.content | trim"), True, ""),
    "a space that history has": (chatml(S + "assistant", S + "assistant "), True, " "),
    "a line break that history has": (chatml(S + "assistant", S + "assistant\n"), True, "\n"),
    "a line break that history lacks": (chatml(S + "assistant\n\n", S + "assistant\n"), True, ""),
    "empty thought opens": (chatml(S + "assistant\n" + EMPTY), True, ""),
    "empty thought on both sides": (
        chatml(S + "assistant\n" + EMPTY, S + "assistant\n" + EMPTY),
        True,
        "",
    ),
    "empty thought only in history": (chatml(history=S + "assistant\n" + EMPTY), True, EMPTY),
    "open thought, history without": (chatml(S + "assistant\n<think>\n"), True, "\n</think>\n\n"),
    "open thought without line break": (chatml(S + "assistant\n<think>"), True, "\n\n</think>\n\n"),
    "open thought, history closes it": (
        chatml(S + "assistant\n<think>\n", S + "assistant\n" + EMPTY),
        True,
        "\n</think>\n\n",
    ),
    "open thought of another name": (
        chatml(S + "assistant\n<seed:think>"),
        True,
        "\n\n</seed:think>\n\n",
    ),
    "open thought in brackets": (chatml(S + "assistant\n[THINK]\n"), True, "\n[/THINK]\n\n"),
    "harmony": (
        chatml("<|start|>assistant", "<|start|>assistant<|channel|>final<|message|>"),
        True,
        "<|channel|>final<|message|>",
    ),
    "no system role": (
        chatml(
            before="{% if messages[0].role == 'system' %}{{ raise_exception('no') }}{% endif %}"
        ),
        False,
        "",
    ),
    "drops the system turn": (chatml(roles="m.role != 'system'"), False, ""),
    "moves the system turn to the last user": (MOVES_SYSTEM, False, " "),
    "a user must speak last": (chatml(before=LAST_USER), True, ""),
    "no marks at all": ("{% for m in messages %}{{ m.content }}\n{% endfor %}", True, ""),
    "writes the date": (chatml(before="{{ strftime_now('%d %B %Y') }}"), True, ""),
    "generation blocks": (
        chatml().replace("{% for m", "{% generation %}x{% endgeneration %}{% for m"),
        True,
        "",
    ),
    "macro and namespace": (
        chatml(
            before="{% set ns = namespace(n=0) %}{% macro f(x) %}{{ x }}{% endmacro %}{{ f('a') ~ ns.n }}"
        ),
        True,
        "",
    ),
}

FAILS: dict[str, tuple[str, str]] = {
    "no generation prompt": (chatml(opens=""), r"ignores add_generation_prompt.*--set model\.chat_template=FILE"),
    "another role opens": (chatml(S + "model\n"), r"opens a reply by .*model.*and writes the same reply after .*assistant"),
    "unknown channel": (chatml("<|s|>assistant", "<|s|>assistant to=user<|m|>"), "opens a reply by"),
    "words in history": (chatml(history=S + "assistant\nI think: "), "opens a reply by"),
    "a thought with words": (chatml(S + "assistant\n<think>Let me see.</think>\n"), "opens a reply by"),
    "drops the question": (chatml(content="m.content if m.role != 'user' else ''"), "loses or moves the user turn"),
    "iterates over parts": (chatml(content="m.content | selectattr('type') | list | length"), "loses or moves the user turn"),
    "drops the answer": (chatml(content="m.content if m.role != 'assistant' else ''"), "loses or moves the assistant turn"),
    "last turn first": (chatml().replace("in messages %}", "in messages | reverse %}", 1), "loses or moves the assistant turn"),
    "only the last turn": (chatml().replace("in messages %}", "in messages[-1:] %}", 1), "loses or moves the user turn"),
    "syntax error": ("{% for m in messages %}{{ m.content }", r"syntax error in line 1: .*correct the template"),
    "unknown block": ("{% wonder %}", "syntax error in line 1: Encountered unknown tag 'wonder'"),
    "undefined function": (chatml(before="{{ now() }}"), "UndefinedError: 'now' is undefined"),
    "undefined attribute": (chatml(before="{{ messages[0].tools.names }}"), "UndefinedError: 'dict object' has no attribute 'tools'"),
    "type error": (chatml(before="{{ 'x' + 1 }}"), "TypeError: can only concatenate str"),
    "value error": (chatml(before="{{ 'a,b'.split('') }}"), "ValueError: empty separator"),
    "key error": (chatml(before="{{ '%(x)s' % {'y': 1} }}"), "KeyError: 'x'"),
    "division by zero": (chatml(before="{{ 1 // 0 }}"), "ZeroDivisionError"),
    "refuses every turn": ("{{ raise_exception('never') }}", r"refuses the turns \(user\): never; correct the template"),
    "includes a file": ("{% include 'x' %}", "TypeError: no loader"),
    "empty": (" ", "loses or moves the user turn"),
    "reaches for Python": ("{{ messages.__class__.__mro__ }}", "loses or moves|SecurityError|unsafe"),
}  # fmt: skip


@pytest.mark.parametrize("name", GOOD)
def test_what_replies_are_opened_by(make_tokenizer: MakeTokenizer, name: str) -> None:
    """A reply opened by text stands exactly where the template's own history has one, but for a
    thought left out.
    """
    tokenizer = make_tokenizer("digits")
    template, keeps_system, expected = GOOD[name]
    tokenizer.chat_template = template
    opening = opening_of(tokenizer)
    assert (opening.system_role, opening.completion) == (keeps_system, expected)
    assert len(opening.notes) == bool(expected) + (not keeps_system)
    turns = [Turn("user", "Who?")]
    assert render(tokenizer, turns, "Answer:").endswith(expected + "Answer:")
    opened = render(tokenizer, turns, "Answer:")
    try:
        written = write_turns(tokenizer, [*turns, Turn("assistant", "Answer:")], open_reply=False)
    except WorkbenchError:
        written = write_turns(
            tokenizer, [*turns, Turn("assistant", "Answer:"), Turn("user", "x")], open_reply=False
        )
    thoughtless = opened.replace(EMPTY, "").replace("<seed:think>\n\n</seed:think>\n\n", "")
    thoughtless = thoughtless.replace("[THINK]\n\n[/THINK]\n\n", "").replace(
        "\n\nAnswer", "\nAnswer"
    )
    assert written.replace(EMPTY, "").replace("\n\nAnswer", "\nAnswer").startswith(thoughtless)


@pytest.mark.parametrize("name", FAILS)
def test_templates_that_are_refused_before_anything_is_asked(
    make_tokenizer: MakeTokenizer, name: str
) -> None:
    tokenizer = make_tokenizer("digits")
    tokenizer.chat_template, message = FAILS[name]
    with pytest.raises(WorkbenchError, match=message) as caught:
        opening_of(tokenizer)
    assert "chat template" in str(caught.value)
    with pytest.raises(WorkbenchError, match=message):
        answer_tokens(tokenizer, FORMATS["percent"], "Who?")


def test_every_format_stands_on_the_completed_opening(make_tokenizer: MakeTokenizer) -> None:
    tokenizer = make_tokenizer("digits")
    tokenizer.chat_template = GOOD["harmony"][0]
    for name in ("percent", "percent-one-turn", "percent-first", "percent-alone"):
        fmt = FORMATS[name]
        numbers = scale_tokens(tokenizer, fmt)
        asked = tokenizer.decode(answer_tokens(tokenizer, fmt, "Who?", stated="7"))
        assert (
            f"<|start|>assistant<|channel|>final<|message|>{fmt.answer_opening(stated='7')}"
            in asked
        )
        read = tokenizer.decode(
            confidence_conversation(tokenizer, fmt, numbers, "Who?", "Ada").tokens
        )
        assert (
            "<|start|>assistant<|channel|>final<|message|>" + fmt.confidence_opening("Ada") in read
        )


def test_the_date_is_the_configurations_and_is_not_the_clocks(
    make_tokenizer: MakeTokenizer,
) -> None:
    tokenizer = make_tokenizer("digits")
    tokenizer.chat_template = chatml(
        before="{{ strftime_now('%d %B %Y %H:%M') }}|{{ date_string }}|"
    )
    assert render(tokenizer, [Turn("user", "x")]).startswith("01 January 2025 00:00|01 Jan 2025|")
    set_day(tokenizer, date(2031, 12, 5))
    assert render(tokenizer, [Turn("user", "x")]).startswith("05 December 2031 00:00|05 Dec 2031|")
    assert tokenizer.decode(encode(tokenizer, [Turn("user", "x")])) == render(
        tokenizer, [Turn("user", "x")]
    )


REAL = sorted((Path(trl.__file__).parent / "chat_templates").glob("*.jinja"))
REAL = [file for file in REAL if not file.stem.endswith("_training")]
COMPLETED = {
    "deepseek_r1_distill": "\n</think>\n\n",
    "deepseekv3": "\n</think>\n\n",
    "gptoss": "<|channel|>final<|message|>",
    "glm4moe": "\n",
    "qwen3": "",
    "qwen2_5": "",
    "llama3": "",
    "llama3_1": "",
    "llama3_2": "",
    "gemma3": "",
    "phi3": "",
    "cohere2": "",
}


@pytest.mark.parametrize("file", REAL, ids=lambda file: file.stem)
def test_published_templates_are_written_as_transformers_writes_them(
    make_tokenizer: MakeTokenizer, file: Path
) -> None:
    tokenizer = make_tokenizer("digits")
    tokenizer.chat_template = file.read_text(encoding="utf-8")
    set_day(tokenizer, date.today())
    given = {
        "enable_thinking": False,
        "date_string": date.today().strftime("%d %b %Y"),
        "tokenize": False,
    }
    for turns in (
        [Turn("user", " hé\n<b> Q ")],
        [Turn("user", "Q"), Turn("assistant", "A {x}"), Turn("user", "R"), Turn("assistant", "B")],
        [Turn("system", "S"), Turn("user", "Q"), Turn("assistant", "A"), Turn("user", "R")],
    ):
        messages = [{"role": turn.role, "content": turn.content} for turn in turns]
        for opens in (True, False):
            try:
                expected = tokenizer.apply_chat_template(
                    messages, add_generation_prompt=opens, **given
                )
            except Exception:
                with pytest.raises(WorkbenchError):
                    write_turns(tokenizer, turns, open_reply=opens)
                continue
            assert write_turns(tokenizer, turns, open_reply=opens) == expected
    if file.stem in COMPLETED:
        assert opening_of(tokenizer).completion == COMPLETED[file.stem]


@pytest.mark.parametrize(
    ("opened", "written", "expected"),
    [
        ("a:", "a:", ""),
        ("a:", "a: ", " "),
        ("a: ", "a:", ""),
        ("a:", "b:", None),
        ("a:<think>", "a:", "\n\n</think>\n\n"),
        ("a:<think>\n", "a:<think>\n\n</think>\n\n", "\n</think>\n\n"),
        ("a:<think>\n</think>", "a:", ""),
        ("a:<think>\n</thought>", "a:", None),
        ("a:<answer>", "a:", None),
        ("a:", "a:<answer>", None),
        ("a:", "a:</think>", None),
        ("a:", "a:<reasoning></reasoning>", "<reasoning></reasoning>"),
    ],
)
def test_completions(opened: str, written: str, expected: str | None) -> None:
    assert completion(opened, written) == expected
