"""A model on a server gives the numbers of the same model in this process; the weights here are on
the meta device, so every number came through a request.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from nnsight.schema.request import RequestModel

from tests.support.served import serve_copy
from workbench.elicit.answer import greedy_tokens
from workbench.errors import WorkbenchError
from workbench.models import LanguageModel
from workbench.models.server import server_of
from workbench.trace import record
from workbench.trace.hooked_loop import loop_branches
from workbench.trace.interventions import Patch
from workbench.trace.packed import patch_branches
from workbench.trace.record import record_states
from workbench.trace.sites import Site
from workbench.trace.subspace import Subspace
from workbench.trace.token_tree import TokenTree

MakeTiny = Callable[..., LanguageModel]
FAMILIES = ("llama", "gemma2", "gpt2", "gpt_oss")
PROMPTS = [list(range(5, 18)), [9, 10, 11], [30, 31, 32, 33, 34]]
ENDS = torch.tensor([12, 2, 4])
TREE = TokenTree((20, 21, 22), (-1, -1, 0))


def branches(seed: int = 0) -> list[list[Patch]]:
    """Whole states, an earlier token, two heads, an addition, and a change within a subspace."""
    draw = torch.Generator().manual_seed(seed)

    def value(width: int = 32) -> torch.Tensor:
        return torch.randn(3, width, generator=draw)

    axes = Subspace(torch.randn(32, 2, generator=draw))
    return [
        [Patch(Site(1), ENDS, value())],
        [Patch(Site(2), ENDS - 2, value()), Patch(Site(3), ENDS, value())],
        [
            Patch(Site(1, "head_out", 2), ENDS, value(8)),
            Patch(Site(1, "head_out", 1), ENDS, value(8)),
        ],
        [Patch(Site(2, "attn_out"), ENDS, value(), mode="add")],
        [Patch(Site(0), ENDS, value(), mode="within", subspace=axes)],
    ]


def readout(logits: torch.Tensor) -> torch.Tensor:
    return logits[..., [3, 17]].float() - logits.float().logsumexp(dim=-1, keepdim=True)


@pytest.mark.parametrize("family", FAMILIES)
def test_states_are_those_of_the_model_here(make_tiny: MakeTiny, family: str) -> None:
    lm = make_tiny(family)
    at = [[3, 12, 14], [0, 2, 4], [1, 4, 6]]
    sites = [Site(3), Site(0, "resid_pre"), Site(1, "attn_out")]
    found = record(serve_copy(lm), PROMPTS, at, sites, tree=TREE)
    torch.testing.assert_close(found, record(lm, PROMPTS, at, sites, tree=TREE), rtol=0, atol=1e-4)
    assert found.abs().max() > 0.1


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("tokens_per_forward", [10_000, 60])
def test_packed_sweeps_are_those_of_the_model_here(
    make_tiny: MakeTiny, family: str, tokens_per_forward: int
) -> None:
    lm = make_tiny(family)
    given: Any = {"tokens_per_forward": tokens_per_forward, "tree": TREE}
    expected = patch_branches(lm, PROMPTS, branches(), readout, **given)
    found = patch_branches(serve_copy(lm), PROMPTS, branches(), readout, **given)
    torch.testing.assert_close(found.base, expected.base, rtol=0, atol=1e-4)
    torch.testing.assert_close(found.patched, expected.patched, rtol=0, atol=1e-4)
    assert (found.patched[:, :3] - found.base[:, None]).abs().amax() > 0.1


def test_looped_sweeps_are_packed_ones(make_tiny: MakeTiny) -> None:
    served = serve_copy(make_tiny("qwen2"))
    packed, looped = (
        run(served, PROMPTS, branches(), readout, tokens_per_forward=200)
        for run in (patch_branches, loop_branches)
    )
    torch.testing.assert_close(looped.patched, packed.patched, rtol=0, atol=1e-4)


def test_a_model_that_cannot_be_packed_is_recorded_and_swept(make_tiny: MakeTiny) -> None:
    lm = make_tiny("falcon_h1")
    served = serve_copy(lm)
    torch.testing.assert_close(
        record_states(served, PROMPTS, [[2], [2], [2]]),
        record_states(lm, PROMPTS, [[2], [2], [2]]),
        rtol=0,
        atol=1e-4,
    )
    one = [[Patch(Site(1), ENDS, torch.ones(3, 32))]]
    found, expected = (
        patch_branches(each, PROMPTS, one, readout, tokens_per_forward=99) for each in (served, lm)
    )
    torch.testing.assert_close(found.patched, expected.patched, rtol=0, atol=1e-4)
    with pytest.raises(WorkbenchError, match="cannot be padded"):
        greedy_tokens(served, PROMPTS, 3, torch.zeros(384, dtype=torch.bool))


@pytest.mark.parametrize("family", FAMILIES)
def test_text_is_that_of_the_model_here(make_tiny: MakeTiny, family: str) -> None:
    """Rows end at their own stop token, past windows of eight tokens."""
    lm = make_tiny(family)
    free = torch.zeros(384, dtype=torch.bool)
    unbroken, _ = greedy_tokens(lm, PROMPTS, 12, free)
    stop = free.clone()
    stop[unbroken[0][4]] = True
    expected, scores = greedy_tokens(lm, PROMPTS, 12, stop)
    assert len(expected[0]) < 12
    tokens, found = greedy_tokens(serve_copy(lm), PROMPTS, 12, stop)
    assert tokens == expected
    for mine, theirs in zip(found, scores, strict=True):
        torch.testing.assert_close(mine, theirs, rtol=0, atol=1e-4)


def test_text_after_the_nodes_of_a_tree_does_not_see_them(make_tiny: MakeTiny) -> None:
    served = serve_copy(make_tiny("gemma2"))
    server = server_of(served)
    assert server is not None
    stop = torch.zeros(384, dtype=torch.bool)
    plain, after = (
        server.write(served, PROMPTS, limit=10, stop=stop, tree=tree, asked=[3])
        for tree in (TokenTree(), TREE)
    )
    assert plain.tokens == after.tokens
    torch.testing.assert_close(plain.scores, after.scores, rtol=0, atol=1e-4)
    assert plain.asked.shape == (3, 1, 1)
    assert after.asked.shape == (3, 4, 1)


def test_a_batch_is_one_request_that_returns_what_was_asked(
    make_tiny: MakeTiny, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is sent holds no weights, and what comes back no logits of the vocabulary."""
    lm, sizes = make_tiny("llama"), []
    pack = RequestModel.serialize

    def noting(tracer: Any, compress: bool = False) -> bytes:
        blob = pack(tracer, compress)
        sizes.append(len(blob))
        return blob

    monkeypatch.setattr(RequestModel, "serialize", staticmethod(noting))
    served = serve_copy(lm)
    server = server_of(served)
    assert server is not None
    stop = torch.zeros(384, dtype=torch.bool)
    found = server.write(
        served, PROMPTS, limit=4, stop=stop, tree=TREE, asked=[3, 17], positions=[[1], [2], [3]]
    )
    assert len(sizes) == 1
    assert sizes[0] < sum(parameter.numel() for parameter in lm.model.parameters())
    assert found.states is not None
    assert found.states.shape == (3, 4, 1, 32)
    assert found.asked.shape == (3, 4, 2)
    patch_branches(served, PROMPTS, branches(), readout, tokens_per_forward=10_000)
    record_states(served, PROMPTS, [[0], [0], [0]])
    assert len(sizes) == 3


def test_a_pass_that_nothing_sends_is_refused(make_tiny: MakeTiny) -> None:
    served = serve_copy(make_tiny("llama"))
    assert served.device == torch.device("cpu")
    for run in (served.decoder(), served.base(), served.layers()[0]):
        with pytest.raises(WorkbenchError, match=r"on a server: set model\.placement=device"):
            run(torch.zeros((1, 2), dtype=torch.long))
