from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from workbench.trace.token_tree import TokenTree
from workbench.trace.unpadded import equal_lengths, strings_of, token_at

TREE = TokenTree((40, 41, 42), (-1, 0, -1))


def test_every_path_is_a_string() -> None:
    strings = strings_of([[5, 6], [7]], TREE)
    assert [string.tokens for string in strings[:4]] == [
        (5, 6),
        (5, 6, 40),
        (5, 6, 40, 41),
        (5, 6, 42),
    ]
    assert [(string.row, string.node) for string in strings[4:]] == [
        (1, -1),
        (1, 0),
        (1, 1),
        (1, 2),
    ]


def test_positions_in_a_string() -> None:
    """Prompt of two tokens, path 40 41: its tokens are 0 1 and nodes 0 and 1; node 2 is
    elsewhere.
    """
    string = strings_of([[5, 6]], TREE)[2]
    assert [token_at(string, position, 2, TREE) for position in range(5)] == [0, 1, 2, 3, None]


@given(
    lengths=st.lists(st.integers(1, 9), min_size=1, max_size=20),
    budget=st.integers(1, 40),
)
def test_batches_hold_strings_of_one_length(lengths: list[int], budget: int) -> None:
    strings = strings_of([[1] * length for length in lengths], TREE)
    batches = list(equal_lengths(strings, budget))
    assert sorted(s.row * 4 + s.node for batch in batches for s in batch) == sorted(
        s.row * 4 + s.node for s in strings
    )
    for batch in batches:
        assert len({len(string.tokens) for string in batch}) == 1
        assert len(batch) == 1 or sum(len(string.tokens) for string in batch) <= budget
