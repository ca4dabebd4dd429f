"""Run the process that :mod:`workbench.questions.exact` starts: requests as JSON lines in, verdicts
out (true, false, or null for no verdict).

It runs until its input ends.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from typing import Any

from math_verify import ExprExtractionConfig, LatexExtractionConfig, parse, verify

_SECONDS = 5
_HOW = (LatexExtractionConfig(), ExprExtractionConfig())


def compare(reply: str, answers: Sequence[str]) -> bool | None:
    """Return whether ``reply`` equals one of ``answers``; None where an expression cannot be
    compared in time.
    """
    said = _parsed(reply)
    if not said:
        return False
    unsure = False
    for answer in answers:
        gold = _parsed(answer) or _parsed(f"${answer}$")
        if not gold:
            unsure = True
        elif verify(gold, said, timeout_seconds=_SECONDS, raise_on_error=True):
            return True
    return None if unsure else False


def _parsed(text: str) -> list[Any]:
    # Errors are raised, because what took too long or could not be read is no wrong answer.
    found: list[Any] = parse(text, _HOW, parsing_timeout=_SECONDS, raise_on_error=True)
    return found


def main() -> None:
    """Answer requests until there are no more."""
    out = sys.stdout
    sys.stdout = sys.stderr
    out.write("ready\n")
    out.flush()
    for line in sys.stdin:
        request = json.loads(line)
        try:
            verdict = compare(request["reply"], request["answers"])
        except Exception:  # whatever the algebra raises, the reply has no verdict
            verdict = None
        out.write(json.dumps(verdict) + "\n")
        out.flush()


if __name__ == "__main__":
    main()
