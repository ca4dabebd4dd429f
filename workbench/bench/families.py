"""Measure which of transformers' model families the workbench can analyse, on tiny random models.

Every registered family is built tiny (:mod:`workbench.models.shrink`), its parts are read off it
and everything is verified as at the load of a real model (:mod:`workbench.loading`), attention
windows active. The outcome is "packed" (all branches in one forward), "loop" (one forward a
branch), "refused" (a check failed without which no number can be trusted) or "not built"
(transformers cannot make a tiny one, or it reads no text alone). A tiny model shares its code with
the family's real ones, and nothing else.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from workbench.errors import WorkbenchError
from workbench.loading.stand_in import character_tokenizer
from workbench.loading.verify import verify
from workbench.models import LanguageModel, derive_architecture
from workbench.models.chat_template import said
from workbench.models.components import missing_component_reason
from workbench.models.shrink import build, families, reads_more_than_text, tiny_config
from workbench.models.shrink_faults import find_fault, silence_transformers
from workbench.models.weights import kernel_for
from workbench.progress import track
from workbench.trace.sites import COMPONENTS

Outcome = Literal["packed", "loop", "refused", "not built"]
OUTCOMES: tuple[Outcome, ...] = ("packed", "loop", "refused", "not built")


@dataclass(frozen=True)
class FamilySupport:
    """What the workbench can do with a family.

    Attributes:
        whole: whether its models read images or sound as well.
        lacks: the components that none or not all of its layers have.
        why: of any outcome but "packed".
    """

    family: str
    whole: bool
    outcome: Outcome
    lacks: tuple[str, ...]
    why: str


def inspect_families(names: Sequence[str] = ()) -> list[FamilySupport]:
    """Inspect the families ``names``, all that are registered if there are none.

    Raises:
        WorkbenchError: for a name that is not registered.
    """
    known = families()
    for name in names:
        if name not in known:
            raise WorkbenchError(
                f"transformers registers no causal language model family {name!r}: use one of its "
                "model types, as in a model's config.json"
            )
    return [inspect_family(name) for name in track(names or known, "inspecting families")]


def inspect_family(family: str) -> FamilySupport:
    """Build a tiny model of ``family`` and verify it."""
    whole = reads_more_than_text(family)
    with silence_transformers(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of what the loop costs
        fault = find_fault(family)
        if fault:
            return FamilySupport(family, whole, "not built", (), fault)
        try:
            model = build(family, 0, kernel_for(tiny_config(family), "sdpa"))
            row = derive_architecture(model)
            lm = verify(LanguageModel(model, character_tokenizer(), row, family, family))
        except WorkbenchError as error:
            return FamilySupport(family, whole, "refused", (), str(error))
        except Exception as error:  # what a family's own code raises in a forward
            return FamilySupport(family, whole, "refused", (), said(error))
    lacks = tuple(c for c in COMPONENTS if missing_component_reason(lm, c))
    outcome: Outcome = "packed" if lm.architecture.packable else "loop"
    return FamilySupport(family, whole, outcome, lacks, lm.architecture.why_not)
