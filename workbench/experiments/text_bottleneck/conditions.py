"""List the conditions in which a run's model is followed, and put the model into one.

A condition is the base model, or that model with one adapter: the run's own, the one taught on
shuffled targets, or those of the two stages of a curriculum, which is taught for the analysis. All
are read on the same held-out questions, with the base model's answers. A new condition is a row.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

from workbench.errors import WorkbenchError
from workbench.loop.run import Run
from workbench.models import LanguageModel
from workbench.teach.recipes.curriculum import FIRST

CURRICULUM = "bottleneck_teach_curriculum"
"""The stage that teaches the curriculum."""


@dataclass(frozen=True)
class ModelCondition:
    """A condition of the model.

    Attributes:
        name: what summaries, tables and stages write.
        label: what pages write.
        readings: the stage that holds what is read in it.
        taught: the stage that taught its adapter; None for the base model.
        adapter: the adapter's folder in that stage.
    """

    name: str
    label: str
    readings: str
    taught: str | None = None
    adapter: str = "adapter"


BEFORE = ModelCondition("before", "before teaching", "elicit")
AFTER = ModelCondition("after", "after teaching", "elicit_tuned", "teach")
CONTROL = ModelCondition(
    "control", "taught on shuffled targets", "bottleneck_control", "teach_control"
)
FIRST_STAGE = ModelCondition(
    "first_stage",
    "after the curriculum's first stage",
    "bottleneck_first_stage",
    CURRICULUM,
    f"{FIRST}/adapter",
)
BOTH_STAGES = ModelCondition(
    "both_stages", "after the curriculum", "bottleneck_both_stages", CURRICULUM
)
CONDITIONS: Mapping[str, ModelCondition] = {
    each.name: each for each in (BEFORE, AFTER, CONTROL, FIRST_STAGE, BOTH_STAGES)
}
FURTHER = (CONTROL, FIRST_STAGE, BOTH_STAGES)
"""The conditions whose readings the run does not hold."""


def conditions_of(*, teaching: bool, curriculum: bool) -> tuple[ModelCondition, ...]:
    """Return the conditions that are followed, in the order of pages: the base model alone, or with
    the run's adapters, or with those of the curriculum too.

    Raises:
        WorkbenchError: for a curriculum without teaching.
    """
    if curriculum and not teaching:
        raise WorkbenchError(
            "A curriculum is taught: leave curriculum=true out, or the request for no teaching."
        )
    if not teaching:
        return (BEFORE,)
    return (BEFORE, AFTER, CONTROL, *((FIRST_STAGE, BOTH_STAGES) if curriculum else ()))


@contextmanager
def model_in(context: Run, condition: ModelCondition) -> Iterator[LanguageModel]:
    """Yield the model in a condition; an adapter is removed afterwards."""
    if condition.taught is None:
        yield context.lm
    else:
        taught = context.stage(condition.taught)
        with context.with_adapter_of(taught, condition.adapter) as lm:
            yield lm
