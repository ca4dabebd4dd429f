"""Texts under patches are those of plain hooks over the whole text, token by token."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from peft import LoraConfig, get_peft_model

from tests.support.recomputed_texts import inverse_draw, recomputed
from tests.support.recurrent_models import build_recurrent
from workbench.elicit.greedy import stop_at_end
from workbench.errors import WorkbenchError
from workbench.models import LanguageModel
from workbench.patch.generation import BranchTexts, generate_branches, generate_patched
from workbench.patch.text_branches import TextBranch
from workbench.patch.text_choice import Sampling
from workbench.trace import AttentionKnockout, Patch, Site, Subspace, loop_branches, patch_branches

ROWS = [list(range(5, 29)), list(range(60, 71)), [40, 41, 42]]
LENGTHS = torch.tensor([len(row) for row in ROWS])
LIMIT = 8
FAMILIES = (
    "llama",
    "mistral",
    "gemma2",
    "gemma3_text",
    "gpt_oss",
    "cohere2",
    "granite",
    "gpt_neox",
)
RECURRENT = ("falcon_h1", "qwen3_next")
PLAIN = TextBranch()


def random_patch(site: Site, positions: torch.Tensor, seed: int, mode: Any = "replace") -> Patch:
    value = torch.randn((len(positions), 32), generator=torch.Generator().manual_seed(seed))
    return Patch(site, positions, 2 * value, mode)


def every_kind() -> list[TextBranch]:
    """Once in the prompt, near and far; held from the last token, from tokens that differ from row
    to row, and from the first generated one; at a generated token alone; and several together.
    """
    end = LENGTHS - 1
    plane = Subspace(torch.randn((32, 2), generator=torch.Generator().manual_seed(9)))
    steer = random_patch(Site(2), end, 3, "add")
    return [
        TextBranch([random_patch(Site(1), end, 1)]),
        TextBranch([random_patch(Site(0, "mlp_out"), torch.tensor([4, 2, 1]), 2)]),
        TextBranch(held=[steer]),
        TextBranch(held=[random_patch(Site(1), torch.tensor([20, 1, 0]), 4, "add")]),
        TextBranch(held=[Patch(Site(1), LENGTHS, mode="without", subspace=plane)]),
        TextBranch([random_patch(Site(3), LENGTHS + 1, 5), random_patch(Site(0), LENGTHS, 6)]),
        TextBranch([random_patch(Site(2), end - 1, 7)], [steer]),
        TextBranch([random_patch(Site(2), torch.tensor([3, 15, 7]), 8)]),
    ]


def ending(lm: LanguageModel) -> torch.Tensor:
    """Many tokens end a text, so that rows end at different steps."""
    stop = stop_at_end(lm)
    stop[::11] = True
    return stop


def stops(stop: torch.Tensor) -> set[int]:
    return set(torch.nonzero(stop)[:, 0].tolist())


def assert_recomputed(
    lm: LanguageModel,
    rows: Sequence[Sequence[int]],
    branches: Sequence[TextBranch],
    found: BranchTexts,
    stop: torch.Tensor,
    limit: int = LIMIT,
) -> None:
    changed = 0
    for row, prompt in enumerate(rows):
        for number, branch in enumerate((PLAIN, *branches)):
            (text,) = found.patched[row][number - 1] if number else found.base[row]
            tokens, scores = recomputed(lm, prompt, branch, row, limit, stops(stop))
            assert list(text.tokens) == tokens, (row, number)
            assert text.log_probabilities == pytest.approx(scores, abs=1e-3)
            assert text.ended == bool(stop[tokens[-1]])
            changed += text.tokens != found.base[row][0].tokens
    assert changed > len(rows) * len(branches) // 2


@pytest.mark.parametrize("family", FAMILIES)
def test_texts_are_those_of_plain_hooks(make_tiny: Any, family: str) -> None:
    lm, branches = make_tiny(family), every_kind()
    stop = ending(lm)
    found = generate_branches(lm, ROWS, branches, limit=LIMIT, stop=stop)
    assert_recomputed(lm, ROWS, branches, found, stop)


@pytest.mark.parametrize("family", RECURRENT)
@pytest.mark.filterwarnings("ignore:.*rows of equal length:UserWarning")
def test_recurrent_texts_are_those_of_plain_hooks(family: str) -> None:
    lm = build_recurrent(family)
    rows = [list(range(5, 17)), list(range(60, 72)), list(range(30, 49))]
    ends = torch.tensor([len(row) for row in rows])
    branches = [
        TextBranch([random_patch(Site(1), ends - 1, 1)]),
        TextBranch([random_patch(Site(0), torch.tensor([2, 9, 5]), 2)]),
        TextBranch(held=[random_patch(Site(2), ends - 1, 3, "add")]),
        TextBranch([random_patch(Site(1), ends + 1, 4)]),
    ]
    stop = ending(lm)
    found = generate_branches(lm, rows, branches, limit=5, stop=stop)
    assert_recomputed(lm, rows, branches, found, stop, limit=5)
    small = generate_branches(lm, rows, branches, limit=5, stop=stop, most_bytes=1)
    assert [tokens_of(text) for row in small.patched for text in row] == [
        tokens_of(text) for row in found.patched for text in row
    ]


@pytest.mark.filterwarnings("ignore:.*whole string:UserWarning")
def test_a_family_that_does_not_continue_exactly_is_refused() -> None:
    lm = build_recurrent("zamba2")
    with pytest.raises(WorkbenchError, match="zamba2 does not continue from copies of its state"):
        generate_branches(lm, ROWS, every_kind()[2:3], limit=LIMIT)


@pytest.mark.parametrize("family", ["llama", "gemma3_text"])
def test_texts_under_cut_edges_are_those_of_whole_texts(make_tiny: Any, family: str) -> None:
    """Cut in the prompt, at generated tokens alone and at every token from the prompt's on, also of
    one head, and beside a patch; the reference loops over whole texts.
    """
    lm, ends = make_tiny(family), LENGTHS[:, None]
    near = AttentionKnockout(ends - torch.tensor([[2, 1]]), ends - 3, (1, 2))
    late = AttentionKnockout(ends + torch.tensor([[1, 2]]), ends - 1, (0, 1, 3))
    head = AttentionKnockout(ends - 1, ends - 2, (1, 2), (0, 3))
    both = AttentionKnockout(ends, torch.cat([ends - 1, ends], dim=1) - 1, (2,))
    branches = [
        TextBranch([near]),
        TextBranch([late]),
        TextBranch(held=[head]),
        TextBranch([random_patch(Site(1), LENGTHS - 1, 1)], [both, head]),
    ]
    found = generate_branches(lm, ROWS, branches, limit=LIMIT, most_bytes=300_000)
    changed = 0
    for row, prompt in enumerate(ROWS):
        for number, branch in enumerate(branches):
            text = list(prompt)
            for token in found.patched[row][number][0].tokens:
                mine = list(_acting(branch, row, len(text)))
                if mine:
                    read = loop_branches(
                        lm, [text], [mine], lambda x: x.argmax(-1), tokens_per_forward=512
                    )
                    assert int(read.patched[0, 0]) == token, (row, number, len(text))
                text.append(token)
            changed += text[len(prompt) :] != list(found.base[row][0].tokens)
    assert changed > 6


def _acting(branch: TextBranch, row: int, length: int) -> Iterator[Any]:
    """What acts on a row's text of so many tokens."""
    for held, part in ((False, branch.once), (True, branch.held)):
        for each in part:
            mine = each.of_rows(torch.tensor([row]))
            if isinstance(mine, Patch):
                yield mine
                continue
            queries = mine.queries[0].tolist()
            if held:
                queries = range(min(queries), length)
            queries = [query for query in queries if query < length]
            if queries:
                yield replace(mine, queries=torch.tensor([queries]))


def test_one_branch_alone_and_any_bound_give_the_same_texts(tiny_lm: LanguageModel) -> None:
    branches, stop = every_kind(), ending(tiny_lm)
    found = generate_branches(tiny_lm, ROWS, branches, limit=LIMIT, stop=stop)
    small = generate_branches(
        tiny_lm, ROWS, branches, limit=LIMIT, stop=stop, tokens_per_forward=30, most_bytes=40_000
    )
    for row in range(len(ROWS)):
        assert tokens_of(small.base[row]) == tokens_of(found.base[row])
        for number in range(len(branches)):
            assert tokens_of(small.patched[row][number]) == tokens_of(found.patched[row][number])
    for number, branch in enumerate(branches):
        alone = generate_branches(tiny_lm, ROWS, [branch], limit=LIMIT, stop=stop)
        assert [tokens_of(row[0]) for row in alone.patched] == [
            tokens_of(row[number]) for row in found.patched
        ]


def tokens_of(texts: Sequence[Any]) -> list[tuple[int, ...]]:
    return [text.tokens for text in texts]


def test_sampled_texts_are_drawn_by_their_own_seeds(tiny_lm: LanguageModel) -> None:
    branches, stop = every_kind()[:4], ending(tiny_lm)
    sampling = Sampling(samples=2, temperature=0.7, seed=5, seeds=(1, 2, 3, 4))
    found = generate_branches(
        tiny_lm, ROWS, branches, limit=LIMIT, stop=stop, sampling=sampling, most_bytes=150_000
    )
    for row, prompt in enumerate(ROWS):
        digest = hashlib.sha256(np.asarray(prompt, dtype="<i8").tobytes()).digest()
        for number, (branch, seed) in enumerate(
            zip((PLAIN, *branches), (5, 1, 2, 3, 4), strict=True)
        ):
            texts = found.patched[row][number - 1] if number else found.base[row]
            for sample, text in enumerate(texts):
                key = [seed, int.from_bytes(digest[:8], "big"), sample]
                draws = np.random.default_rng(key).random(LIMIT)
                tokens, scores = recomputed(
                    tiny_lm, prompt, branch, row, LIMIT, stops(stop), inverse_draw(draws, 0.7)
                )
                assert list(text.tokens) == tokens
                assert text.log_probabilities == pytest.approx(scores, abs=1e-3)
    assert found.base[0][0].tokens != found.base[0][1].tokens
    alone = generate_branches(
        tiny_lm,
        ROWS[1:2],
        [_of_row(branches[2], 1)],
        limit=LIMIT,
        stop=stop,
        sampling=Sampling(1, 0.7, seeds=(3,)),
    )
    assert alone.patched[0][0][0].tokens == found.patched[1][2][0].tokens


def _of_row(branch: TextBranch, row: int) -> TextBranch:
    at = torch.tensor([row])
    return TextBranch(
        [patch.of_rows(at) for patch in branch.once], [patch.of_rows(at) for patch in branch.held]
    )


def test_one_seed_couples_branches_that_change_nothing(tiny_lm: LanguageModel) -> None:
    nothing = [Patch(Site(1), LENGTHS - 1, torch.zeros(3, 32), "add")]
    found = generate_branches(
        tiny_lm, ROWS, [nothing], limit=LIMIT, sampling=Sampling(3, 1.5, seed=2)
    )
    assert [tokens_of(row[0]) for row in found.patched] == [tokens_of(row) for row in found.base]


def test_an_adapter_on_the_last_tokens_acts_on_all_that_follow(tiny_lm: LanguageModel) -> None:
    """One branch starts within the adapter's tokens, one before them; the reference computes
    prompt and text anew with the adapter told where it starts.
    """
    config = LoraConfig(
        r=4, target_modules=["v_proj"], task_type="CAUSAL_LM", alora_invocation_tokens=[1, 2]
    )
    model = get_peft_model(tiny_lm.base(), config).eval()
    for number, (name, weight) in enumerate(model.named_parameters()):
        if "lora_" in name:
            generator = torch.Generator().manual_seed(number)
            weight.data = 0.3 * torch.randn(weight.shape, generator=generator)
    tuned = tiny_lm.with_model(model, 2)
    branches = [
        [random_patch(Site(1), LENGTHS - 1, 1)],
        [random_patch(Site(1), LENGTHS - 3, 2)],
    ]
    found = generate_branches(tuned, ROWS, branches, limit=LIMIT)
    for row, prompt in enumerate(ROWS):
        for number, branch in enumerate(branches):
            text = list(prompt)
            mine = [patch.of_rows(torch.tensor([row])) for patch in branch]
            for step, token in enumerate(found.patched[row][number][0].tokens):
                longer = replace(tuned, invocation_length=2 + step)
                read = patch_branches(
                    longer, [text], [mine], lambda x: x.argmax(-1), tokens_per_forward=512
                )
                assert int(read.patched[0, 0]) == token
                text.append(token)
    with tuned.model.disable_adapter():
        plain = generate_branches(tuned, ROWS, branches, limit=LIMIT)
    assert plain.patched != found.patched


def test_steps_come_as_they_are_chosen(tiny_lm: LanguageModel) -> None:
    branch = _of_row(every_kind()[2], 0)
    steps = list(generate_patched(tiny_lm, ROWS[0], branch, LIMIT))
    whole = generate_branches(tiny_lm, ROWS[:1], [branch], limit=LIMIT)
    assert [token for token, _ in steps if token is not None] == list(whole.base[0][0].tokens)
    assert [token for _, token in steps if token is not None] == list(whole.patched[0][0][0].tokens)


def test_what_does_not_fit_is_refused_before_any_forward(tiny_lm: LanguageModel) -> None:
    def refuse(*_: Any) -> None:
        raise AssertionError("a forward ran")

    tiny_lm.decoder().register_forward_pre_hook(refuse)
    good = every_kind()[0]
    late = TextBranch([random_patch(Site(1), LENGTHS + LIMIT, 1)])
    for given, words in (
        ({"branches": [late]}, "outside its prompt"),
        ({"branches": []}, "at least one branch"),
        ({"branches": [PLAIN]}, "at least one patch or"),
        ({"limit": 0}, "one token or more"),
        ({"prompts": []}, "at least one prompt"),
        ({"most_bytes": 0}, "must be positive"),
        ({"sampling": Sampling(seeds=(1, 2))}, "2 seeds for 1 branches"),
    ):
        arguments: dict[str, Any] = {"prompts": ROWS, "branches": [good], "limit": LIMIT, **given}
        with pytest.raises(WorkbenchError, match=words):
            generate_branches(tiny_lm, **arguments)
    with pytest.raises(WorkbenchError, match="temperature above 0"):
        Sampling(temperature=0)
