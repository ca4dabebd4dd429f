from __future__ import annotations

from collections import Counter
from itertools import islice

from hypothesis import given
from hypothesis import strategies as st

from workbench.questions.hashing import hash_fraction, hash_permutation


def test_values_are_fixed_for_all_time() -> None:
    """First six bytes of SHA-256("a") are ca 97 81 12 ca 1b."""
    assert hash_fraction("a") == 0xCA978112CA1B / 2**48
    assert (
        list(hash_permutation(5, "key"))
        == list(hash_permutation(5, "key"))
        != list(hash_permutation(5, "other"))
    )


@given(st.integers(0, 60), st.text(max_size=8))
def test_a_drawing_is_a_permutation_and_its_start_needs_no_end(size: int, key: str) -> None:
    order = list(hash_permutation(size, key))
    assert sorted(order) == list(range(size))
    assert list(islice(hash_permutation(size, key), 3)) == order[:3]


def test_every_order_of_three_is_as_likely() -> None:
    found = Counter(tuple(hash_permutation(3, f"k{i}")) for i in range(6000))
    assert len(found) == 6
    # five standard deviations of a count with share 1/6 of 6000
    assert all(abs(count - 1000) < 5 * (6000 * 5 / 36) ** 0.5 for count in found.values())
