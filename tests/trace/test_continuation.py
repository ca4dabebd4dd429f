from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any

import pytest
import torch

from tests.support.recurrent_models import CONFIGURATIONS, build_recurrent
from workbench.models import LanguageModel
from workbench.trace import continuation
from workbench.trace.continuation import Continuation, check_continuation, continuation_of

PROMPT = list(range(5, 29))
ONE_AT_A_TIME = {"jamba", "mamba", "falcon_mamba", "minimax"}
NOT_AT_ALL = {"rwkv", "recurrent_gemma", "nemotron_h", "zamba2"}
"""By their host implementations: several tokens lose a Mamba layer's state, or see each other where
the first layer keeps no keys; a single token of several rows is mixed over rows; no state is
returned; the time step is bounded from below for several tokens and not for one.
"""


@pytest.mark.parametrize("family", sorted(CONFIGURATIONS))
def test_what_a_family_continues_exactly_is_found(family: str) -> None:
    """Against the model's own cached and whole passes, which know nothing of copies."""
    lm = build_recurrent(family)
    found = check_continuation(lm, PROMPT)
    assert found.length == len(PROMPT)
    assert (found.why_not != "") == (family in NOT_AT_ALL)
    assert found.several == (family not in ONE_AT_A_TIME | NOT_AT_ALL)
    if family in NOT_AT_ALL:
        assert family in ("rwkv", "recurrent_gemma") or _cached_differs(lm, 1) > 1e-5
        return
    assert _cached_differs(lm, 1) < 1e-5
    if family in ONE_AT_A_TIME:
        assert _cached_differs(lm, 12) > 1e-2
    else:
        assert _cached_differs(lm, 12) < 1e-5


def _cached_differs(lm: LanguageModel, rest: int) -> float:
    """How far the last ``rest`` tokens' states after the model's own cache are from the whole
    string's.
    """
    ids = torch.tensor([PROMPT])
    name = "cache_params" if "mamba" in lm.architecture.family else "past_key_values"
    with torch.no_grad():
        decoder = lm.decoder()
        whole = decoder(input_ids=ids, use_cache=False).last_hidden_state[:, -rest:]
        begun = decoder(input_ids=ids[:, :-rest], use_cache=True)
        positions = torch.arange(len(PROMPT) - rest, len(PROMPT))[None]
        given: dict[str, Any] = {name: getattr(begun, name)}
        found = decoder(
            input_ids=ids[:, -rest:], position_ids=positions, use_cache=True, **given
        ).last_hidden_state
    return float((found - whole).norm() / whole.norm())


def test_a_state_that_is_dropped_is_noticed() -> None:
    """A convolution that forgets its last inputs is enough."""
    lm = build_recurrent("lfm2")
    assert not check_continuation(lm, PROMPT).why_not
    for layer in lm.layers():
        if hasattr(layer, "conv"):
            layer.conv.register_forward_pre_hook(_forgets, with_kwargs=True)
    assert "of their norm" in check_continuation(lm, PROMPT).why_not


def _forgets(module: Any, args: Any, kwargs: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
    return args, {**kwargs, "past_key_values": None}


def test_a_copy_that_shares_its_original_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    lm = build_recurrent("mamba2")
    monkeypatch.setattr(
        "workbench.trace.row_states._selected",
        lambda held, rows, indices: held,
    )
    assert check_continuation(lm, PROMPT).why_not


def test_a_model_is_checked_once_and_again_for_much_longer_prompts(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    seen: list[int] = []

    def check(lm: LanguageModel, prompt: Sequence[int]) -> Continuation:
        seen.append(len(prompt))
        return Continuation(len(prompt))

    monkeypatch.setattr(continuation, "check_continuation", check)
    lm = build_recurrent("lfm2")
    for lengths in ([3, 9], [18], [19, 4], [30], [38]):
        continuation_of(lm, [[1] * length for length in lengths])
    assert seen == [9, 19]


def test_a_model_that_does_not_continue_says_so_once() -> None:
    lm = build_recurrent("recurrent_gemma")
    with pytest.warns(UserWarning, match="recurrent_gemma does not continue.*whole string"):
        continuation_of(lm, [PROMPT])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert continuation_of(lm, [PROMPT, PROMPT * 4]).why_not


def test_rows_of_a_pass_are_bounded_by_tokens_and_by_bytes() -> None:
    found = Continuation(10, bytes_per_row=continuation.STATE_BYTES // 4)
    assert found.most_rows(10, 35) == 3
    assert found.most_rows(10, 1000) == 4
    assert found.most_rows(50, 35) == 1
    assert Continuation(10, bytes_per_row=3 * continuation.STATE_BYTES).most_rows(10, 1000) == 1


def test_low_precision_is_checked_by_a_wider_bound() -> None:
    lm = build_recurrent("falcon_h1")
    low = LanguageModel(lm.model.bfloat16(), lm.tokenizer, lm.architecture, lm.name, lm.revision)
    assert not check_continuation(low, PROMPT).why_not
