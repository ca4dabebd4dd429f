from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch

from workbench.elicit.conversation import scale_tokens
from workbench.elicit.formats import FORMATS
from workbench.elicit.readout import expected_confidence
from workbench.elicit.trie import build_trie
from workbench.errors import WorkbenchError
from workbench.models import LanguageModel
from workbench.models.unembed import unembed
from workbench.patch import metrics
from workbench.patch.metrics import Metric, contrast, expected_confidence_of

MakeTiny = Callable[..., LanguageModel]


@pytest.mark.parametrize("kind", ["digits", "whole_numbers", "merged_space"])
def test_expectation_is_that_of_the_distribution(make_tiny: MakeTiny, kind: str) -> None:
    fmt = FORMATS["percent"]
    trie = scale_tokens(make_tiny("llama", kind).tokenizer, fmt).trie
    generator = torch.Generator().manual_seed(0)
    logits = 3 * torch.randn((6, len(trie.inner), len(trie.tokens) + 1), generator=generator)
    scores = logits.log_softmax(dim=-1)[..., :-1]
    expected = expected_confidence(trie.distribution(scores), trie.values, 100)
    read = scores if trie.tree.size else scores[:, 0]
    np.testing.assert_allclose(
        expected_confidence_of(trie, 100).value(read).numpy(), expected, rtol=1e-12
    )
    assert np.ptp(expected) > 0.01


def test_expectation_by_hand() -> None:
    """The number 1 with 0.5, of which a fifth goes on to 10; 2 with 0.25; a quarter off the
    scale.
    """
    trie = build_trie([[7], [7, 8], [9]], [1, 10, 2])
    assert trie.tokens == (7, 8, 9)
    scores = torch.tensor([[0.5, 1e-9, 0.25], [1e-9, 0.2, 1e-9]]).log()
    assert expected_confidence_of(trie, 10).value(scores[None]).item() == pytest.approx(
        (0.4 * 0.1 + 0.1 * 1.0 + 0.25 * 0.2) / 0.75
    )


def test_its_gradient_is_that_of_small_steps(make_tiny: MakeTiny) -> None:
    trie = scale_tokens(make_tiny("llama").tokenizer, FORMATS["percent"]).trie
    generator = torch.Generator().manual_seed(1)
    shape = (len(trie.inner), len(trie.tokens) + 1)
    logits = torch.randn(shape, generator=generator, dtype=torch.float64).requires_grad_()
    assert torch.autograd.gradcheck(
        lambda z: expected_confidence_of(trie, 100).value(z.log_softmax(dim=-1)[None, :, :-1]),
        (logits,),
    )


def test_a_metric_of_states_equals_that_of_their_logits(
    make_tiny: MakeTiny, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Chunks and the logits made anew in the backward change neither value nor gradient."""
    monkeypatch.setattr(metrics, "CHUNK_ROWS", 4)
    lm = make_tiny("gemma2")
    metric = expected_confidence_of(scale_tokens(lm.tokenizer, FORMATS["percent"]).trie, 100)
    final = torch.randn((3, 1 + metric.tree.size, 32), generator=torch.Generator().manual_seed(0))
    pieces, whole = final.clone().requires_grad_(), final.clone().requires_grad_()
    value = metric.of(lm, pieces)
    direct = metric.of_reduced(metric.readout(unembed(lm, whole)))
    assert value.shape == (3,)
    torch.testing.assert_close(value, direct)
    value.sum().backward()
    direct.sum().backward()
    assert pieces.grad is not None
    torch.testing.assert_close(pieces.grad, whole.grad)
    assert pieces.grad.abs().max() > 1e-6


def test_contrast_by_hand() -> None:
    logits = torch.tensor([[1.0, 2.0, 4.0, 8.0], [0.0, 0.0, 1.0, 0.0]])
    assert contrast([3, 1], [0, 2]).readout(logits).tolist() == [2.5, -0.5]
    with pytest.raises(WorkbenchError, match="either side"):
        contrast([], [1])


def test_a_metric_that_gives_no_number_per_row_is_named(tiny_lm: LanguageModel) -> None:
    with pytest.raises(WorkbenchError, match=r"one number per row, \[3\]; this one gave \[3, 2\]"):
        Metric(lambda logits: logits[:, :2]).of(tiny_lm, torch.zeros((3, 1, 32)))
