from __future__ import annotations

import torch
from torch import Tensor, nn

from workbench.models.structure.observation import first_states, observing, same


class Twice(nn.Module):
    """Doubles in place, and returns a pair."""

    def forward(self, x: Tensor) -> tuple[Tensor, None]:
        return x.mul_(2), None


class Root(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.twice, self.linear = Twice(), nn.Linear(3, 3, bias=False)
        nn.init.eye_(self.linear.weight)

    def forward(self, x: Tensor) -> Tensor:
        doubled = self.twice(x.clone())[0]
        return self.linear(self.linear(doubled))


def test_calls_are_kept_in_the_order_in_which_they_end() -> None:
    x = torch.ones(1, 2, 3)
    with torch.no_grad(), observing(Root(), keep=lambda path: path == "twice") as seen:
        pass
    root = Root()
    with torch.no_grad(), observing(root, keep=lambda path: path == "twice") as seen:
        root(x)
    assert [call.path for call in seen.calls] == ["twice", "linear", "linear", ""]
    assert [call.order for call in seen.calls] == [0, 1, 2, 3]
    twice = seen.single()["twice"]
    assert torch.equal(twice.given, x)  # a copy: the write in place came later
    assert torch.equal(twice.returned, 2 * x)
    assert (twice.parts, seen.calls[1].parts) == (2, 0)
    assert "linear" not in seen.single()
    assert set(seen.single()) == {"twice", ""}
    assert set(seen.arguments) == {"twice"}
    assert not any(m._forward_hooks or m._forward_pre_hooks for m in root.modules())


def test_states_are_found_by_place_and_by_name() -> None:
    states, mask = torch.zeros(1, 2, 3), torch.zeros(1, 1, 2, 2)
    assert first_states((torch.arange(3), states), {}) is states
    assert first_states((), {"attention_mask": mask, "hidden_states": states}) is states
    assert first_states((torch.arange(3),), {"ids": torch.arange(3)}) is None


def test_tensors_are_the_same_up_to_their_precision() -> None:
    a = torch.tensor([1.0, 100.0])
    assert same(a, a + 5e-3)
    assert not same(a, a + 5e-2)
    assert same(a.bfloat16(), a + 1)
    assert not same(a, torch.tensor([1.0]))
    assert not same(a, None)
