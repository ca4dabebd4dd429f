from __future__ import annotations

import ast
import inspect
from collections.abc import Callable

import torch

from workbench.models import LanguageModel
from workbench.trace.backends.nnsight_passes import Rules, packed_pass, run_passes
from workbench.trace.layout import empty_tail, pad_prompts


def test_every_statement_before_the_last_trace_takes_one_line() -> None:
    """nnsight sends the session as Python writes it from its syntax tree, and finds the traces in
    it by the numbers of their lines.
    """
    source = inspect.getsource(run_passes)
    session = next(node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.With))
    lines = source.splitlines()[session.body[0].lineno - 1 : session.end_lineno]
    written = "\n".join(ast.unparse(statement) for statement in session.body).splitlines()
    assert len(lines) == len(written)


def test_a_pass_is_plain_data() -> None:
    prompts = pad_prompts([[5, 6, 7], [8]], 0, torch.device("cpu"))
    one = packed_pass(prompts, empty_tail(prompts), torch.tensor([2]), [])
    assert one[0].tolist() == [[5, 6, 7], [0, 0, 8]]
    assert one[1].tolist() == [[0, 1, 2], [0, 0, 0]]
    assert one[2].tolist() == [[True] * 3, [False, False, True]]
    assert one[3].shape == (2, 0)


def test_rules_are_the_models(make_tiny: Callable[..., LanguageModel]) -> None:
    rules = Rules.of(make_tiny("gemma2"))
    assert rules.plain() == (
        {"full_attention": (0, 0), "sliding_attention": (8, 0)},
        True,
        "model",
        0,
        -1e30,
    )
