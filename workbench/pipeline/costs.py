"""What every run ends in beside its results: where its page stands, and the seconds and memory
of its stages.
"""

from __future__ import annotations

from pathlib import Path

from workbench.pipeline.stages import StagedRun


def page(context: StagedRun) -> Path:
    """Where the report's page stands."""
    return context.figures / "index.html"


def seconds(context: StagedRun, without: tuple[str, ...] = ()) -> dict[str, float]:
    """``seconds.<stage>`` of every finished stage."""
    return {
        f"seconds.{n}": context.stage(n).facts()["seconds"]
        for n in context.keys
        if n not in without
    }
