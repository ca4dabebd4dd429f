"""Text in, cut edges out: against knockouts of the tokens by hand."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from tests.support.plain_hooks import READ
from workbench import AttentionKnockout
from workbench.api.attention_cuts import cut_attention
from workbench.errors import WorkbenchError
from workbench.models import LanguageModel
from workbench.trace import loop_branches

CAT, HEN = "What is the the cat", "What is the big hen"


def test_windows_are_knockouts_of_the_named_tokens(tiny_lm: LanguageModel) -> None:
    found = cut_attention(
        tiny_lm, [CAT, HEN], keys={"animal": [" ca", " he"]}, read=READ, window=2, heads=[0, 2]
    )
    assert (found.what, found.layers, found.width) == ("last cut off animal", (0, 1, 2), 2)
    rows = [tiny_lm.tokenizer(text)["input_ids"] for text in (CAT, HEN)]
    texts = [[tiny_lm.tokenizer.decode([token]) for token in row] for row in rows]
    ends = torch.tensor([[len(row) - 1] for row in rows])
    keys = ends - torch.tensor([3, 2, 1])
    assert ["".join(text[-4:-1]) for text in texts] == [" ca", " he"]
    first, second = (tiny_lm.tokenizer(text)["input_ids"][0] for text in READ)
    for window in range(3):
        cut = [AttentionKnockout(ends, keys, (window, window + 1), (0, 2))]
        logits = loop_branches(
            tiny_lm, rows, [cut], lambda x: x.float(), tokens_per_forward=1000
        ).patched[:, 0]
        wanted = (logits[:, first] - logits[:, second]).tolist()
        assert found.patched[:, window] == pytest.approx(wanted, abs=1e-4)
    control = found.condition("other_tokens")
    assert control.role == "control"
    assert control.patched.shape == (2, 3)
    assert abs(control.patched - found.patched).max() > 1e-4


def test_a_figure_and_a_table_come_with_it(tiny_lm: LanguageModel) -> None:
    found = cut_attention(tiny_lm, [CAT, HEN], keys="What", read=READ, controls=False)
    assert len(found.figure().data) == 2  # line and band
    assert list(found.summary()["first layer"]) == [0, 1, 2, 3]
    both = cut_attention(tiny_lm, [CAT, HEN], keys=[1, 2], queries=-1, read=READ, backend="loop")
    assert len(both.figure().data) == 4


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"keys": "dog"}, "does not occur"),
        ({"keys": -1, "queries": 2}, "which never attends to it"),
        ({"keys": 1, "window": 5}, "spans 1 to 4"),
        ({"keys": 1, "layers": [3, 4]}, "layers is"),
        ({"keys": 1, "heads": [7]}, "Head 7 does not exist"),
        ({"keys": {"animal": ["cat", "cat"]}}, "there are 1"),
        ({"keys": []}, "at least one query and one key"),
        ({"keys": 1, "backend": "nnsight"}, "cuts no attention edges"),
    ],
)
def test_what_cannot_be_cut_is_refused(
    tiny_lm: LanguageModel, given: dict[str, Any], words: str
) -> None:
    with pytest.raises(WorkbenchError, match=words):
        cut_attention(tiny_lm, CAT, read=READ, **given)
