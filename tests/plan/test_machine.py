from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workbench.errors import WorkbenchError
from workbench.plan.device_kinds import DEVICE_KINDS, kind_for
from workbench.plan.machine import parse_machine


def test_sizes_kinds_and_rates_are_read() -> None:
    one = parse_machine("1x24GB,disk=5GB/s")
    assert (one.count, one.device.memory, one.disk, one.main) == (1, 24e9, 5e9, None)
    assert one.device.name == "RTX4090"
    eight = parse_machine("8xh100, cpu=2TB")
    assert (eight.count, eight.device.name, eight.main) == (8, "H100", 2e12)
    laptop = parse_machine("cpu=24GiB,cores=2")
    assert laptop.device.on_cpu
    assert laptop.device.memory == laptop.main == 24 * 2**30
    assert parse_machine("cpu=24GB,cores=4").device.flops == 2 * laptop.device.flops
    stated = parse_machine("1x80GB,flops=150T,bandwidth=2TB/s").device
    assert (stated.flops, stated.bandwidth) == (150e12, 2e12)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "names no device"),
        ("disk=5GB/s", "names no device"),
        ("0x24GB", "at least one"),
        ("1x24", "no kind"),
        ("2xB3", "no kind"),
        ("24GB", "write a count"),
        ("1x24GB,disk=fast", "disk='fast'"),
        ("1x24GB,disk=0GB/s", "positive"),
        ("1x24GB,speed=5", "no part 'speed'"),
        ("1x24GB,disk=1GB/s,disk=2GB/s", "twice"),
        ("cpu=8GB,cores=some", "whole number"),
        ("1x80GB,flops=fast", "operations a second"),
        ("1x1.2.3GB", "positive number"),
    ],
)
def test_what_cannot_be_read_is_named(text: str, words: str) -> None:
    with pytest.raises(WorkbenchError, match=words):
        parse_machine(text)


@given(st.integers(1, 512), st.integers(1, 4000), st.integers(1, 900), st.permutations(range(3)))
def test_parts_come_in_any_order(count: int, size: int, disk: int, order: list[int]) -> None:
    parts = [f"{count}x{size}GB", f"disk={disk}MB/s", "cpu=64GB"]
    found = parse_machine(",".join(parts[place] for place in order))
    assert (found.count, found.device.memory) == (count, size * 1e9)
    assert (found.disk, found.main) == (disk * 1e6, 64e9)


@given(st.text(max_size=30))
def test_any_text_is_read_or_refused_with_a_sentence(text: str) -> None:
    with suppress(WorkbenchError):
        assert parse_machine(text).count >= 1


def test_a_bare_size_means_the_slowest_kind_that_large() -> None:
    assert kind_for(24e9) is DEVICE_KINDS["RTX4090"]
    assert kind_for(80e9) is DEVICE_KINDS["A100"]
    assert kind_for(12e9).name == "T4"
    assert kind_for(500e9).name == "H200"
