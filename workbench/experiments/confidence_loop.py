"""Run the main loop as an experiment among the others: run or resume it, and read it back as a
page.

Every number is measured on questions that neither a probe nor an adapter was fitted on; ``before``
is the base model, ``after`` the model trained on the probe's targets. The run does not show whether
another training seed or another set of questions would give the same.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from workbench.config import RunConfig
from workbench.experiments.parameters import Parameters
from workbench.loop import open_current_run, run_loop
from workbench.loop.report import loop_page
from workbench.loop.results import LoopResults
from workbench.loop.run import Run
from workbench.loop.seed_results import results_with_seeds
from workbench.pipeline.stages import STRICT, Reuse
from workbench.report import Page


@dataclass(frozen=True)
class FinishedLoop:
    """A finished run, and its results read back."""

    run: Run
    results: LoopResults


def run_confidence_loop(
    config: RunConfig,
    folder: Path,
    parameters: Parameters | None = None,
    *,
    figures: Path,
    reuse: Reuse = STRICT,
) -> FinishedLoop:
    """Run or resume the whole loop and read its results; it has no parameters besides settings."""
    run_loop(config, folder, figures, reuse)
    run = open_current_run(config, folder, figures)
    return FinishedLoop(run, results_with_seeds(run))


def page_of(results: FinishedLoop) -> Page:
    """Return the page of the run, the one that its last stage wrote."""
    return loop_page(results.run, results.results)
