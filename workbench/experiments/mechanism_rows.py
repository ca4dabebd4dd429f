"""List the experiments that test published works, each as one row.

All use a finished run of the main loop; a row's name is that of its work in
:data:`workbench.mechanisms.catalogue.WORKS`, of its folder in this room and of its page's folder.
The folder has ``run.py`` with the parameters (a class), ``run_NAME``, and ``page_of``.
"""

from __future__ import annotations

from workbench.experiments.experiment import Experiment


def _row(name: str, about: str, parameters: str) -> Experiment:
    """Return the row of the work ``name``; ``parameters`` is the class in its ``run.py``."""
    return Experiment(
        name,
        about,
        (f"{name}.run:{parameters}", f"{name}.run:run_{name}", f"{name}.run:page_of"),
        "default",
        name,
        on_finished_run=True,
    )


MECHANISMS: tuple[Experiment, ...] = (
    _row(
        "self_knowledge",
        "does the model know before it answers, better than another model or the question's text?",
        "SelfKnowledgeParameters",
    ),
    _row(
        "inflation_circuit",
        "does a compact set of MLPs and heads write the inflation of stated confidence?",
        "InflationParameters",
    ),
    _row(
        "accuracy_directions",
        "are being right and saying so orthogonal in the states, and does steering join them?",
        "DirectionParameters",
    ),
    _row(
        "gathered_confidence",
        "is confidence gathered after the answer and retrieved at the number?",
        "GatheredConfidenceParameters",
    ),
    _row(
        "commitment",
        "does reported confidence tell commitment or correctness, and does steering move it?",
        "CommitmentParameters",
    ),
)
