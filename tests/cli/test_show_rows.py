from __future__ import annotations

import io

from rich.console import Console

from workbench.cli.terminal import show_rows


def test_rows_are_printed_as_text_under_their_heads() -> None:
    out = io.StringIO()
    show_rows(
        Console(file=out, width=80),
        [{"arm": "[b]log", "AUROC2": "0.8\n[0.7, 0.9]"}, {"arm": "x", "AUROC2": ""}],
    )
    lines = [line.split() for line in out.getvalue().splitlines()]
    assert lines[0] == ["arm", "AUROC2"]
    assert lines[1] == ["[b]log", "0.8"]
    assert lines[2] == ["[0.7,", "0.9]"]
