"""Open a model without its weights: tokenizer, configuration, and modules that have shapes and no
numbers, for states that another engine recorded with it.
"""

from __future__ import annotations

import torch
from transformers import AutoConfig

from workbench.loading.remote import build_without_weights
from workbench.loading.stand_in import stand_in_architecture
from workbench.loading.tokenizer import open_tokenizer
from workbench.models import LanguageModel
from workbench.models.chat_template import DEFAULT_DATE
from workbench.models.source import explain_errors, find_source
from workbench.models.weights import Kernel

ATTENTION: Kernel = "sdpa"


def open_without_weights(spec: str) -> LanguageModel:
    """Return a model that tokenises prompts and has sizes, and whose passes fail.

    Raises:
        WorkbenchError: for an unknown model, and one whose tokenizer has no template.
    """
    source = find_source(spec, None, None)
    with explain_errors(spec, source):
        options = {"revision": source.revision}
        config = AutoConfig.from_pretrained(source.place, **options)
        tokenizer = open_tokenizer(source.place, spec, None, "chat", DEFAULT_DATE, options)
        model = build_without_weights(config, torch.float32, ATTENTION, False)
        row = stand_in_architecture(spec, model, ATTENTION)
    return LanguageModel(model, tokenizer, row, name=spec, revision=source.fingerprint or "")
