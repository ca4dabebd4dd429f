from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from peft import LoraConfig, get_peft_model

from workbench.api.donors import (
    Ablation,
    ModelPrompts,
    Noise,
    Vector,
    open_donor,
    written_states,
)
from workbench.api.prompt_runs import run_as_named
from workbench.api.prompts import encode_prompts
from workbench.errors import WorkbenchError
from workbench.models import LanguageModel


def logits(lm: LanguageModel) -> torch.Tensor:
    with run_as_named(lm), torch.no_grad():
        found: torch.Tensor = lm.model(torch.tensor([[5, 6, 7]])).logits
    return found


def test_a_plain_model_stands_for_its_own_weights(tiny_lm: LanguageModel) -> None:
    before = logits(tiny_lm)
    torch.manual_seed(0)
    config = LoraConfig(r=4, target_modules=["q_proj"], init_lora_weights=False)
    tuned = tiny_lm.with_model(get_peft_model(tiny_lm.model, config).eval().requires_grad_(False))
    assert torch.equal(logits(tiny_lm), before)
    after = logits(tuned)
    assert not torch.allclose(after, before)
    # Nothing of the switch is left behind.
    assert torch.equal(logits(tuned), after)
    assert not any(weight.requires_grad for weight in tuned.model.parameters())


def test_one_donor_prompt_serves_all(tiny_lm: LanguageModel) -> None:
    prompts = encode_prompts(tiny_lm, ["What", "the is"])
    with open_donor(tiny_lm, "is", prompts) as donor:
        assert isinstance(donor, ModelPrompts)
        assert donor.prompts.rows == encode_prompts(tiny_lm, "is").rows * 2
        assert donor.lm is tiny_lm


def test_a_float_array_is_a_vector(tiny_lm: LanguageModel) -> None:
    prompts = encode_prompts(tiny_lm, "What")
    for value in (np.ones(32), torch.ones(32)):
        with open_donor(tiny_lm, value, prompts) as donor:
            assert isinstance(donor, Vector)
    with open_donor(tiny_lm, np.array([5, 6]), prompts) as donor:
        assert isinstance(donor, ModelPrompts)


def test_written_states_by_hand() -> None:
    own = torch.tensor([[[1.0, 2.0]], [[3.0, 6.0]]])
    assert written_states(Ablation("zero"), own, None)[0].tolist() == [[[0.0, 0.0]], [[0.0, 0.0]]]
    assert written_states(Ablation("mean"), own, None)[0].tolist() == [[[3.0, 6.0]], [[1.0, 2.0]]]
    value, mode = written_states(Vector([5.0, 7.0], "add"), own, None)
    assert (value.tolist(), mode) == ([[[5.0, 7.0]]] * 2, "add")
    first, second = (written_states(Noise(2.0, seed), own, None)[0] for seed in (0, 0))
    assert torch.equal(first, second)
    assert not torch.equal(first, written_states(Noise(2.0, 1), own, None)[0])


@pytest.mark.parametrize(
    ("donor", "said"),
    [
        (Path("nowhere"), "There is no adapter in nowhere"),
        (["is", "is", "is"], "There are 3 donor prompts for 2 prompts"),
        (["What", "the is"], "Donor and prompt are the same tokens"),
        (None, "A patch needs a donor"),
    ],
)
def test_what_is_no_donor_is_refused(tiny_lm: LanguageModel, donor: Any, said: str) -> None:
    prompts = encode_prompts(tiny_lm, ["What", "the is"])
    with pytest.raises(WorkbenchError, match=said), open_donor(tiny_lm, donor, prompts):
        pass


def test_an_ablation_is_of_a_known_kind() -> None:
    with pytest.raises(WorkbenchError, match="zero or mean, not 'median'"):
        Ablation("median")  # type: ignore[arg-type]
