"""Refuse NaN and infinity where they arise, because an answer or a confidence read from them would
mean nothing.
"""

from __future__ import annotations

import torch
from torch import Tensor

from workbench.errors import WorkbenchError
from workbench.models.language_model import LanguageModel
from workbench.models.plain_weights import is_plain


def require_finite(lm: LanguageModel, values: Tensor) -> None:
    """Refuse ``values`` that hold NaN or infinity.

    Raises:
        WorkbenchError: when they do; it names the model, and the weights at fault.
    """
    if bool(torch.isfinite(values).all()):
        return
    wrong = [
        name
        for name, weight in lm.model.named_parameters()
        if is_plain(weight) and not bool(torch.isfinite(weight.detach()).all())
    ]
    if wrong:
        more = f" and {len(wrong) - 1} more" if len(wrong) > 1 else ""
        raise WorkbenchError(
            f"the model {lm.name!r} computes NaN or infinity, because its weights {wrong[0]}{more} "
            "hold such values: download the model "
            "(or train the adapter) again, and if its dtype is float16 load it with "
            "model.dtype=float32"
        )
    raise WorkbenchError(
        f"the model {lm.name!r} computes NaN or infinity from finite weights, because numbers grow "
        f"too large for {lm.dtype}: load it "
        "with model.dtype=float32 and model.precision=float32"
    )
