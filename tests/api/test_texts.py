from __future__ import annotations

import pytest
import torch

from workbench.api.donors import Vector
from workbench.api.texts import generate_texts
from workbench.errors import WorkbenchError
from workbench.models import LanguageModel
from workbench.patch.generation import generate_branches
from workbench.patch.text_branches import TextBranch
from workbench.patch.text_choice import Sampling
from workbench.trace import Patch, Site, record

CAT, DOG = "What is the cat", "What is the dog"


def ids(lm: LanguageModel, text: str) -> list[int]:
    return list(lm.tokenizer(text)["input_ids"])


def test_a_layer_swaps_the_donors_state(tiny_lm: LanguageModel) -> None:
    found = generate_texts(tiny_lm, [CAT, DOG], donor=[DOG, CAT], tokens=6)
    rows = [ids(tiny_lm, CAT), ids(tiny_lm, DOG)]
    last = torch.tensor([len(row) - 1 for row in rows])
    states = record(tiny_lm, rows[::-1], last.flip(0)[:, None].tolist(), [Site(2)])[:, 0, 0]
    by_hand = generate_branches(tiny_lm, rows, [[Patch(Site(2), last, states)]], limit=6)
    for row in range(2):
        assert found.text(row, layer=2) == found.decode(by_hand.patched[row][0][0].tokens)
        assert found.text(row) == found.decode(by_hand.base[row][0].tokens)
    # A donor's whole state at the last token after the last layer begins the donor's own text.
    donors = generate_branches(tiny_lm, rows[::-1], [[Patch(Site(2), last, states)]], limit=1)
    assert found.written.patched[0][3][0].tokens[:1] == donors.base[0][0].tokens
    table = found.table()
    assert set(table["condition"]) == {"base", "donor", "random_vector"}
    assert len(table) == 2 * (1 + 2 * 4)
    assert not table.query("condition == 'base'")["changed"].any()
    assert list(found.summary().index) == ["0", "1", "2", "3"]
    with pytest.raises(WorkbenchError, match="Layer 9 was not patched"):
        found.text(0, layer=9)


def test_a_held_vector_is_added_at_every_generated_token(tiny_lm: LanguageModel) -> None:
    push = 3 * torch.randn(32, generator=torch.Generator().manual_seed(1))
    found = generate_texts(
        tiny_lm,
        CAT,
        Vector(push, "add"),
        layers=[1],
        held=True,
        tokens=6,
        until="line",
        controls=False,
        sampling=Sampling(2, seed=3),
    )
    row = ids(tiny_lm, CAT)
    patch = Patch(Site(1), torch.tensor([len(row) - 1]), push[None], "add")
    by_hand = generate_branches(
        tiny_lm, [row], [TextBranch(held=[patch])], limit=6, sampling=Sampling(2, seed=3)
    )
    for sample in range(2):
        text = found.decode(by_hand.patched[0][0][sample].tokens)
        assert text.startswith(found.text(0, 1, sample).split("\n")[0])


def test_another_ending_is_refused(tiny_lm: LanguageModel) -> None:
    with pytest.raises(WorkbenchError, match="ends at end, line, number"):
        generate_texts(tiny_lm, CAT, DOG, until="word")  # type: ignore[arg-type]
