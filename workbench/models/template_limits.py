"""Render chat templates within bounds of time and memory.

A template comes with a model and is a program. transformers' sandbox denies it access to anything;
what it may compute is bounded here. Every value that an expression makes is measured, before it is
made where it can be larger than what it is made of (products, padded strings, replaced text), and
every loop, call and operation is counted. The bounds are far above what chat templates need and
grow with the text of the turns, so a long question does not exceed them.

The environment is otherwise the one of transformers (block trimming, loop controls, ``tojson``,
``raise_exception``, ``generation`` blocks), so a template gives the same text here as there.
"""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Callable, Iterable, Mapping, Sized
from functools import wraps
from itertools import islice
from typing import Any, cast

from jinja2 import Template, nodes
from jinja2.exceptions import TemplateError, TemplateRuntimeError
from jinja2.ext import Extension, loopcontrols
from jinja2.parser import Parser
from jinja2.runtime import Context, Undefined
from jinja2.sandbox import ImmutableSandboxedEnvironment
from jinja2.utils import Namespace
from jinja2.visitor import NodeTransformer

MOST_SOURCE = 250_000
MOST_STEPS = 50_000
MOST_TEXT = 100_000
_GROWTH = 8  # most copies of the turns' text that a template may write
_PRODUCT = 64  # work of one call, in texts of the largest size
_WIDTHS = re.compile(
    r"%[^a-zA-Z%]*\d{4}|\{[^}]*\d{4}"
)  # a field of a thousand characters or more in a format string


class TooMuchError(TemplateRuntimeError):
    """The error of a template that exceeds the bounds."""


class RefusedError(TemplateError):
    """The error that a template raises by ``raise_exception``."""


class BoundedEnvironment(ImmutableSandboxedEnvironment):
    """A template environment with bounds. It compiles and renders one template after the other,
    never in two threads at once.
    """

    intercepted_binops = frozenset(("+", "*", "**", "%"))

    def __init__(self) -> None:
        super().__init__(
            trim_blocks=True,
            lstrip_blocks=True,
            extensions=[_Generation, loopcontrols],
            finalize=self.measured,
        )
        self._lock = threading.RLock()
        self._allow(0)
        self.filters = {name: self._measuring(function) for name, function in self.filters.items()}
        self.filters["tojson"] = self._measuring(_tojson)
        for drawn in ("random", "lipsum"):  # what they write is another at every call
            self.filters.pop(drawn, None)
            self.globals.pop(drawn, None)
        self.globals |= {"raise_exception": _refuse, "namespace": _Names, "dict": dict}

    def compiled(self, source: str) -> Template:
        """Compile the template of this text.

        Other errors are jinja's and Python's own.

        Raises:
            TooMuchError: for a text beyond the bound.
        """
        if len(source) > MOST_SOURCE:
            raise TooMuchError(
                f"it is {len(source)} characters long, and {MOST_SOURCE} are allowed"
            )
        with self._lock:
            self._allow(0)
            return self.from_string(source)

    def rendered(self, template: Template, variables: Mapping[str, Any], n_characters: int) -> str:
        """Render ``template``; ``n_characters`` is the length of the text in ``variables``."""
        with self._lock:
            self._allow(n_characters)
            return template.render(**variables)

    def _allow(self, n_characters: int) -> None:
        self._most_text = MOST_TEXT + _GROWTH * n_characters
        self._steps = MOST_STEPS + n_characters

    def _step(self, count: int = 1) -> None:
        self._steps -= count
        if self._steps < 0:
            raise TooMuchError(f"it takes more than {MOST_STEPS} steps")

    def _size(self, value: Any) -> int:
        """Return the number of characters and items in a value, nested ones included. Counting ends
        beyond the bound.
        """
        if isinstance(value, (str, bytes)):
            return len(value)
        if isinstance(value, int):
            return value.bit_length() // 3
        total, waiting = 0, [value]
        while waiting and total <= self._most_text:
            item = waiting.pop()
            total += len(item) if isinstance(item, str) else 1
            if isinstance(item, Mapping):
                waiting += [*item.keys(), *item.values()]
            elif isinstance(item, (list, tuple, set, frozenset)):
                waiting += item
        return total

    def _bound(self, size: int) -> None:
        if size > self._most_text:
            raise TooMuchError(f"it makes a value of more than {self._most_text} characters")

    def measured(self, value: Any) -> Any:
        """Return ``value``, after checking that it is not too large."""
        self._step()
        self._bound(self._size(value))
        return value

    def joined(self, *parts: Any) -> str:
        """Return the joined text of ``parts``, as the operator ``~`` does."""
        self._step()
        self._bound(sum(map(self._size, parts)))
        return "".join(map(str, parts))

    def counted(self, items: Any) -> Any:
        """Return the items a loop runs over, after counting them."""
        if isinstance(items, Undefined):
            return items
        if not isinstance(items, Sized):
            items = list(islice(items, MOST_STEPS + 1))
        self._step(1 + len(items))
        return items

    def concat(self, chunks: Iterable[str]) -> str:
        """Return the joined text that a template, a macro or a block has written."""
        out, total = [], 0
        for chunk in chunks:
            total += len(chunk)
            self._bound(total)
            out.append(chunk)
        return "".join(out)

    def call_binop(self, context: Context, operator: str, left: Any, right: Any) -> Any:
        self._step()
        sizes = self._size(left), self._size(right)
        numbers = isinstance(left, (int, float)) and isinstance(right, (int, float))
        if operator == "**":
            self._bound(sizes[0] * abs(int(right)) if numbers else 0)
        elif operator == "*" and not numbers:
            times = next((side for side in (left, right) if isinstance(side, int)), 1)
            self._bound(
                max(self._size(side) for side in (left, right) if side is not times or times == 1)
                * times
            )
        elif operator == "%" and isinstance(left, str):
            self._check_format(left)
            self._bound(_PRODUCT and sum(sizes))
        else:
            self._bound(sum(sizes))
        return super().call_binop(context, operator, left, right)

    def call(__self, __context: Context, __obj: Any, *args: Any, **kwargs: Any) -> Any:  # noqa: N805
        own = getattr(
            getattr(__obj, "__wrapped__", __obj), "__self__", None
        )  # the sandbox wraps a string's format
        if own is not __self:
            __self._check_call([own, *args, *kwargs.values()], getattr(__obj, "__name__", ""))
        return __self.measured(super().call(__context, __obj, *args, **kwargs))

    def _check_call(self, values: Iterable[Any], name: str) -> None:
        self._step()
        work = 1
        for value in values:
            if isinstance(value, int) and abs(value) > self._most_text:
                raise TooMuchError(f"it asks for {value} of something")
            work *= max(1, self._size(value))
            if isinstance(value, str) and name in ("format", "format_map", "do_format"):
                self._check_format(value)
        if work > _PRODUCT * self._most_text:
            raise TooMuchError(f"it makes a value of more than {self._most_text} characters")

    def _check_format(self, text: str) -> None:
        if _WIDTHS.search(text) or "*" in text:
            raise TooMuchError(
                "it formats a field of a thousand characters or of a width given apart"
            )

    def _measuring(self, function: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(function)
        def measuring(*args: Any, **kwargs: Any) -> Any:
            self._check_call([*args, *kwargs.values()], function.__name__)
            return self.measured(function(*args, **kwargs))

        return measuring

    def _generate(self, source: nodes.Template, *args: Any, **kwargs: Any) -> str:
        return super()._generate(_Measured().visit(source), *args, **kwargs)


class _Measured(NodeTransformer):
    """A code generator that passes the values of expressions through the environment's checks."""

    def visit_Concat(self, node: nodes.Concat) -> nodes.Node:  # noqa: N802
        self.generic_visit(node)
        return _through("joined", node.nodes, node)

    def visit_For(self, node: nodes.For) -> nodes.Node:  # noqa: N802
        self.generic_visit(node)
        node.iter = _through("counted", [cast(nodes.Expr, node.iter)], node)
        return node

    def visit_List(self, node: nodes.List) -> nodes.Node:  # noqa: N802
        self.generic_visit(node)
        return (
            node if all(isinstance(item, nodes.Const) for item in node.items) else _measured(node)
        )

    def visit_Tuple(self, node: nodes.Tuple) -> nodes.Node:  # noqa: N802
        self.generic_visit(node)
        plain = node.ctx != "load" or all(isinstance(item, nodes.Const) for item in node.items)
        return node if plain else _measured(node)

    def visit_Dict(self, node: nodes.Dict) -> nodes.Node:  # noqa: N802
        self.generic_visit(node)
        return _measured(node)


def _measured(node: nodes.Expr) -> nodes.Call:
    return _through("measured", [node], node)


def _through(method: str, given: list[nodes.Expr], node: nodes.Node) -> nodes.Call:
    attribute = nodes.EnvironmentAttribute(method, lineno=node.lineno)
    return nodes.Call(attribute, given, [], None, None, lineno=node.lineno)


class _Generation(Extension):
    """The extension for ``{% generation %}`` blocks, which mark what an assistant wrote. Their
    content is rendered as it is.
    """

    tags = {"generation"}  # noqa: RUF012

    def parse(self, parser: Parser) -> list[nodes.Node]:
        next(parser.stream)
        return parser.parse_statements(("name:endgeneration",), drop_needle=True)


class _Names(Namespace):
    """Jinja's namespace without names that begin with an underscore, as in transformers."""

    def __init__(*args: Any, **kwargs: Any) -> None:
        self, attributes = args[0], dict(*args[1:], **kwargs)
        for name in attributes:
            _check_name(name)
        Namespace.__init__(self, attributes)

    def __setitem__(self, name: str, value: Any) -> None:
        _check_name(name)
        super().__setitem__(name, value)


def _check_name(name: Any) -> None:
    if isinstance(name, str) and name.startswith("_"):
        raise TemplateRuntimeError(
            f"a namespace cannot hold {name!r}, which begins with an underscore"
        )


def _refuse(message: Any = "") -> None:
    raise RefusedError(str(message))


def _tojson(
    value: Any,
    ensure_ascii: bool = False,
    indent: Any = None,
    separators: Any = None,
    sort_keys: bool = False,
) -> str:
    return json.dumps(
        value, ensure_ascii=ensure_ascii, indent=indent, separators=separators, sort_keys=sort_keys
    )
