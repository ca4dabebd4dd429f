from __future__ import annotations

from collections.abc import Callable

import pytest
import torch

from workbench.elicit.baselines.chains import pack_tails, score_chains
from workbench.errors import WorkbenchError
from workbench.models import LanguageModel
from workbench.trace.forward import forward
from workbench.trace.layout import pad_prompts
from workbench.trace.token_tree import TokenTree

ROWS = [[5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15], [20, 21, 22], [30, 31, 32, 33, 34, 35, 36]]
STARTS = [11, 2, 7]
CHAINS = [(40, 41, 42), (50, 51, 52, 53, 54), ()]
ENDS = TokenTree((60, 61, 62), (-1, 0, -1))


def alone(lm: LanguageModel, tokens: list[int]) -> torch.Tensor:
    with torch.no_grad():
        return lm.decoder()(input_ids=torch.tensor([tokens])).last_hidden_state[0, -1]


@pytest.mark.parametrize("family", ["llama", "mistral", "gemma3_text", "gpt2"])
def test_a_chain_reads_as_its_own_string(
    make_tiny: Callable[..., LanguageModel], family: str
) -> None:
    """Chains of different length, one beginning inside its prompt, one empty, a second set of
    chains beside them.
    """
    lm = make_tiny(family)
    prompts = pad_prompts(ROWS, 0, lm.device)
    others = [(70,), (), (71, 72)]
    tail, (ends, more) = pack_tails(
        prompts,
        [
            score_chains(prompts, STARTS, CHAINS, ENDS),
            score_chains(prompts, [1, 3, 7], others, TokenTree()),
        ],
    )
    final = forward(lm, prompts, tail, torch.cat([ends, more], dim=1)).final
    for row, (prompt, start, chain) in enumerate(zip(ROWS, STARTS, CHAINS, strict=True)):
        whole = [*prompt[:start], *chain]
        for place, path in enumerate(([], [60], [60, 61], [62])):
            torch.testing.assert_close(
                final[row, place], alone(lm, [*whole, *path]), atol=2e-5, rtol=1e-4
            )
    for row, (start, chain) in enumerate(zip([1, 3, 7], others, strict=True)):
        torch.testing.assert_close(
            final[row, 4], alone(lm, [*ROWS[row][:start], *chain]), atol=2e-5, rtol=1e-4
        )


def test_a_chain_needs_a_token_before_it(tiny_lm: LanguageModel) -> None:
    prompts = pad_prompts(ROWS, 0, tiny_lm.device)
    for starts in ([0, 1, 1], [12, 1, 1]):
        with pytest.raises(WorkbenchError, match="beginning after"):
            score_chains(prompts, starts, CHAINS, ENDS)
