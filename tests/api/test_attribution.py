from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch

from workbench.api.attribution import attribute
from workbench.api.direct_paths import path_effects, propose_edges
from workbench.api.direct_writing import direct_attribution
from workbench.api.donors import Ablation
from workbench.api.patching import patch_map
from workbench.errors import WorkbenchError
from workbench.models import LanguageModel
from workbench.patch.verification import Check
from workbench.trace.sites import Site

CAT, DOG = "What is the cat", "What is the dog"
PAIRS = ([CAT, "What is the hen"], [DOG, "What is the cow"])
READS = [("x", "y"), ("z", "x")]
CHECK = Check(cells=2, resamples=10)


def test_estimates_are_exact_where_the_readout_is_linear(tiny_lm: LanguageModel) -> None:
    """Behind the last layer stands the final norm alone: along a short difference the tangent is
    the effect.
    """
    near = [row.copy() for row in [tiny_lm.tokenizer(text)["input_ids"] for text in PAIRS[0]]]
    with torch.no_grad():
        weight = tiny_lm.embedding().weight
        weight[5] = weight[near[0][6]] + 1e-3
        weight[6] = weight[near[1][6]] + 1e-3
    donors = [[*near[0][:6], 5], [*near[1][:6], 6]]
    found = attribute(tiny_lm, PAIRS[0], donors, read=READS, check=CHECK)
    truth = patch_map(tiny_lm, PAIRS[0], donors, read=READS, controls=False)
    estimate = found.patched - found.base[:, None, None]
    true = truth.patched - truth.base[:, None, None]
    assert np.abs(true).max() > 1e-5
    assert estimate == pytest.approx(true, rel=0.2, abs=2e-6)
    assert found.base == pytest.approx(truth.base, abs=1e-6)
    assert found.axes == truth.axes
    assert "Spearman" in found.caption()
    found.figure()


def test_each_pair_alone_has_the_estimates_of_all_together(tiny_lm: LanguageModel) -> None:
    both = attribute(tiny_lm, *PAIRS, read=READS, component="heads", check=CHECK)
    assert [axis.name for axis in both.axes] == ["layer", "head", "position"]
    for row in range(2):
        alone = attribute(
            tiny_lm,
            PAIRS[0][row],
            PAIRS[1][row],
            read=READS[row],
            component="heads",
            check=CHECK,
        )
        assert both.patched[row] == pytest.approx(alone.patched[0], abs=1e-5)


def test_direct_pieces_sum_to_the_logit_difference(tiny_lm: LanguageModel) -> None:
    found = direct_attribution(tiny_lm, PAIRS[0], read=READS)
    total = patch_map(tiny_lm, *PAIRS, read=READS, over=("layer",), layers=[0], controls=False).base
    rest = (found.pieces.embedding + found.pieces.constant).numpy()
    assert found.patched.sum(axis=(1, 2)) + rest == pytest.approx(total, abs=1e-4)
    more = direct_attribution(tiny_lm, PAIRS[0], PAIRS[1], read=READS)
    other = direct_attribution(tiny_lm, PAIRS[1], read=READS)
    assert more.patched == pytest.approx(other.patched - found.patched, abs=1e-9)
    found.figure()


def test_a_path_into_the_last_stream_is_the_direct_effect(tiny_lm: LanguageModel) -> None:
    """The last layer's MLP reaches the readout directly alone, so its path is its patch."""
    senders, receivers = [Site(3, "mlp_out"), Site(1, "mlp_out")], [Site(3, "resid_post")]
    found = path_effects(tiny_lm, *PAIRS, read=READS, senders=senders, receivers=receivers)
    truth = patch_map(
        tiny_lm, *PAIRS, read=READS, over=("layer",), component="mlp_out", controls=False
    )
    assert found.patched[:, 0, 0] == pytest.approx(truth.patched[:, 3], abs=1e-5)
    assert found.axes[0].labels == ("3 mlp_out", "1 mlp_out")
    assert found.summary()["sender"].tolist() == ["3 mlp_out", "1 mlp_out"]


def test_what_is_no_attribution_is_refused(tiny_lm: LanguageModel) -> None:
    with pytest.raises(WorkbenchError, match="compares two runs"):
        attribute(tiny_lm, CAT, Ablation("zero"), read="x")
    with pytest.raises(WorkbenchError, match="one component at a time"):
        attribute(tiny_lm, CAT, DOG, read="x", component=("mlp_out", "attn_out"))
    with pytest.raises(WorkbenchError, match="give read two strings"):
        direct_attribution(tiny_lm, CAT, read="x")
    with pytest.raises(WorkbenchError, match="one place to one"):
        path_effects(tiny_lm, CAT, DOG, read="x", senders=[], receivers=[], at=["last", 1])


def test_a_donor_of_another_vocabulary_is_refused(
    tiny_lm: LanguageModel, make_tiny: Callable[..., LanguageModel]
) -> None:
    """Both runs are read by the same token ids."""
    other = make_tiny(seed=1, tokenizer="whole_numbers")
    with pytest.raises(WorkbenchError, match="patch it with patch_map"):
        attribute(tiny_lm, "What is the cat", donor=other, read=("x", "y"), at="last")


def test_neurons_are_attributed_to_by_window(tiny_lm: LanguageModel) -> None:
    found = attribute(
        tiny_lm, *PAIRS, read=READS, component="neurons", neuron_window=25, check=CHECK
    )
    assert [axis.name for axis in found.axes] == ["layer", "neuron", "position"]
    assert found.axes[1].labels == ("0–24", "25–49", "50–63")
    with pytest.raises(WorkbenchError, match="holds 1 to 64 of them, not 65"):
        attribute(tiny_lm, *PAIRS, read=READS, component="neurons", neuron_window=65)
    with pytest.raises(WorkbenchError, match="needs neurons among the components"):
        attribute(tiny_lm, *PAIRS, read=READS, component="heads", neuron_window=2)


def test_proposed_edges_are_patched_along_their_paths(tiny_lm: LanguageModel) -> None:
    senders = [Site(0, "head_out", 1), Site(0, "mlp_out"), Site(1, "mlp_out")]
    receivers = [Site(2, "mlp_out"), Site(2, "head_out", 3)]
    found = propose_edges(
        tiny_lm, CAT, DOG, read=("x", "y"), senders=senders, receivers=receivers, check=Check(2)
    )
    lines = found.table()
    assert list(lines["kind"]) == ["largest"] * 2 + ["random"] * 2
    every = path_effects(tiny_lm, CAT, DOG, read=("x", "y"), senders=senders, receivers=receivers)
    moved = every.patched[0] - every.base[0]
    for agreement in found.agreements:
        for (sender, receiver), effect in zip(agreement.edges, agreement.effects[0], strict=True):
            wanted = moved[senders.index(sender), receivers.index(receiver)]
            assert effect == pytest.approx(wanted, abs=1e-5)
    with pytest.raises(WorkbenchError, match="the same read to every one"):
        propose_edges(
            tiny_lm, [CAT, DOG], [DOG, CAT], read=["x", "y"], senders=senders, receivers=receivers
        )
