from __future__ import annotations

from collections.abc import Callable

import pytest
import torch

from tests.support.tiny_models import EAGER, FAMILIES, LOOPED, PACKABLE
from workbench.errors import WorkbenchError
from workbench.models import Architecture, LanguageModel
from workbench.models.weights import CLASSES, kernel_for


@pytest.mark.parametrize("family", FAMILIES)
def test_paths_point_at_the_parts_of_the_model(
    make_tiny: Callable[..., LanguageModel], family: str
) -> None:
    lm = make_tiny(family)
    row, base = lm.architecture, lm.base()
    assert row.family == family
    assert lm.embedding() is base.get_input_embeddings()
    assert lm.head() is base.get_output_embeddings()
    assert lm.decoder() is base.base_model
    assert len(lm.layers()) == 4
    if row.attention_output:
        assert row.attention_output.startswith(f"{row.attention}.")
        weight = lm.layers()[0].get_submodule(row.attention_output).get_parameter("weight")
        assert weight.shape == (32, 32)


@pytest.mark.parametrize("family", FAMILIES)
def test_a_family_without_scaled_dot_product_attention_runs_eager(
    make_tiny: Callable[..., LanguageModel], family: str
) -> None:
    config = make_tiny(family).base().config
    assert type(config) in CLASSES[0][0]
    assert kernel_for(config, "sdpa") == ("eager" if family in EAGER else "sdpa")
    assert kernel_for(config, "eager") == "eager"


def test_recurrent_families_say_why_they_cannot_be_packed(
    make_tiny: Callable[..., LanguageModel],
) -> None:
    rows = {family: make_tiny(family).architecture for family in FAMILIES}
    assert {family for family, row in rows.items() if not row.packable} == set(LOOPED)
    assert all("recurrent" in rows[family].why_not for family in LOOPED)


@pytest.mark.parametrize("family", PACKABLE)
def test_a_packable_family_forgets_what_its_mask_hides(
    make_tiny: Callable[..., LanguageModel], family: str
) -> None:
    """Nothing but masked attention mixes positions: a hidden first token leaves the last logits
    alone.
    """
    base = make_tiny(family).base()
    ids = torch.tensor([[10, 20, 30, 40], [11, 20, 30, 40]])
    mask = torch.tensor([[0, 1, 1, 1]] * 2)
    with torch.no_grad():
        logits = base(
            input_ids=ids, attention_mask=mask, position_ids=torch.arange(4).expand(2, 4)
        ).logits[:, -1]
    torch.testing.assert_close(logits[0], logits[1])


def _row(**changes: object) -> Architecture:
    fields = {"family": "f", "layers": "model.layers", "embedding": "model.embed", "head": "head"}
    return Architecture(**{**fields, **changes})  # type: ignore[arg-type]


def test_a_row_checks_itself() -> None:
    assert _row().why_not == ""
    with pytest.raises(WorkbenchError, match="empty 'layers'"):
        _row(layers="")
    with pytest.raises(WorkbenchError, match="why_not exactly when"):
        _row(packable=False)
    with pytest.raises(WorkbenchError, match="why_not exactly when"):
        _row(why_not="reason")
