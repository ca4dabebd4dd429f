from __future__ import annotations

import ast
import builtins
import inspect

from workbench.trace.backends import nnsight_session


def test_what_travels_needs_torch_and_nnsight_alone() -> None:
    """The body of the one session; where it runs, which may hold a key, stays here."""
    tree = ast.parse(inspect.getsource(nnsight_session))
    sessions = [
        node
        for node in ast.walk(tree)
        if isinstance(node, ast.With)
        and "model.session(" in ast.unparse(node.items[0].context_expr)
    ]
    assert len(sessions) == 1
    names = [
        name for part in sessions[0].body for name in ast.walk(part) if isinstance(name, ast.Name)
    ]
    given = {name.id for name in names if isinstance(name.ctx, ast.Load)}
    made = {name.id for name in names if isinstance(name.ctx, ast.Store)}
    assert given - made - set(dir(builtins)) == {
        "torch",
        "save",
        "model",
        "runs",
        "readout",
    }
