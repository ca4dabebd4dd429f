"""Report what every run has besides its results: the path of its page, and the seconds and memory
of its stages.
"""

from __future__ import annotations

from pathlib import Path

from workbench.pipeline.stages import StagedRun


def page(context: StagedRun) -> Path:
    """Return the path of the report's page."""
    return context.figures / "index.html"


def seconds(context: StagedRun, without: tuple[str, ...] = ()) -> dict[str, float]:
    """Return ``seconds.<stage>`` of every finished stage."""
    return {
        f"seconds.{n}": context.stage(n).facts()["seconds"]
        for n in context.keys
        if n not in without
    }
