from __future__ import annotations

import torch

from workbench.bench.inputs import READ, make_inputs
from workbench.models import LanguageModel


def test_the_plain_forward_is_the_models_own(tiny_lm: LanguageModel) -> None:
    bench_inputs = make_inputs(tiny_lm, rows=2, tokens=9)
    with torch.no_grad():
        logits = tiny_lm.base()(input_ids=torch.tensor(bench_inputs.prompts)).logits[:, -1]
    torch.testing.assert_close(bench_inputs.forward(), logits.log_softmax(dim=-1)[:, list(READ)])
    torch.testing.assert_close(
        bench_inputs.packed(bench_inputs.layers([0])).base, bench_inputs.forward()
    )


def test_donors_are_of_other_prompts(tiny_lm: LanguageModel) -> None:
    bench_inputs = make_inputs(tiny_lm, rows=1, tokens=9, positions=3)
    assert bench_inputs.donors.shape == (1, 4, 3, 32)
    outcome = bench_inputs.packed(bench_inputs.layers([3]))
    assert float((outcome.patched[:, 0] - outcome.base).abs().min()) > 1e-3


def test_donors_reach_back_no_further_than_the_prompt(tiny_lm: LanguageModel) -> None:
    assert make_inputs(tiny_lm, rows=1, tokens=4, positions=32).donors.shape[2] == 4
