"""The main loop as an experiment among the others: run or resumed, and read back as a page.

Every number is measured on questions that neither a probe nor an adapter was fitted on; ``before``
is the base model, ``after`` the model taught on the probe's targets. What it does not show: whether
another training seed or another set of questions would give the same.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from workbench.config import RunConfig
from workbench.experiments.page import Page
from workbench.experiments.parameters import Parameters
from workbench.loop import open_current_run, run_loop
from workbench.loop.report import LoopPage
from workbench.loop.results import loop_results
from workbench.pipeline import costs
from workbench.pipeline.stages import STRICT, Reuse
from workbench.report import Section


@dataclass(frozen=True)
class LoopResults:
    """The summary of a finished run, its figures, and its page, which the loop wrote."""

    config: RunConfig
    summary: Mapping[str, Any]
    sections: Sequence[Section]
    index: Path


def run_confidence_loop(
    config: RunConfig,
    folder: Path,
    parameters: Parameters | None = None,
    *,
    figures: Path,
    reuse: Reuse = STRICT,
) -> LoopResults:
    """Run or resume the whole loop and read its results; it has no parameters beside settings."""
    run_loop(config, folder, figures, reuse)
    run = open_current_run(config, folder, figures)
    page = LoopPage(run, loop_results(run))
    return LoopResults(config, page.summary(), page.figures(), costs.page(run))


def page_of(results: LoopResults) -> Page:
    """Return the page of the run, which is there already."""
    return Page(
        f"Does {results.config.model.shown} know when it is wrong?",
        results.sections,
        results.summary,
        results.config.model_dump(mode="json"),
        written_by=lambda _: results.index,
    )
