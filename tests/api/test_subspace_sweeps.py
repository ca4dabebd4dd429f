"""Sweeps that change states within a subspace alone, against plain hooks with the state written out
by hand.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from tests.support.plain_hooks import READ, plain_patch, plain_states
from workbench.api.donors import Ablation, Vector
from workbench.api.patching import patch_map, sweep
from workbench.errors import WorkbenchError
from workbench.models import LanguageModel

CAT, DOG = "What is the cat", "What is the dog"
LAST = 6
DIRECTIONS = torch.randn((4, 32), generator=torch.Generator().manual_seed(3))
UNITS = DIRECTIONS / DIRECTIONS.norm(dim=1, keepdim=True)


def test_a_sweep_swaps_a_direction_alone(tiny_lm: LanguageModel) -> None:
    own, theirs = plain_states(tiny_lm, CAT), plain_states(tiny_lm, DOG)
    found = sweep(tiny_lm, CAT, donor=DOG, read=READ, subspace=DIRECTIONS)
    wanted = []
    for layer, unit in enumerate(UNITS):
        here, there = own[layer][LAST], theirs[layer][LAST]
        swapped = here + unit * (unit @ (there - here))
        wanted.append(plain_patch(tiny_lm, CAT, layer, LAST, swapped))
    assert found.patched[0] == pytest.approx(wanted, abs=1e-5)
    assert found.what.endswith("within a subspace of rank 1")
    assert found.condition("own_state").patched == pytest.approx(
        np.broadcast_to(found.base[:, None], (1, 4)), abs=1e-5
    )
    looped = sweep(tiny_lm, CAT, donor=DOG, read=READ, subspace=DIRECTIONS, backend="loop")
    for one, other in zip(found.conditions, looped.conditions, strict=True):
        assert one.patched == pytest.approx(other.patched, abs=1e-4)


def test_the_random_vector_is_as_long_as_what_is_swapped(tiny_lm: LanguageModel) -> None:
    """Along a direction in which donor and prompt do not differ nothing is swapped, so nothing of
    the same length is written.
    """
    own, theirs = plain_states(tiny_lm, CAT), plain_states(tiny_lm, DOG)
    gaps = [(there - here)[LAST] for here, there in zip(own, theirs, strict=True)]
    orthogonal = {
        layer: unit - gap * (gap @ unit) / (gap @ gap)
        for layer, (unit, gap) in enumerate(zip(UNITS, gaps, strict=True))
    }
    found = sweep(tiny_lm, CAT, donor=DOG, read=READ, subspace=orthogonal)
    along = sweep(tiny_lm, CAT, donor=DOG, read=READ, subspace=dict(enumerate(gaps)))
    whole = sweep(tiny_lm, CAT, donor=DOG, read=READ)
    for name in ("donor", "random_vector"):
        still = found.condition(name)
        assert still.patched == pytest.approx(np.repeat(still.base[:, None], 4, 1), abs=1e-4)
        assert along.condition(name).patched == pytest.approx(
            whole.condition(name).patched, abs=1e-4
        )
    assert np.abs(whole.patched - whole.base[:, None]).max() > 1e-2


def test_a_subspace_is_taken_out_and_pushed_along(tiny_lm: LanguageModel) -> None:
    own, push = plain_states(tiny_lm, CAT), 3 * torch.ones(32)
    given: dict[str, Any] = {"read": READ, "subspace": DIRECTIONS, "controls": False}
    out = sweep(tiny_lm, CAT, donor=Ablation("zero"), **given)
    moved = sweep(tiny_lm, CAT, donor=Vector(push, "add"), **given)
    for layer, unit in enumerate(UNITS):
        here = own[layer][LAST]
        without = plain_patch(tiny_lm, CAT, layer, LAST, here - unit * (unit @ here))
        added = plain_patch(tiny_lm, CAT, layer, LAST, here + unit * (unit @ push))
        assert out.patched[0, layer] == pytest.approx(without, abs=1e-5)
        assert moved.patched[0, layer] == pytest.approx(added, abs=1e-5)


def test_windows_and_components_have_the_subspace_of_their_layer(tiny_lm: LanguageModel) -> None:
    spans = torch.randn((3, 32, 2), generator=torch.Generator().manual_seed(4))
    given: dict[str, Any] = {
        "donor": DOG,
        "read": READ,
        "over": ("layer", "position"),
        "layers": [1, 2, 3],
        "window": 2,
        "component": ("mlp_out", "attn_out"),
    }
    packed, looped = (
        patch_map(tiny_lm, CAT, **given, subspace=spans, backend=backend)
        for backend in ("packed", "loop")
    )
    assert packed.patched == pytest.approx(looped.patched, abs=1e-4)
    by_layer = patch_map(tiny_lm, CAT, **given, subspace=dict(zip((1, 2, 3), spans, strict=True)))
    assert by_layer.patched == pytest.approx(packed.patched, abs=1e-6)
    whole = patch_map(tiny_lm, CAT, **given)
    assert np.abs(whole.patched - packed.patched).max() > 1e-2


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"subspace": DIRECTIONS[:3]}, "with 4 layers, or a mapping from layers"),
        ({"subspace": {0: DIRECTIONS[0]}}, "no subspace for layer 1"),
        ({"subspace": DIRECTIONS[:, :8]}, "basis of width 8, and states of resid_post are 32 wide"),
        ({"subspace": 0 * DIRECTIONS}, "Column 0 of the basis is zero"),
        ({"subspace": DIRECTIONS, "component": "heads"}, "states of head_out are 8 wide"),
    ],
)
def test_bad_subspaces_are_named_with_their_mend(
    tiny_lm: LanguageModel, given: dict[str, Any], said: str
) -> None:
    with pytest.raises(WorkbenchError, match=said):
        sweep(tiny_lm, CAT, donor=DOG, read=READ, **given)
