"""Learn, on a finished run, the subspaces through which its confidence or its answers' correctness
acts on the number the model states; swap them between questions, and take them out.

A stage for each layer and condition of the model (:mod:`.search`), so a killed run goes on after
its last layer and further layers are added to those there. What a swap shows, and what it does not,
is said in :mod:`workbench.subspaces.result`; what is lost without a subspace in
:mod:`workbench.subspaces.removal`. A run is made first where there is none.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
from pydantic import Field

from workbench.config import RunConfig
from workbench.errors import WorkbenchError
from workbench.experiments.finished_run import READ_IN, open_or_make_run
from workbench.experiments.learned_subspaces.items import FEWEST_HELD_OUT, FEWEST_TRAINED
from workbench.experiments.learned_subspaces.page import make_page
from workbench.experiments.learned_subspaces.results import LayerSubspaces, read_layer
from workbench.experiments.learned_subspaces.search import search_layer
from workbench.experiments.parameters import Parameters
from workbench.loop.run import Run
from workbench.loop.states import states_of_stage
from workbench.mechanisms.record import BASE, TAUGHT
from workbench.models.embedded_models import title_of
from workbench.pipeline.stages import STRICT, Reuse, Stage, run_stages
from workbench.report import Page
from workbench.subspaces.search import MOST_DIRECTIONS

STAGE = "learned_subspaces/"
DEFAULT_LAYERS = 3
BOTH = "both"


class LearnedSubspacesParameters(Parameters):
    """The parameters: where and for what is searched, and on how many questions."""

    layers: tuple[Annotated[int, Field(ge=0)], ...] = Field(
        (), max_length=1000, description="layers; none: three over the upper half"
    )
    ranks: tuple[Annotated[int, Field(ge=1, le=MOST_DIRECTIONS)], ...] = Field(
        (1, 2, 4, 8), min_length=1, max_length=8, description="numbers of directions"
    )
    boundless: bool = Field(False, description="also find how many directions there are")
    variable: Literal["confidence", "correct"] = Field(
        "confidence", description="the model's own expected confidence, or right and wrong answers"
    )
    condition: Literal["base", "taught", "both"] = Field(
        "both",
        description="the model before teaching, which needs none in the run, after it, or both",
    )
    n_train: int = Field(
        128, ge=FEWEST_TRAINED, le=10**6, description="training questions, searched on"
    )
    n_held_out: int = Field(
        128, ge=FEWEST_HELD_OUT, le=10**6, description="held-out questions, measured on"
    )
    seeds: int = Field(1, ge=1, le=100, description="searches of each rank, a seed each")
    epochs: int = Field(20, ge=1, le=10**4, description="passes over the training questions")
    rate: float = Field(0.01, gt=0, le=1, description="Adam's first learning rate")
    tokens_per_forward: int = Field(
        2048, ge=1, le=10**7, description="tokens of a step of the search, which sets its batch"
    )
    precision: Literal["float32", "bfloat16"] = Field("float32", description="matrix products")


@dataclass(frozen=True)
class LearnedSubspacesResults:
    """What was found after each layer in each condition of the model."""

    config: RunConfig
    parameters: LearnedSubspacesParameters
    layers: Sequence[LayerSubspaces]
    trained: int
    held_out: int
    precision: str


def run_learned_subspaces(
    config: RunConfig | None,
    folder: Path,
    parameters: LearnedSubspacesParameters,
    *,
    figures: Path,
    reuse: Reuse = STRICT,
) -> LearnedSubspacesResults:
    """Search the run in ``folder``, which is made first if there is none; resume what was begun.

    Args:
        config: None to take the run as it is.

    Raises:
        WorkbenchError: before any forward of the search, for layers and ranks that do not fit the
            model.
    """
    run = open_or_make_run(config, folder, figures, reuse, taught=parameters.condition != BASE)
    run = run.in_precision(parameters.precision)
    layers = searched_layers(run, parameters)
    conditions = (BASE, TAUGHT) if parameters.condition == BOTH else (parameters.condition,)
    stages = {
        (condition, layer): _stage(parameters, condition, layer)
        for condition in conditions
        for layer in layers
    }
    run_stages(list(stages.values()), run, {})
    facts = run.stage(next(iter(stages.values())).name).facts()
    return LearnedSubspacesResults(
        run.config,
        parameters,
        [read_layer(run.stage(stage.name), *key) for key, stage in stages.items()],
        facts["trained"],
        facts["held_out"],
        facts["precision"],
    )


def searched_layers(run: Run, parameters: LearnedSubspacesParameters) -> list[int]:
    """Return the layers to search, ascending.

    Raises:
        WorkbenchError: for layers that the model lacks and ranks beyond its width.
    """
    states = states_of_stage(run.stage("elicit"))
    n_layers, width = states.shape[1], states.shape[-1]
    if max(parameters.ranks) > width:
        raise WorkbenchError(f"ranks is {list(parameters.ranks)}, but a state has {width} numbers.")
    if not parameters.layers:
        return default_layers(n_layers)
    if max(parameters.layers) >= n_layers:
        raise WorkbenchError(
            f"layers is {list(parameters.layers)}, but the model has layers 0 to {n_layers - 1}; "
            "leave it out for three over the upper half."
        )
    return sorted({*parameters.layers})


def default_layers(n_layers: int) -> list[int]:
    """Return three layers spread over the upper half, without the last, after which a swap is that
    of the readout itself.
    """
    last = max(0, n_layers - 2)
    spread = np.linspace(min(n_layers // 2, last), last, DEFAULT_LAYERS)
    return [int(layer) for layer in np.unique(spread.round())]


def _stage(parameters: LearnedSubspacesParameters, condition: str, layer: int) -> Stage:
    given = parameters.model_dump(exclude={"layers", "condition", "precision"})
    return Stage(
        f"{STAGE}{condition}-layer{layer}",
        partial(search_layer, condition=condition, layer=layer, **given),
        ("model", "elicit", "seed", "bootstrap_resamples"),
        READ_IN[condition],
        given=given,
    )


def page_of(results: LearnedSubspacesResults) -> Page:
    """Return the page."""
    model = title_of(results.config.model.name)
    words = "stated confidence" if results.parameters.variable == "confidence" else "correctness"
    return make_page(
        results.layers,
        title=f"Which directions of {model} carry its {words} into the number it states?",
        subject=f"{model}, searched on {results.trained} training questions, measured on "
        f"{results.held_out} held-out ones, matrix products in {results.precision}",
        configuration={
            "parameters": results.parameters.model_dump(mode="json"),
            "run": results.config.model_dump(mode="json"),
        },
    )
