"""Record the verdicts on published claims for ``docs/results``, from the records of finished runs.

    python docs/record_mechanisms.py runs/default runs/seed1 --machine "2 cores, bfloat16"

Every run is a folder on which experiments of :mod:`workbench.mechanisms` were run. Writes
``docs/results/data/mechanisms.json``, one table over works and models; ``docs/generate.py`` then
writes the page. Nothing is measured here.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from workbench.errors import WorkbenchError
from workbench.mechanisms.catalogue import WORKS
from workbench.mechanisms.gather import gather
from workbench.mechanisms.record import read_records
from workbench.mechanisms.table import table_rows

ROOT = Path(__file__).parents[1]
TARGET = ROOT / "docs" / "results" / "data" / "mechanisms.json"


def content_of(runs: list[Path], *, commit: str, machine: str, note: str) -> dict[str, Any]:
    """Return the content of the data file.

    Raises:
        WorkbenchError: for a run without records, and records that cannot be compared.
    """
    tested = gather(record for run in runs for record in read_records(run))
    order = list(WORKS)
    tested.sort(key=lambda each: order.index(each.work.name))
    return {
        "title": "Published claims on verbal confidence, confirmed or contradicted",
        "command": "workbench experiment NAME, for each work",
        "commit": commit,
        "machine": machine,
        "note": note,
        "brackets": "95 % intervals over questions, and over seeds where there are several",
        "settings": {"runs": [run.name for run in runs]},
        "rows": table_rows(tested),
    }


def main(words: list[str]) -> int:
    """Write the data file; returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("runs", nargs="+", type=Path)
    parser.add_argument("--commit", help="of the code that ran; default: the present one")
    parser.add_argument("--machine", required=True)
    parser.add_argument("--note", default="")
    given = parser.parse_args(words)
    commit = (
        given.commit
        or subprocess.run(
            ["git", "rev-parse", "--short", "HEAD"],
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=True,
        ).stdout.strip()
    )
    content = content_of(given.runs, commit=commit, machine=given.machine, note=given.note)
    TARGET.write_text(json.dumps(content, indent=1, allow_nan=False) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except WorkbenchError as error:
        sys.exit(f"Error: {error}")
