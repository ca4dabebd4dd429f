from __future__ import annotations

from typing import Any

import pytest
from pydantic import Field

from workbench.config import RunConfig
from workbench.errors import WorkbenchError
from workbench.experiments.catalogue import EXPERIMENTS
from workbench.experiments.parameters import Parameters, split_assignments


class Some(Parameters):
    lengths: tuple[float, ...] = Field((1.0,), min_length=1)
    names: tuple[str, ...] = ()
    items: int = Field(3, ge=1)
    title: str = "a, b"


@pytest.mark.parametrize(
    ("given", "wanted"),
    [
        ({"lengths": "0.5,1"}, (0.5, 1.0)),
        ({"lengths": 2}, (2.0,)),
        ({"lengths": [0.5, 1]}, (0.5, 1.0)),
        ({"lengths": "1, 5e-1"}, (1.0, 0.5)),
    ],
)
def test_a_list_is_written_with_commas_or_as_yaml(
    given: dict[str, Any], wanted: tuple[float, ...]
) -> None:
    assert Some(items=7).replace(given) == Some(items=7, lengths=wanted)


def test_texts_with_commas_are_lists_only_where_a_list_is_wanted() -> None:
    found = Some().replace({"names": "p_true,agreement", "title": "x,y"})
    assert (found.names, found.title) == (("p_true", "agreement"), "x,y")
    assert Some(names=("a",)).replace({"names": None}).names == ()


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"items": 0}, "Parameter 'items': it must be at least 1, not 0"),
        ({"item": 1}, "Parameter 'item': there is no such setting; did you mean 'items'"),
        ({"lengths": "1,1"}, "Parameter 'lengths': it names 1.0 twice"),
        ({"lengths": "1,x"}, "Parameter 'lengths.1': it must be a number, not 'x'"),
        ({"items": "2,3"}, "Parameter 'items': it must be a whole number, not '2,3'"),
    ],
)
def test_what_is_out_of_range_is_named(given: dict[str, Any], said: str) -> None:
    with pytest.raises(WorkbenchError, match=said):
        Some().replace(given)


def test_parameters_are_told_from_settings_by_their_names() -> None:
    given = {"items": 4, "questions.limit": 7, "seed": 2}
    assert split_assignments(Some, given) == ({"items": 4}, {"questions.limit": 7, "seed": 2})


@pytest.mark.parametrize("name", list(EXPERIMENTS))
def test_no_parameter_is_named_like_a_group_of_settings(name: str) -> None:
    own = EXPERIMENTS[name].parameters.model_fields
    assert not set(own) & set(RunConfig.model_fields)
    assert all(field.description for field in own.values())
