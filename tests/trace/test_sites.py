from __future__ import annotations

from typing import Any

import pytest

from workbench.errors import WorkbenchError
from workbench.trace.sites import COMPONENTS, Site


def test_a_site_is_a_value_that_sorts_by_layer_first() -> None:
    assert Site(3) == Site(3, "resid_post") != Site(3, "resid_pre")
    assert len({Site(1), Site(1), Site(1, "head_out", 0), Site(1, "head_out", 1)}) == 3
    assert sorted([Site(2), Site(0, "resid_pre"), Site(0, "mlp_out")])[-1] == Site(2)


@pytest.mark.parametrize("component", COMPONENTS)
def test_slices_are_named_for_sliced_components_and_for_nothing_else(component: Any) -> None:
    sliced = component in ("head_out", "query", "key", "value", "neuron")
    right, wrong = (5, None) if sliced else (None, 5)
    assert Site(3, component, right).index == right
    with pytest.raises(WorkbenchError, match=r"Site\(3, 'head_out', 5\)"):
        Site(3, component, wrong)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((1, "resid"), "Unknown component 'resid'; use one of resid_pre"),
        ((-1,), "count from 0"),
        ((1, "head_out", -1), "count from 0"),
        ((1, "neuron", 3, 0), "at least one"),
        ((1, "head_out", 3, 2), "several slices for neurons alone"),
    ],
)
def test_what_no_model_has_is_refused(arguments: Any, message: str) -> None:
    with pytest.raises(WorkbenchError, match=message):
        Site(*arguments)
