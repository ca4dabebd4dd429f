"""Does a language model know when it is wrong, where, does that knowledge cause what it says, can
it be taught to say it?

The names below are the library's front door. Each is imported from its room when it is first used,
so that ``import workbench`` is quick and loads neither torch nor transformers. The whole loop is
``run_loop(config, folder, figures)``; everything else can be used on its own, and the rooms' own
packages export more.
"""

from __future__ import annotations

from importlib import import_module
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from workbench.config import RunConfig, load_config
    from workbench.elicit import FORMATS, Format, ask, ask_pairs, read_confidence
    from workbench.errors import WorkbenchError
    from workbench.experiments.recipes.run import teach_recipe
    from workbench.loop import run_loop
    from workbench.measure import Estimate, auroc2, auroc2_within, confidence_metrics
    from workbench.models import LanguageModel, load_model
    from workbench.patch import layer_sweep_of_scale
    from workbench.probe import fit_layerwise
    from workbench.questions import Question, builtin_questions, grade, read_questions
    from workbench.teach import load_adapter, train_adapter
    from workbench.trace import Patch, Site, patch_branches, record, record_states

__all__ = [
    "FORMATS",
    "Estimate",
    "Format",
    "LanguageModel",
    "Patch",
    "Question",
    "RunConfig",
    "Site",
    "WorkbenchError",
    "__version__",
    "ask",
    "ask_pairs",
    "auroc2",
    "auroc2_within",
    "builtin_questions",
    "confidence_metrics",
    "fit_layerwise",
    "grade",
    "layer_sweep_of_scale",
    "load_adapter",
    "load_config",
    "load_model",
    "patch_branches",
    "read_confidence",
    "read_questions",
    "record",
    "record_states",
    "run_loop",
    "teach_recipe",
    "train_adapter",
]

__version__ = version("confidence-workbench")

_ROOMS = {
    "FORMATS": "workbench.elicit",
    "Estimate": "workbench.measure",
    "Format": "workbench.elicit",
    "LanguageModel": "workbench.models",
    "Question": "workbench.questions",
    "RunConfig": "workbench.config",
    "WorkbenchError": "workbench.errors",
    "ask": "workbench.elicit",
    "ask_pairs": "workbench.elicit",
    "auroc2": "workbench.measure",
    "auroc2_within": "workbench.measure",
    "builtin_questions": "workbench.questions",
    "confidence_metrics": "workbench.measure",
    "fit_layerwise": "workbench.probe",
    "grade": "workbench.questions",
    "load_adapter": "workbench.teach",
    "load_config": "workbench.config",
    "load_model": "workbench.models",
    "layer_sweep_of_scale": "workbench.patch",
    "patch_branches": "workbench.trace",
    "record": "workbench.trace",
    "Patch": "workbench.trace",
    "Site": "workbench.trace",
    "read_confidence": "workbench.elicit",
    "read_questions": "workbench.questions",
    "record_states": "workbench.trace",
    "run_loop": "workbench.loop",
    "teach_recipe": "workbench.experiments.recipes.run",
    "train_adapter": "workbench.teach",
}


def __getattr__(name: str) -> Any:
    if name not in _ROOMS:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(_ROOMS[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
