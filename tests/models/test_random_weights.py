from __future__ import annotations

import torch

from workbench.models import LanguageModel
from workbench.models.random_weights import random_like


def test_a_random_model_has_the_shape_and_none_of_the_weights(tiny_lm: LanguageModel) -> None:
    before = torch.random.get_rng_state()
    one, same, other = (random_like(tiny_lm, seed) for seed in (3, 3, 4))
    assert torch.equal(torch.random.get_rng_state(), before)
    ids = torch.tensor([[5, 9, 80]])
    first, again, second, trained = (lm.model(ids).logits for lm in (one, same, other, tiny_lm))
    assert first.shape == trained.shape
    assert torch.equal(first, again)
    assert not torch.allclose(first, second)
    assert not torch.allclose(first, trained)
    assert not any(weight.requires_grad for weight in one.model.parameters())
    assert one.tokenizer is tiny_lm.tokenizer
    assert one.revision != tiny_lm.revision
