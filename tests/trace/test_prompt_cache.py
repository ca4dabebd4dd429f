from __future__ import annotations

import torch

from workbench.models import LanguageModel
from workbench.trace.hooks import bypass_layers
from workbench.trace.prompt_cache import PromptCache


def test_the_first_pass_is_kept_and_stands_before_later_ones() -> None:
    cache = PromptCache(2)
    first = torch.arange(4.0).reshape(1, 1, 4, 1)
    assert cache.get_seq_length() == 0
    keys, values = cache.update(first, first + 10, 0)
    assert torch.equal(keys, first)
    assert cache.kept[0][0].untyped_storage().nbytes() == 8
    for start in (20.0, 30.0):
        keys, values = cache.update(
            torch.full((1, 1, 1, 1), start), torch.full((1, 1, 1, 1), start + 1), 0
        )
        assert keys.flatten().tolist() == [0, 1, start]
        assert values.flatten().tolist() == [10, 11, start + 1]
    assert cache.get_seq_length() == 2


def test_what_one_row_left_stands_before_every_row_and_has_their_gradient() -> None:
    cache = PromptCache(1)
    first = torch.tensor([5.0]).reshape(1, 1, 1, 1).requires_grad_()
    cache.update(first, 2 * first, 0)
    rows = torch.tensor([1.0, 2.0, 3.0]).reshape(3, 1, 1, 1)
    keys, values = cache.update(rows, rows, 0)
    assert keys[..., 0].squeeze(1).tolist() == [[5, 1], [5, 2], [5, 3]]
    (keys.sum() + values.sum()).backward()
    assert first.grad is not None
    assert first.grad.item() == 3 + 3 * 2


def test_skipped_layers_pass_on_and_come_back(tiny_lm: LanguageModel) -> None:
    ids = torch.tensor([[5, 6, 7]])
    layers = tiny_lm.layers()
    wrapped = layers[0].forward
    layers[0].forward = wrapped
    with torch.no_grad():
        before = tiny_lm.base()(input_ids=ids).logits
        with bypass_layers(tiny_lm, len(layers)):
            embedded = tiny_lm.base()(input_ids=ids).logits
        expected = tiny_lm.head()(tiny_lm.final_norm()(tiny_lm.embedding()(ids)))
        assert torch.equal(tiny_lm.base()(input_ids=ids).logits, before)
    torch.testing.assert_close(embedded, expected)
    assert vars(layers[0])["forward"] is wrapped
    assert not any("forward" in vars(layer) for layer in layers[1:])
