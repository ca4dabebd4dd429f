from __future__ import annotations

import torch

from workbench.bench.inputs import READ, make_material
from workbench.models import LanguageModel


def test_the_plain_forward_is_the_models_own(tiny_lm: LanguageModel) -> None:
    material = make_material(tiny_lm, rows=2, tokens=9)
    with torch.no_grad():
        logits = tiny_lm.base()(input_ids=torch.tensor(material.prompts)).logits[:, -1]
    torch.testing.assert_close(material.forward(), logits.log_softmax(dim=-1)[:, list(READ)])
    torch.testing.assert_close(material.packed(material.layers([0])).base, material.forward())


def test_donors_are_of_other_prompts(tiny_lm: LanguageModel) -> None:
    material = make_material(tiny_lm, rows=1, tokens=9, positions=3)
    assert material.donors.shape == (1, 4, 3, 32)
    outcome = material.packed(material.layers([3]))
    assert float((outcome.patched[:, 0] - outcome.base).abs().min()) > 1e-3


def test_donors_reach_back_no_further_than_the_prompt(tiny_lm: LanguageModel) -> None:
    assert make_material(tiny_lm, rows=1, tokens=4, positions=32).donors.shape[2] == 4
