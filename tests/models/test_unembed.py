from __future__ import annotations

from collections.abc import Callable

import pytest
import torch

from workbench.models import LanguageModel, Precision, set_precision
from workbench.models.unembed import (
    CHUNK_BYTES,
    chunk_rows,
    unembed,
    unembed_reduced,
    unembed_tokens,
)

MakeTiny = Callable[..., LanguageModel]


@pytest.mark.parametrize("family", ["llama", "gemma2", "cohere2", "granite"])
def test_logits_are_the_models_own(make_tiny: MakeTiny, family: str) -> None:
    lm = make_tiny(family)
    ids = torch.arange(5, 15)[None]
    with torch.no_grad():
        logits = lm.base()(input_ids=ids).logits
        final = lm.decoder()(input_ids=ids).last_hidden_state
        torch.testing.assert_close(unembed(lm, final[0]), logits[0].float())


def test_a_chunks_logits_stay_under_the_bound(tiny_lm: LanguageModel) -> None:
    """The vocabulary, not the batch, sets the number of rows; one row is made whatever it takes."""
    for vocabulary in (384, 49152, 262144, 2**24):
        tiny_lm.config.vocab_size = vocabulary
        rows = chunk_rows(tiny_lm)
        assert rows == 1 or 4 * vocabulary * rows <= CHUNK_BYTES < 4 * vocabulary * (rows + 1)


def test_no_more_rows_than_a_chunk_are_read_at_once(
    tiny_lm: LanguageModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("workbench.models.unembed.CHUNK_BYTES", 4 * 384 * 5)
    final = torch.randn((3, 4, 32), generator=torch.Generator().manual_seed(0))
    seen: list[tuple[int, ...]] = []

    def largest(logits: torch.Tensor) -> torch.Tensor:
        seen.append(tuple(logits.shape))
        return logits.topk(2).values

    found = unembed_reduced(tiny_lm, final, largest)
    assert seen == [(5, 384), (5, 384), (2, 384)]
    torch.testing.assert_close(
        found, unembed(tiny_lm, final.reshape(12, 32)).topk(2).values.reshape(3, 4, 2)
    )


@pytest.mark.parametrize("family", ["llama", "gemma2", "cohere2", "granite", "phi"])
@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_the_logits_of_some_tokens_are_those_of_all(
    make_tiny: MakeTiny, family: str, precision: Precision
) -> None:
    lm, tokens = make_tiny(family), [7, 3, 200]
    set_precision(lm, precision)
    final = torch.randn((2, 3, lm.width), generator=torch.Generator().manual_seed(0)) * 5
    with torch.no_grad():
        found = unembed_tokens(lm, final, tokens)
        wanted = unembed(lm, final.flatten(0, 1))[:, tokens].reshape(2, 3, 3)
    torch.testing.assert_close(found, wanted)


def test_a_head_that_is_no_plain_linear_map_is_read_whole(tiny_lm: LanguageModel) -> None:
    final = torch.randn((4, 32), generator=torch.Generator().manual_seed(0))
    wanted = unembed_tokens(tiny_lm, final, [5, 9])

    class Other(torch.nn.Module):
        def __init__(self, inner: torch.nn.Module) -> None:
            super().__init__()
            self.inner = inner

        def forward(self, states: torch.Tensor) -> torch.Tensor:
            found: torch.Tensor = self.inner(states)
            return found

    tiny_lm.base().lm_head = Other(tiny_lm.base().lm_head)
    torch.testing.assert_close(unembed_tokens(tiny_lm, final, [5, 9]), wanted)
