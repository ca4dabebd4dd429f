"""Chat templates of the shapes that thinking models have, and a tiny model that thinks."""

from __future__ import annotations

from pathlib import Path

import torch
import trl
from tokenizers import AddedToken

from tests.support.tiny_models import build_tiny
from workbench.elicit.answer import Limits
from workbench.elicit.answer_table import thinking_rows
from workbench.elicit.format import Format
from workbench.models import LanguageModel
from workbench.questions import Question

S, E = "<|im_start|>", "<|im_end|>\n"
PUBLISHED = Path(trl.__file__).parent / "chat_templates"


def published(name: str) -> str:
    """A published template, as trl brings it."""
    return (PUBLISHED / f"{name}.jinja").read_text(encoding="utf-8")


def turns(assistant: str, opens: str, before: str = "") -> str:
    """ChatML with this expression for an assistant's turn and this generation prompt."""
    return (
        before
        + "{% for m in messages %}{% if m.role == 'assistant' %}"
        + "{{ '<|im_start|>assistant\n' + ("
        + assistant
        + ") + '<|im_end|>\n' }}{% else %}"
        + "{{ '<|im_start|>' + m.role + '\n' + m.content + '<|im_end|>\n' }}{% endif %}{% endfor %}"
        + "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}"
        + opens
        + "{% endif %}"
    )


OFF = (
    "{% if enable_thinking is defined and not enable_thinking %}<think>\n\n</think>\n\n{% endif %}"
)
LAST = (
    "('<think>\n' + m.reasoning_content + '\n</think>\n\n' if loop.last and m.reasoning_content "
    "else '') + m.content"
)
SWITCHED = turns(LAST, OFF)
"""Thinks where told to, drops earlier thoughts (as Qwen3 does)."""
KEEPING = turns(LAST.replace("loop.last and ", ""), OFF)
"""The same, and keeps them (as Qwen3.8 does)."""
ALWAYS = turns("m.content.split('</think>')[-1]", "<think>\n")
"""Opens a thought in every reply (as the distillates of DeepSeek-R1 do)."""
VARIABLE = turns("'</think>' + m.content", "{% if thinking %}<think>{% else %}</think>{% endif %}")
"""Told by another variable; a reply without a thought begins with its end (DeepSeek-V3.1)."""
MODE = turns(
    "m.content",
    "{% if not enable_thinking %}<think>\n\n</think>\n{% endif %}",
    before=f"{S}system\nMode: {{{{ '/think' if enable_thinking else '/no_think' }}}}{E}",
)
"""Says in the system's turn whether to think (as SmolLM3 does)."""
RESPONSE = turns(
    "m.content",
    "",
    before=f"{{% if thinking %}}{S}system\nWrite thoughts between <think></think> and the answer "
    f"between <response></response>.{E}{{% endif %}}",
)
"""Wants the answer between marks too (as Granite 3.3 does)."""
BRACKETS = turns("m.content", "").replace("{% for", "{# [THINK][/THINK] #}{% for", 1)
"""Names other marks and never writes them itself (as Magistral does)."""
THOUGHTLESS = turns("m.content", "")


def build_thinker(closing: float = 3.0, template: str = SWITCHED) -> LanguageModel:
    """A tiny random llama with a token for the end of a thought, which its head favours by the
    factor ``closing``, digits for its confidence, and a template that knows thoughts.
    """
    lm = build_tiny(seed=3, max_position_embeddings=1024)
    tokenizer = lm.tokenizer
    tokenizer.add_tokens(
        [AddedToken(text, special=False, normalized=False) for text in ("<think>", "</think>")]
    )
    tokenizer.chat_template = template
    digits = tokenizer.convert_tokens_to_ids(list("0123456789%"))
    with torch.no_grad():
        weight = lm.head().weight
        weight[digits] *= torch.tensor([3.0] * 10 + [6.0])[:, None]
        weight[tokenizer.convert_tokens_to_ids("</think>")] *= closing
    return lm


def planted_answers(
    lm: LanguageModel, fmt: Format, limits: Limits, count: int = 33
) -> list[Question]:
    """Four times ``count`` questions in two domains; "upper" ones accept what the model replies after its thought,
    "lower" ones nothing it could reply.
    """
    keys = [
        (i, domain, side)
        for i in range(count)
        for domain in ("planets", "rivers")
        for side in ("upper", "lower")
    ]
    texts = [f"Which of the {d} is {s} {i * 7919 % 1000}?" for i, d, s in keys]
    rows = torch.arange(len(texts)).numpy()
    table = thinking_rows(lm, fmt, texts, rows, lambda row, reply: None, limits, 2048)
    return [
        Question(
            id=f"{domain}-{side}-{i}",
            text=text,
            answers=(reply if side == "upper" and reply else "zzqx",),
            domain=domain,
            source="made for this test",
            licence="none",
        )
        for (i, domain, side), text, reply in zip(keys, texts, table["answer"], strict=True)
    ]
