"""Define the models a recipe's run trains: an arm with a seed each, its settings, and the names of
its stages.

An arm's settings apply where the user wrote nothing (:func:`workbench.config.resolve`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from workbench.config import Resolved, TeachSettings, with_arm
from workbench.errors import WorkbenchError
from workbench.loop.conditions import Condition
from workbench.teach.recipes import Arm, Recipe


@dataclass(frozen=True)
class Training:
    """An arm trained with one seed.

    Attributes:
        shuffled_control: whether the arm is also trained on shuffled targets.
        probe: whether probes are fitted again on its states.
    """

    recipe: str
    arm: Arm
    seed: int
    first_seed: int
    teach: TeachSettings
    shuffled_control: bool
    probe: bool

    @property
    def condition(self) -> Condition:
        """The condition whose confidence is judged."""
        first = self.seed == self.first_seed
        return Condition(arm=self.arm.name, seed=None if first else self.seed)

    @property
    def control(self) -> Condition:
        """The condition of the control, trained on shuffled targets."""
        return replace(self.condition, control=True)

    @property
    def name(self) -> str:
        """The condition's name in tables and figures."""
        return self.condition.name

    @property
    def states_confidence(self) -> bool:
        """Whether it states confidence as text; a head on the model does not."""
        return self.arm.head_reader is None

    def stage(self, kind: str) -> str:
        """Return name and folder of its stage ``teach``, ``elicit``, ``teach_control``,
        ``elicit_control``, ``elicit_own_answers`` or ``probe``.
        """
        return f"recipes/{self.recipe}/{self.arm.name}/{self.seed}/{kind}"


def check_names(taught: Sequence[Training]) -> None:
    """Refuse trainings whose conditions would be written alike, such as an arm "soft-seed1" and the
    second seed of "soft".

    Raises:
        WorkbenchError: naming the name both would have.
    """
    conditions = [
        condition
        for one in taught
        for condition in (one.condition, *([one.control] if one.shuffled_control else []))
    ]
    names = [condition.name for condition in conditions]
    twice = next((name for place, name in enumerate(names) if name in names[:place]), None)
    if twice is not None:
        raise WorkbenchError(
            f"Two trainings would both be called {twice!r}: an arm of that name, and a seed or "
            "control of another; give the arm, or the domain it is taught on, another name."
        )


def report_stage(recipe: Recipe) -> str:
    """Return name and folder of the stage that reports on ``recipe``."""
    return f"recipes/{recipe.name}/report"


def trainings(
    resolved: Resolved,
    recipe: Recipe,
    arms: Sequence[Arm],
    seeds: int,
    probed: bool,
    controls: bool = True,
) -> list[Training]:
    """Return every arm with ``seeds`` seeds from the run's on; the first of them gets a control on
    shuffled targets, where ``controls`` are wanted.

    Raises:
        WorkbenchError: where a number of updates is set and no arm counts them.
    """
    if resolved.config.teach.on_policy_steps is not None and not any(arm.on_policy for arm in arms):
        raise WorkbenchError(
            "teach.on_policy_steps counts the updates of arms that sample replies, and "
            f"{' and '.join(arm.name for arm in arms)} "
            "of this recipe do not; set teach.epochs."
        )
    first = resolved.config.seed
    return [
        Training(
            recipe=recipe.name,
            arm=arm,
            seed=seed,
            first_seed=first,
            teach=arm_settings(resolved, arm),
            shuffled_control=controls and seed == first,
            probe=probed and seed == first and arm.head_reader is None,
        )
        for arm in arms
        for seed in range(first, first + seeds)
    ]


def arm_settings(resolved: Resolved, arm: Arm) -> TeachSettings:
    """Resolve the arm's training settings; a number of updates applies only to arms that sample."""
    teach = with_arm(resolved, arm.teach).config.teach
    return teach if arm.on_policy else teach.model_copy(update={"on_policy_steps": None})
