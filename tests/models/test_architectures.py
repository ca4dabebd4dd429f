from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from transformers import AutoConfig, PretrainedConfig

from workbench.errors import WorkbenchError
from workbench.models import ARCHITECTURES, Architecture, LanguageModel, architecture_of


@pytest.mark.parametrize("family", sorted(ARCHITECTURES))
def test_each_family_is_found_by_its_configuration(family: str) -> None:
    assert architecture_of(AutoConfig.for_model(family)) is ARCHITECTURES[family]


@pytest.mark.parametrize("family", sorted(ARCHITECTURES))
def test_paths_point_at_the_parts_of_the_model(
    make_tiny: Callable[..., LanguageModel], family: str
) -> None:
    lm = make_tiny(family)
    row, base = lm.architecture, lm.base()
    assert lm.embedding() is base.get_input_embeddings()
    assert lm.head() is base.get_output_embeddings()
    assert len(lm.layers()) == 4
    if row.attention_output:
        assert row.attention_output.startswith(f"{row.attention}.")
        weight = lm.layers()[0].get_submodule(row.attention_output).get_parameter("weight")
        assert weight.shape == (32, 32)


@pytest.mark.parametrize("family", sorted(ARCHITECTURES))
def test_sdpa_is_off_exactly_where_transformers_does_not_support_it(
    make_tiny: Callable[..., LanguageModel], family: str
) -> None:
    lm = make_tiny(family)
    assert lm.architecture.sdpa == type(lm.base())._supports_sdpa


def test_recurrent_families_say_why_they_cannot_be_packed() -> None:
    refused = {family: row.why_not for family, row in ARCHITECTURES.items() if not row.packable}
    assert set(refused) == {"falcon_h1", "qwen3_next"}
    assert all("recurrent" in why for why in refused.values())


@pytest.mark.parametrize(
    "family", sorted(family for family, row in ARCHITECTURES.items() if row.packable)
)
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


def test_an_unknown_family_says_what_to_add_where_and_how_to_check_it() -> None:
    config = PretrainedConfig()
    config.model_type = "unheard_of"
    with pytest.raises(WorkbenchError) as caught:
        architecture_of(config)
    message = str(caught.value)
    for part in (
        "'unheard_of'",
        "workbench/models/architectures.py",
        "validate(language_model)",
        "llama",
    ):
        assert part in message


def _row(**changes: object) -> Architecture:
    fields = {
        "family": "f",
        "layers": "model.layers",
        "final_norm": "model.norm",
        "embedding": "model.embed",
        "head": "lm_head",
        "attention": "attn",
        "mlp": "mlp",
        "attention_output": "attn.o",
        "packable": True,
    }
    return Architecture(**{**fields, **changes})  # type: ignore[arg-type]


def test_a_row_checks_itself() -> None:
    assert _row().why_not == ""
    with pytest.raises(WorkbenchError, match="empty 'layers'"):
        _row(layers="")
    with pytest.raises(WorkbenchError, match="why_not exactly when"):
        _row(packable=False)
    with pytest.raises(WorkbenchError, match="why_not exactly when"):
        _row(why_not="reason")
