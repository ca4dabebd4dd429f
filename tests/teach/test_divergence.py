from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.spatial.distance import jensenshannon

from workbench.config import LoraSettings
from workbench.models import LanguageModel
from workbench.teach.adapter import add_adapter
from workbench.teach.divergence import jensen_shannon, without_adapter

IDS = torch.tensor([[5, 6, 7, 20]])


def test_the_divergence_is_scipys() -> None:
    a, b = np.random.default_rng(0).dirichlet(np.ones(6), size=(2, 5))
    found = jensen_shannon(torch.tensor(a).log(), torch.tensor(b).log()).numpy()
    assert found == pytest.approx(jensenshannon(a, b, axis=1) ** 2)


def test_it_lies_between_nothing_and_log_two() -> None:
    apart = jensen_shannon(torch.tensor([0.0, -60.0]), torch.tensor([-60.0, 0.0]))
    assert float(apart) == pytest.approx(np.log(2), rel=1e-6)
    assert float(
        jensen_shannon(torch.tensor([0.3, 0.7]).log(), torch.tensor([0.3, 0.7]).log())
    ) == pytest.approx(0)


def test_the_adapter_is_off_inside_and_learns_behind(tiny_lm: LanguageModel) -> None:
    with torch.no_grad():
        base = tiny_lm.model(input_ids=IDS).logits
    tuned = add_adapter(tiny_lm, LoraSettings(rank=4, dropout=0.5))
    for name, parameter in tuned.model.named_parameters():
        if "lora_" in name:
            parameter.data.normal_(std=0.1, generator=torch.Generator().manual_seed(1))
    tuned.model.train()
    with without_adapter(tuned):
        inside = tuned.model(input_ids=IDS).logits
    assert torch.equal(inside, base)
    assert not inside.requires_grad
    assert tuned.model.training
    loss = tuned.model(input_ids=IDS).logits.sum()
    with without_adapter(tuned):
        tuned.model(input_ids=IDS)
    loss.backward()
    gradients = [p.grad for name, p in tuned.model.named_parameters() if "lora_" in name]
    assert all(gradient is not None and bool(gradient.abs().max() > 0) for gradient in gradients)
