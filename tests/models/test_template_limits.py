from __future__ import annotations

import resource
import time
from collections.abc import Callable
from typing import Any

import pytest

from workbench.errors import WorkbenchError
from workbench.models import Turn, render

MakeTokenizer = Callable[[str], Any]
GROW = (
    "{% set ns = namespace(x='ab') %}{% for i in range(60) %}{% set ns.x = EXPRESSION %}{% endfor "
    "%}"
)
HOSTILE = {
    "product": "{{ 'x' * 3000000000 }}",
    "product turned round": "{{ 3000000000 * 'x' }}",
    "product of a list": "{{ [0] * 3000000000 }}",
    "product of a list of lists": "{{ ([[0] * 99999] * 99999) | string }}",
    "product of numbers": "{{ 10 ** 1000000000 }}",
    "numbers that grow": GROW.replace("'ab'", "9").replace("EXPRESSION", "ns.x * ns.x"),
    "loop": "{% for i in range(99999999) %}x{% endfor %}",
    "loops in loops": "{% for i in range(99999) %}{% for j in range(99999) %}{% endfor %}{% endfor %}",
    "loop that writes": "{% for i in range(99999) %}{{ 'x' * 99999 }}{% endfor %}",
    "sum": GROW.replace("EXPRESSION", "ns.x + ns.x"),
    "tilde": GROW.replace("EXPRESSION", "ns.x ~ ns.x"),
    "list of itself": GROW.replace("EXPRESSION", "[ns.x, ns.x]") + "{{ ns.x }}",
    "tuple of itself": GROW.replace("EXPRESSION", "(ns.x, ns.x)") + "{{ ns.x }}",
    "dict of itself": GROW.replace("EXPRESSION", "{1: ns.x, 2: ns.x}") + "{{ ns.x }}",
    "dict called": GROW.replace("EXPRESSION", "dict(a=ns.x, b=ns.x)") + "{{ ns.x }}",
    "equal monsters": GROW.replace("EXPRESSION", "[ns.x, ns.x]") + "{{ ns.x == ns.x }}",
    "replace": GROW.replace("EXPRESSION", "ns.x | replace('a', ns.x)"),
    "method replace": GROW.replace("EXPRESSION", "ns.x.replace('b', ns.x)"),
    "join": "{{ (['x' * 9999] * 9999) | join('y' * 9999) }}",
    "method join": "{{ ('y' * 99999).join('x' * 99999) }}",
    "center": "{{ 'x' | center(3000000000) }}",
    "method center": "{{ 'x'.center(3000000000) }}",
    "named width": "{{ 'x' | indent(width=3000000000) }}",
    "zfill": "{{ 'x'.zfill(3000000000) }}",
    "percent format": "{{ '%3000000000d' % 1 }}",
    "percent format of a width": "{{ '%*d' % (3000000000, 1) }}",
    "filter format": "{{ '%3000000000d' | format(1) }}",
    "method format": "{{ '{:3000000000}'.format(1) }}",
    "method format of a width": "{{ '{:{}}'.format(1, 3000000000) }}",
    "precision": "{{ '%.3000000000f' % 1 }}",
    "batch": "{{ [1] | batch(3000000000, 0) | list }}",
    "recursion": "{% macro f(n) %}{{ f(n) }}{% endmacro %}{{ f(1) }}",
    "recursion in two": "{% macro f(n) %}{% if n %}{{ f(n - 1) }}{{ f(n - 1) }}{% endif %}{% endmacro %}{{ f(99) }}",
    "block of itself": GROW.replace("EXPRESSION", "1").replace("{% endfor %}", "{% set y %}{{ y }}{{ y }}x{% endset %}{% endfor %}")
    + "{% macro g(x, n) %}{% if n %}{{ g(x ~ x, n - 1) }}{% endif %}{% endmacro %}{{ g('ab', 60) }}",
    "long source": "{# " + "x" * 300_000 + " #}",
    "nested source": "{{ " + "(" * 5000 + "1" + ")" * 5000 + " }}",
    "lipsum": "{{ lipsum(n=3000000000) }}",
    "tojson": "{{ ['x'] | tojson(indent=3000000000) }}",
}  # fmt: skip


@pytest.mark.parametrize("name", HOSTILE)
def test_time_and_memory_are_bounded(make_tokenizer: MakeTokenizer, name: str) -> None:
    tokenizer = make_tokenizer("digits")
    tokenizer.chat_template = HOSTILE[name] + tokenizer.chat_template
    before, began = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.process_time()
    with pytest.raises(WorkbenchError, match="chat template") as caught:
        render(tokenizer, [Turn("user", "x")])
    assert len(str(caught.value)) < 700
    assert time.process_time() - began < 3
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 300_000


def test_long_turns_are_no_breach(make_tokenizer: MakeTokenizer) -> None:
    tokenizer = make_tokenizer("digits")
    tokenizer.chat_template = tokenizer.chat_template.replace(
        "message['content'] +",
        "(message['content'].split('</think>')[-1] | trim | replace('\\r', '')) +",
    )
    text = "word " * 100_000 + "end"
    assert text in render(tokenizer, [Turn("user", text)])


def test_chance_is_refused(make_tokenizer: MakeTokenizer) -> None:
    tokenizer = make_tokenizer("digits")
    for drawn in ("{{ [1, 2, 3] | random }}", "{{ lipsum() }}"):
        tokenizer.chat_template = drawn + "{% for m in messages %}{{ m.content }}{% endfor %}"
        with pytest.raises(WorkbenchError, match=r"random|lipsum"):
            render(tokenizer, [Turn("user", "x")])
