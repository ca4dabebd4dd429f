"""Record a study of intervals for ``docs/results``: its shares of misses as JSON.

    workbench bench coverage --tables 400 --json > now.json
    python docs/record_coverage.py now.json --before old.json --commit abc1234 --machine "2 cores"

Cells of the same law, size and measure are added up over the files, so that a study may be run in
rounds with other seeds. Writes ``docs/results/data/coverage.json``; ``docs/generate.py`` then
writes the page.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from workbench.bench.coverage_cell import Cell
from workbench.bench.coverage_laws import SWEEP_LAWS
from workbench.bench.coverage_page import grouped, missed, worst
from workbench.measure.interval import Estimate

TARGET = Path(__file__).parent / "results" / "data" / "coverage.json"
DIGITS = 4


def read_cells(paths: Sequence[Path]) -> tuple[list[Cell], dict[str, Any]]:
    """Return the cells of all files, added up, and the settings of the last."""
    found: dict[tuple[str, int, str], Cell] = {}
    study: dict[str, Any] = {}
    for path in paths:
        content = json.loads(path.read_text(encoding="utf-8"))
        study = content["study"]
        for row in content["cells"]:
            numbers = {
                name: float("nan") if value is None else value for name, value in row.items()
            }
            cell = Cell(**{name: numbers[name] for name in Cell.__dataclass_fields__})
            key = (cell.law, cell.n, cell.measure)
            found[key] = _added(found[key], cell) if key in found else cell
    return list(found.values()), study


def _added(one: Cell, other: Cell) -> Cell:
    counted = ("tables", "intervals", "low", "high")
    return replace(one, **{name: getattr(one, name) + getattr(other, name) for name in counted})


def rows_of(before: Sequence[Cell], now: Sequence[Cell]) -> list[dict[str, Any]]:
    """Return the rows of the page: a section a size, a row a measure, columns before and now."""
    sides = {"before": grouped(before), "now": grouped(now)}
    keys = dict.fromkeys(key for side in sides.values() for key in side)
    order = sorted(keys, key=lambda key: (_is_sweep(sides, key), key[1]))
    return [
        {"section": _section(sides, key), "row": key[0], "column": column} | numbers
        for key in order
        for side, by in sides.items()
        for column, numbers in _columns(side, by.get(key, [])).items()
    ]


def _is_sweep(sides: dict[str, dict[tuple[str, int], list[Cell]]], key: tuple[str, int]) -> bool:
    return any(cell.law in SWEEP_LAWS for by in sides.values() for cell in by.get(key, []))


def _section(sides: dict[str, dict[tuple[str, int], list[Cell]]], key: tuple[str, int]) -> str:
    return f"Sweeps of {key[1]} questions" if _is_sweep(sides, key) else f"{key[1]} answers"


def _columns(side: str, cells: Sequence[Cell]) -> dict[str, dict[str, Any]]:
    held = [cell for cell in cells if cell.tables]
    if not held:
        return {}
    bad, total = worst(held), missed(held)
    without = 1 - sum(c.intervals for c in held) / sum(c.tables for c in held)
    lonely = float("nan")
    found = {
        f"{side}: misses": total,
        f"{side}: worst law": Estimate(lonely if bad is None else bad.missed, lonely, lonely, 0),
    }
    if side == "now":
        found["now: without interval"] = Estimate(without, lonely, lonely, total.n)
    return {
        name: {
            "value": _rounded(each.value),
            "low": _rounded(each.low),
            "high": _rounded(each.high),
            "n": each.n,
        }
        for name, each in found.items()
    }


def _rounded(number: float) -> float | None:
    return None if number != number else float(f"{number:.{DIGITS}g}")


def main(words: list[str]) -> int:
    """Write the data file; returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("now", nargs="+", type=Path)
    parser.add_argument("--before", nargs="*", type=Path, default=[])
    parser.add_argument("--commit", required=True)
    parser.add_argument("--machine", required=True)
    parser.add_argument("--note", default="")
    given = parser.parse_args(words)
    now, study = read_cells(given.now)
    before, _ = read_cells(given.before)
    content = {
        "title": "Do the intervals cover",
        "command": "workbench bench coverage",
        "commit": given.commit,
        "machine": given.machine,
        "note": given.note,
        "brackets": "95 % binomial intervals of the share of misses, all laws together",
        "settings": study,
        "rows": rows_of(before, now),
    }
    TARGET.write_text(json.dumps(content, indent=1, allow_nan=False) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
