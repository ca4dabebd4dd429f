"""Say at which positions a run's states are recorded and probed.

They are those of every conversation, and those of the thought where the conversations show one.
Once the stage that reads confidence has finished they stand in its results, so no model is needed.
"""

from __future__ import annotations

from workbench.elicit.conversation import POSITIONS
from workbench.elicit.thought_positions import THOUGHT_POSITIONS, shows_thought
from workbench.loop.run import Run


def run_positions(context: Run) -> tuple[str, ...]:
    """Return the names of the positions of the run's recorded states, in their order."""
    if not context.fmt.thinking:
        return POSITIONS
    if "elicit" in context.keys and context.stage("elicit").done:
        return tuple(context.stage("elicit").facts()["positions"])
    shown = shows_thought(context.lm.tokenizer, context.fmt)
    return (*POSITIONS, *THOUGHT_POSITIONS) if shown else POSITIONS
