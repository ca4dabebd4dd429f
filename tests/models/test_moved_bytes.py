from __future__ import annotations

import torch

from workbench.models.moved_bytes import MOVED, MoveCounts, moved


def test_a_tensor_that_lies_there_is_itself() -> None:
    tensor, before = torch.ones(3), MOVED.copies
    assert moved(tensor, torch.device("cpu")) is tensor
    assert MOVED.copies == before


def test_bytes_are_counted_by_pair_of_devices() -> None:
    counts, tensor = MoveCounts(), torch.ones(3, 5, dtype=torch.float16)
    counts.add(tensor, torch.device("meta"))
    counts.add(tensor[:1], torch.device("meta"))
    assert counts.bytes_moved == {("cpu", "meta"): 30 + 10}
    assert (counts.copies, counts.total) == (2, 40)


def test_copies_are_counted() -> None:
    before = MOVED.bytes_moved.get(("cpu", "meta"), 0)
    assert moved(torch.ones(4), torch.device("meta")).device.type == "meta"
    assert MOVED.bytes_moved["cpu", "meta"] - before == 16
