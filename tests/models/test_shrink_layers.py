from __future__ import annotations

from workbench.models.shrink_layers import choose, shrink_layers


def shrink(least: int = 4, exactly: bool = False, **written: object) -> dict[str, object]:
    return shrink_layers(written, written, ["num_hidden_layers"], least, exactly)


def test_the_first_layer_of_every_kind_is_kept_in_order() -> None:
    assert choose("aaabaac", 4) == [0, 1, 3, 6]
    assert choose("abcde", 4) == [0, 1, 2, 3, 4]
    assert choose("aaaaaa", 4) == [0, 1, 2, 3]
    assert choose("ab", 4) == [0, 1]


def test_lists_over_layers_are_cut_together() -> None:
    assert shrink(
        num_hidden_layers=7, layer_types=list("ssssfss"), mlp_types=tuple("dmmmmmm"), other=[1, 2]
    ) == {
        "num_hidden_layers": 4,
        "layer_types": ["s", "s", "s", "f"],
        "mlp_types": ("d", "m", "m", "m"),
    }


def test_a_kind_is_what_all_lists_say_of_a_layer() -> None:
    found = shrink(2, num_hidden_layers=4, layer_types=list("ssff"), mlp_types=list("dmdm"))
    assert found["num_hidden_layers"] == 4


def test_numbers_of_layers_follow_the_layers() -> None:
    """Layers 3 and 8 of ten attend to the image; 0, 1, 2 and 3 are kept."""
    found = shrink(num_hidden_layers=10, cross_attention_layers=[3, 8])
    assert found == {"num_hidden_layers": 4, "cross_attention_layers": [3]}


def test_zeros_and_ones_are_no_numbers_of_layers() -> None:
    found = shrink(num_hidden_layers=6, no_rope_layers=[1, 1, 1, 0, 1, 1])
    assert found == {"num_hidden_layers": 4, "no_rope_layers": [1, 1, 1, 0]}


def test_one_layer_stays_one_and_two_become_four() -> None:
    assert shrink(num_hidden_layers=1) == {"num_hidden_layers": 1}
    assert shrink(num_hidden_layers=2) == {"num_hidden_layers": 4}


def test_exactly_as_many_as_asked_for() -> None:
    found = shrink(1, exactly=True, num_hidden_layers=4, layer_types=list("sfsf"))
    assert found == {"num_hidden_layers": 1, "layer_types": ["s"]}


def test_a_list_of_blocks_counts_itself() -> None:
    blocks = ["linear", "moe", "linear", "moe", "full", "moe"]
    found = shrink_layers({"layers_block_type": blocks}, {"layers_block_type": blocks}, [], 4)
    assert found == {"layers_block_type": ["linear", "moe", "linear", "full"]}
