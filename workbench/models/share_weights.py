"""Make a second model object on the same weights, for modules that would change the first one.

An adapter is put into the modules it acts on. On a second model object it leaves the base model
unchanged, and the weights are still held once.
"""

from __future__ import annotations

from copy import deepcopy

from workbench.models.language_model import LanguageModel


def share_weights(lm: LanguageModel) -> LanguageModel:
    """Copy a model's modules around the very same parameters and buffers.

    Changing a weight in place changes it for both.
    """
    model = lm.model
    held = {id(tensor): tensor for tensor in (*model.parameters(), *model.buffers())}
    return lm.with_model(deepcopy(model, held), lm.invocation_length)
