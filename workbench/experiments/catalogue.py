"""List the experiments, each as one row, and run any of them.

All have the same form: a class of parameters; a function ``run(config, folder, parameters, *,
figures, reuse)`` that does its work in stages, so that it resumes, seals finished stages, refuses
other settings, and returns results; and a function that makes a page of results. The tests of
published works have rows in :mod:`.mechanism_rows`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from html import escape
from pathlib import Path
from typing import Any

from workbench.config import RunConfig, resolve, user_settings
from workbench.errors import WorkbenchError
from workbench.experiments.experiment import Experiment
from workbench.experiments.mechanism_rows import MECHANISMS
from workbench.experiments.parameters import Parameters, split_assignments
from workbench.files.names import folder_named
from workbench.files.ownership import FIGURES, require_claimable
from workbench.pipeline.stages import STRICT, Reuse
from workbench.report import Page, describe, write_page


@dataclass(frozen=True)
class Request:
    """A person's request, which changes an experiment's defaults.

    Attributes:
        name: name of the run; None for the experiment's default.
        config: a file with settings.
        assignments: parameters and dotted settings by name.
        reuse: the rules for results that no longer fit.
    """

    name: str | None = None
    config: Path | None = None
    assignments: Mapping[str, Any] = field(default_factory=dict)
    reuse: Reuse = STRICT


@dataclass(frozen=True)
class Finished:
    """A finished experiment: its results, its page, and where that was written."""

    results: Any
    page: Page
    index: Path

    def _repr_html_(self) -> str:
        lines = [*describe(self.page), f"figures: {self.index}"]
        return f"<h3>{escape(self.page.title)}</h3><pre>{escape(chr(10).join(lines))}</pre>"


def perform(
    experiment: Experiment,
    request: Request,
    *,
    runs: Path,
    figures: Path,
    parameters: Parameters | None = None,
) -> Finished:
    """Run an experiment as requested and write its page; resume what was begun.

    Args:
        runs: the folder of all runs.
        figures: the folder of all figures.
        parameters: the parameters that the request's assignments change; None for the defaults.

    Raises:
        WorkbenchError: before any work, for unknown parameters and settings, values out of range,
            and a folder of figures that is somebody else's.
    """
    name = experiment.run_name if request.name is None else request.name
    folder, run_figures = folder_named(runs, name), folder_named(figures, name)
    chosen = experiment.parameters() if parameters is None else parameters
    own, settings = split_assignments(type(chosen), request.assignments)
    chosen = chosen.replace(own)
    resolved = resolve(
        RunConfig(), experiment.settings, {}, user_settings(request.config, settings)
    )
    config: Any = resolved if experiment.trains else resolved.config
    if experiment.on_finished_run and request.config is None and not settings:
        config = None
    page_folder = run_figures / experiment.page_folder
    require_claimable(page_folder, FIGURES)
    results = experiment.run(config, folder, chosen, figures=run_figures, reuse=request.reuse)
    page = experiment.page_of(results)
    return Finished(results, page, write_page(page, page_folder))


def experiment_named(name: str) -> Experiment:
    """Return the experiment of this name.

    Raises:
        WorkbenchError: where there is none, listing those there are.
    """
    if name not in EXPERIMENTS:
        raise WorkbenchError(
            f"There is no experiment {name!r}; choose from {', '.join(EXPERIMENTS)}."
        )
    return EXPERIMENTS[name]


EXPERIMENTS: Mapping[str, Experiment] = {
    row.name: row
    for row in (
        Experiment(
            "confidence_loop",
            "does the model know when it is wrong, and can it be taught to say it?",
            (
                "parameters:Parameters",
                "confidence_loop:run_confidence_loop",
                "confidence_loop:page_of",
            ),
            "default",
        ),
        Experiment(
            "elicitation",
            "how sure does the model say it is, asked in one format?",
            (
                "parameters:Parameters",
                "elicitation:run_elicitation",
                "elicitation:page_of",
            ),
            "elicitation",
            settings={"questions.limit": 100},
        ),
        Experiment(
            "baselines",
            "what does the model know without training, and at what cost?",
            (
                "baselines.run:BaselineParameters",
                "baselines.run:run_baselines",
                "baselines.page:page_of",
            ),
            "baselines",
            settings={"questions.limit": 140},
        ),
        Experiment(
            "confidence_alignment",
            "does stated confidence rise with the probability of the chosen option?",
            (
                "parameters:Parameters",
                "confidence_alignment.run:run_alignment",
                "confidence_alignment.page:page_of",
            ),
            "confidence_alignment",
            settings={"questions.limit": 200},
        ),
        Experiment(
            "text_bottleneck",
            "where between hidden state and text is what the model knows lost?",
            (
                "text_bottleneck.run:BottleneckParameters",
                "text_bottleneck.run:run_bottleneck",
                "text_bottleneck.page:page_of",
            ),
            "default",
            "bottleneck",
            on_finished_run=True,
        ),
        Experiment(
            "steering",
            "can the model be steered into saying what its probe knows?",
            (
                "steering.run:SteeringParameters",
                "steering.run:run_steering",
                "steering.page:page_of",
            ),
            "default",
            "steering",
            on_finished_run=True,
        ),
        Experiment(
            "patching_maps",
            "where is the stated confidence written, before teaching and after?",
            (
                "patching_maps.run:PatchingParameters",
                "patching_maps.run:run_patching_maps",
                "patching_maps.page:page_of",
            ),
            "default",
            "patching_maps",
            on_finished_run=True,
        ),
        Experiment(
            "learned_subspaces",
            "which directions carry confidence into the number, and what is lost without them?",
            (
                "learned_subspaces.run:LearnedSubspacesParameters",
                "learned_subspaces.run:run_learned_subspaces",
                "learned_subspaces.run:page_of",
            ),
            "default",
            "learned_subspaces",
            on_finished_run=True,
        ),
        Experiment(
            "known_circuits",
            "are known circuits found: where do a name, a fact and a year move the answer?",
            (
                "known_circuits.run:CircuitParameters",
                "known_circuits.run:run_known_circuits",
                "known_circuits.page:page_of",
            ),
            "known_circuits",
        ),
        Experiment(
            "robustness",
            "what of the loop's result holds over seeds, precisions and ways of teaching?",
            (
                "robustness.run:RobustnessParameters",
                "robustness.run:run_robustness",
                "robustness.page:page_of",
            ),
            "robustness",
            settings={"questions.skip": 580},
        ),
        Experiment(
            "league",
            "which recipe teaches a model to say what it knows?",
            ("league.run:LeagueParameters", "league.run:run_league", "league.run:page_of"),
            "recipes",
            "league",
            trains=True,
        ),
        Experiment(
            "transfer",
            "does confidence taught on one domain carry over to the others?",
            (
                "transfer.run:TransferParameters",
                "transfer.run:run_transfer",
                "transfer.run:page_of",
            ),
            "transfer",
            "transfer",
            settings={"questions.limit": 800},
            trains=True,
        ),
        Experiment(
            "calibration",
            "what makes calibration tuning work?",
            (
                "calibration.study:CalibrationParameters",
                "calibration.study:run_calibration",
                "calibration.study:page_of",
            ),
            "calibration",
            "calibration",
            trains=True,
        ),
        *MECHANISMS,
    )
}
