from __future__ import annotations

import pytest
import torch
from transformers.utils import logging as host_logging

from workbench.models.shrink import build
from workbench.models.shrink_faults import PROMPT, find_fault, find_faults, read_prompt


def test_a_family_that_runs_has_no_fault() -> None:
    assert find_fault("llama") == ""
    assert find_fault("llama", "sdpa") == ""


def test_a_family_that_needs_an_image_says_so() -> None:
    why = find_fault("blip")
    assert why.startswith("it cannot read text alone: TypeError: ")
    assert "pixel_values" in why


def test_a_kernel_that_a_family_lacks_is_the_reason() -> None:
    assert "sdpa" not in find_fault("gpt2")
    assert find_fault("gpt2", "no_such_kernel").startswith("it cannot be built: ")


def test_only_faults_are_returned() -> None:
    assert list(find_faults(["llama", "blip"])) == ["blip"]


def test_logits_that_are_not_finite_are_a_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    model = build("llama")
    with torch.no_grad():
        model.lm_head.weight[5] = float("nan")
    assert not read_prompt(model).isfinite().all()
    monkeypatch.setattr("workbench.models.shrink_faults.build", lambda *_, **__: model)
    assert find_fault("llama") == "its logits are not all finite"


def test_the_prompt_is_of_the_smallest_vocabulary_and_has_no_special_token() -> None:
    assert len(PROMPT) == 20
    assert 2 < min(PROMPT) <= max(PROMPT) < 260


def test_what_transformers_reports_is_as_before() -> None:
    before = host_logging.get_verbosity()
    find_fault("blip")
    assert host_logging.get_verbosity() == before
