"""Write the Python that gives the same numbers as a view, with the public functions.

A cell begins with the imports and the model, says prompt, donor and readout, and ends in the lines
that assign ``value``. Texts go in as Python literals, so whatever a prompt holds stays text.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from pprint import pformat
from typing import Any

from workbench.live.requests import Pair, QuestionPrompt, Read, ScaleRead, Side
from workbench.live.session import OpenPair, Session

_WIDTH = 88


def opening(session: Session, pair: Pair, opened: OpenPair, read: Read | None) -> list[str]:
    """Return the lines that make ``lm``, ``prompt``, ``donor`` and ``read``."""
    lines = ["import workbench as wb"]
    if session.run is None:
        lines += ["", f"lm = wb.load_model({_plain_name(session.lm.name)!r})"]
    else:
        folder, figures = session.run.store.folder, session.run.figures
        lines = ["from pathlib import Path", "", *lines, "from workbench.loop import open_run"]
        asked = [isinstance(side, QuestionPrompt) for side in (pair.base, pair.donor)]
        if any(asked):
            lines.append("from workbench.loop.confidence import confidence_conversations")
        lines += ["", f"run = open_run(Path({str(folder)!r}), Path({str(figures)!r}))"]
        if any(asked):
            lines.append("conversations = confidence_conversations(run)")
        lines.append("lm = run.lm")
    lines.append(f"prompt = {_prompt(session, pair.base)}")
    if opened.lm is opened.donor_lm:
        lines.append(f"donor = {_prompt(session, pair.donor)}")
    elif opened.donor_lm is session.tuned:
        lines.append('donor = run.stage("teach").checked("adapter")')
    else:
        lines.append("donor = lm")
    if opened.lm is session.tuned:
        lines.append('lm = wb.load_adapter(run.lm, run.stage("teach").checked("adapter"))')
    if isinstance(read, ScaleRead):
        named = f"wb.FORMATS[{read.format!r}]" if read.format is not None else "run.fmt"
        lines.append(f"read = {named}")
    elif read is not None:
        lines.append(f"read = {session.readout(read)!r}")
    return lines


def called(name: str, arguments: Mapping[str, Any], ending: Sequence[str]) -> list[str]:
    """Return the lines of a call of a patching function, and what follows it."""
    given = [f"    {key}={literal(value)}," for key, value in arguments.items()]
    return [f"found = wb.{name}(", "    lm, prompt, donor,", *given, ")", *ending]


def literal(value: Any) -> str:
    """Return a Python literal; the name ``read`` stands for itself."""
    return "read" if value is READ else pformat(value, width=_WIDTH, sort_dicts=False)


class _Read:
    """The variable ``read`` of a cell."""


READ = _Read()


def _prompt(session: Session, side: Side) -> str:
    if isinstance(side, QuestionPrompt):
        return f"list(conversations[{side.question}].tokens)"
    return pformat(session.prompt(side), width=_WIDTH, sort_dicts=False)


def _plain_name(name: str) -> str:
    path = Path(name)
    return str(path.resolve()) if path.exists() else name
