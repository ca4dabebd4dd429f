"""Rotary positions whose factors depend on a pass's length, with a boundary of 24 tokens, against
plain forwards of single rows in fresh models.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from transformers.modeling_rope_utils import ROPE_INIT_FUNCTIONS

from workbench.elicit.answer import answer_batch
from workbench.errors import WorkbenchError
from workbench.models import LanguageModel
from workbench.models.room import room_of
from workbench.teach.examples import Example, TokenTarget
from workbench.teach.training_forward import Passes
from workbench.trace.backends import engine
from workbench.trace.forward import every_layer
from workbench.trace.interventions import Patch
from workbench.trace.layout import pad_prompts
from workbench.trace.prefix_cache import PrefixCache
from workbench.trace.record import record
from workbench.trace.sites import Site
from workbench.trace.suffix import cache_common_prefix, forward_suffix
from workbench.trace.token_tree import NO_TREE, TokenTree

MOST = 24
LONGROPE = {
    "rope_type": "longrope",
    "rope_theta": 10000.0,
    "short_factor": [1.0] * 4,
    "long_factor": [4.0] * 4,
    "original_max_position_embeddings": MOST,
}
CHANGES: dict[str, dict[str, Any]] = {
    "phi3": {
        "max_position_embeddings": 96,
        "original_max_position_embeddings": MOST,
        "rope_parameters": LONGROPE,
    },
    "llama": {
        "max_position_embeddings": MOST,
        "rope_parameters": {"rope_type": "dynamic", "rope_theta": 1e4, "factor": 8.0},
    },
}
FAMILIES = pytest.mark.parametrize("family", CHANGES)
ENGINES = ("packed", "loop", "nnsight", "transformer-lens")
TREE = TokenTree((5, 6, 7), (-1, 0, 1))


@pytest.fixture
def make(make_tiny: Callable[..., LanguageModel]) -> Callable[[str], LanguageModel]:
    return lambda family: make_tiny(family, **CHANGES[family])


def row(length: int, seed: int = 0) -> list[int]:
    drawn = torch.randint(3, 300, (length,), generator=torch.Generator().manual_seed(seed))
    return drawn.tolist()


def plain(lm: LanguageModel, tokens: list[int]) -> torch.Tensor:
    """The logits of one row, nothing before or behind it."""
    with torch.no_grad():
        logits: torch.Tensor = lm.model(torch.tensor([tokens]), use_cache=False).logits[0]
    return logits


@FAMILIES
def test_the_host_computes_a_short_row_otherwise_beside_a_long_one(
    make: Callable[[str], LanguageModel], family: str
) -> None:
    lm = make(family)
    short, long = row(10), row(MOST + 1, 1)
    batch = pad_prompts([short, long], 0, lm.device)
    with torch.no_grad():
        together = lm.model(
            batch.tokens, attention_mask=batch.valid.long(), position_ids=batch.positions
        ).logits[0, -1]
    assert (together - plain(make(family), short)[-1]).abs().max() > 1e-2


@FAMILIES
@pytest.mark.parametrize("name", ENGINES)
def test_rows_up_to_the_boundary_are_those_of_plain_passes(
    make: Callable[[str], LanguageModel], family: str, name: str
) -> None:
    """A tree that ends at the last token the model reads included."""
    lm, prompts = make(family), [row(10), row(MOST - 3, 1)]
    last = torch.tensor([9, MOST - 4])
    branches = [[Patch(Site(0, "attn_out"), last, torch.zeros(2, lm.width), "add")]]
    read = engine(name)(lm).patch(
        prompts, branches, lambda logits: logits, tokens_per_forward=4096, tree=TREE
    )
    for number, prompt in enumerate(prompts):
        for node in range(4):
            tokens = [*prompt, *TREE.tokens[:node]]
            wanted = plain(make(family), tokens)[-1]
            assert read.base[number, node] == pytest.approx(wanted, abs=1e-4)
            assert read.patched[number, 0, node] == pytest.approx(wanted, abs=1e-4)


@FAMILIES
@pytest.mark.parametrize("name", ENGINES)
def test_a_token_beyond_the_boundary_is_refused(
    make: Callable[[str], LanguageModel], family: str, name: str
) -> None:
    """One prompt's own, or the last node behind it, whatever the other rows."""
    lm = make(family)
    backend = engine(name)(lm)
    for length, tree in ((MOST + 1, NO_TREE), (MOST - 2, TREE)):
        prompts, last = [row(10), row(length, 1)], torch.tensor([9, length - 1])
        branches = [[Patch(Site(0, "attn_out"), last, torch.zeros(2, lm.width), "add")]]
        with pytest.raises(WorkbenchError, match=f"{MOST + 1} tokens and the model .* at most 24"):
            backend.patch(prompts, branches, lambda z: z, tokens_per_forward=4096, tree=tree)
        with pytest.raises(WorkbenchError, match=f"takes {MOST + 1} tokens"):
            backend.record(prompts, [[9], [length - 1 + tree.size]], every_layer(lm), tree=tree)
    assert plain(lm, row(10)) == pytest.approx(plain(make(family), row(10)), abs=1e-6)


@FAMILIES
def test_states_up_to_the_boundary_are_those_of_plain_passes(
    make: Callable[[str], LanguageModel], family: str
) -> None:
    lm, prompts = make(family), [row(10), row(MOST, 1)]
    states = record(lm, prompts, [[9], [MOST - 1]], [Site(1)])
    for number, prompt in enumerate(prompts):
        with torch.no_grad():
            out = make(family).model(torch.tensor([prompt]), output_hidden_states=True)
        assert states[number, 0, 0] == pytest.approx(out.hidden_states[2][0, -1], abs=1e-5)


@FAMILIES
def test_kept_beginnings_go_on_to_the_boundary_and_no_further(
    make: Callable[[str], LanguageModel], family: str
) -> None:
    lm, shared, rests = make(family), row(12), [row(4, 1), row(MOST - 12, 2)]
    found = forward_suffix(lm, cache_common_prefix(lm, shared, 2), rests, NO_TREE)
    for number, rest in enumerate(rests):
        logits = lm.head()(found.final[number, 0])
        assert logits == pytest.approx(plain(make(family), [*shared, *rest])[-1], abs=1e-4)
    kept = cache_common_prefix(lm, shared, 2)
    with pytest.raises(WorkbenchError, match="takes 25 tokens"):
        forward_suffix(lm, kept, [row(4, 1), row(MOST - 11, 2)], NO_TREE)
    with pytest.raises(WorkbenchError, match="takes 25 tokens"):
        PrefixCache(10**9, 4096, None).kept(lm, torch.arange(2).numpy(), [row(10), row(25)])


@FAMILIES
def test_training_goes_to_the_boundary_and_no_further(
    make: Callable[[str], LanguageModel], family: str
) -> None:
    lm, target = make(family), TokenTarget(1.0, (5,), (1.0,))
    examples = [Example(tuple(row(length, length)), TREE, (target,) * 4) for length in (10, 21, 22)]
    with torch.no_grad():
        logits = Passes(lm, examples[:2], None, 0, 0).logits(lm.model, [0, 1])
    for number, example in enumerate(examples[:2]):
        wanted = plain(make(family), [*example.prompt, *TREE.tokens])[-1]
        assert logits[number, 3] == pytest.approx(wanted, abs=1e-4)
    with pytest.raises(WorkbenchError, match="takes 25 tokens"):
        Passes(lm, examples, None, 0, 0).logits(lm.model, [0, 2])


@FAMILIES
def test_generation_is_the_hosts_up_to_the_boundary(
    make: Callable[[str], LanguageModel], family: str
) -> None:
    """The last token generated is never read, so it may lie behind the boundary."""
    lm, prompts = make(family), [row(8), row(15, 1)]
    lm.model.generation_config.eos_token_id = None
    lm.tokenizer.eos_token = None
    written = answer_batch(lm, prompts, 10)
    for prompt, text in zip(prompts, written, strict=True):
        other = make(family)
        ids = other.model.generate(
            torch.tensor([prompt]), do_sample=False, max_new_tokens=10, eos_token_id=[]
        )[0, len(prompt) :]
        whole = lm.tokenizer.decode(ids, skip_special_tokens=True)
        assert text == whole.split("\n", 1)[0].strip()
    assert all(written)
    with pytest.raises(WorkbenchError, match="takes 25 tokens"):
        answer_batch(lm, prompts, 11)


def test_every_kind_of_rotary_positions_is_known() -> None:
    """A kind whose factors depend on the length has to be named in room.py."""
    by_length = {"dynamic", "longrope"}
    fixed = {"linear", "yarn", "llama3", "proportional"}
    assert {*ROPE_INIT_FUNCTIONS} == by_length | fixed


def test_fixed_positions_have_the_context_as_their_limit(
    make_tiny: Callable[..., LanguageModel],
) -> None:
    """Learned positions end in the host's IndexError; the tree behind a prompt counts as well."""
    lm = make_tiny("gpt2", max_position_embeddings=MOST, n_positions=MOST)
    assert room_of(lm).most == MOST
    last = [[MOST - 3, MOST]]
    with pytest.raises(WorkbenchError, match=r"takes 25 tokens .* as its configuration says"):
        record(lm, [row(MOST - 2)], last, [Site(1)], tree=TREE)
