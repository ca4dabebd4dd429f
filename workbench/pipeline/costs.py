"""Report what every run has besides its results: the path of its page, which stages have finished,
and the seconds, memory and bytes moved between devices of each.
"""

from __future__ import annotations

from pathlib import Path

from workbench.pipeline.stages import StagedRun


def page(context: StagedRun) -> Path:
    """Return the path of the report's page."""
    return context.figures / "index.html"


def finished_stages(context: StagedRun) -> tuple[str, ...]:
    """Return the names of the stages in the run's keys that finished with these keys.

    Raises:
        WorkbenchError: where a file of one was damaged.
    """
    return tuple(name for name in context.keys if context.stage(name).done)


def seconds(context: StagedRun, without: tuple[str, ...] = ()) -> dict[str, float]:
    """Return ``seconds.<stage>`` of every finished stage."""
    return {
        f"seconds.{name}": context.stage(name).facts()["seconds"]
        for name in finished_stages(context)
        if name not in without
    }


def moved_bytes(context: StagedRun) -> dict[str, int]:
    """Return ``moved_bytes.<stage>`` of every finished stage that moved tensors between devices."""
    facts = {name: context.stage(name).facts() for name in finished_stages(context)}
    return {
        f"moved_bytes.{name}": f["moved_bytes"] for name, f in facts.items() if "moved_bytes" in f
    }
