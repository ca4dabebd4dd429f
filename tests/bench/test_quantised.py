from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from workbench.bench.quantised import bench_quantised, divergence, reading_row, weights_bytes
from workbench.cli.app import app
from workbench.errors import WorkbenchError
from workbench.models import LanguageModel


def test_a_divergence_counts_what_is_off_the_scale() -> None:
    """By hand: 0.5 ln(0.5/0.25) + 0.25 ln(0.25/0.25) + 0.25 ln(0.25/0.5), the last off the scale."""
    found = divergence(np.array([[0.5, 0.25], [0.2, 0.3]]), np.array([[0.25, 0.25], [0.2, 0.3]]))
    assert found == pytest.approx([0.25 * np.log(2), 0], abs=1e-9)


def test_shared_weights_are_counted_once(tiny_lm: LanguageModel) -> None:
    whole = 4 * sum(weight.numel() for weight in tiny_lm.model.parameters())
    assert weights_bytes(tiny_lm) == whole
    tiny_lm.head().weight = tiny_lm.embedding().weight
    assert weights_bytes(tiny_lm) == whole - 4 * tiny_lm.embedding().weight.numel()


def test_only_schemes_are_compared_and_only_with_enough_questions(tiny_folder: Path) -> None:
    with pytest.raises(WorkbenchError, match="name schemes that quantise: some of int8, int4"):
        bench_quantised(str(tiny_folder), schemes=("none",))
    with pytest.raises(WorkbenchError, match="the built-in questions are too few for 2 samples"):
        bench_quantised(str(tiny_folder), schemes=(), questions=1000, samples=2, device="cpu")


def test_every_scheme_reads_the_same_answers(tiny_folder: Path) -> None:
    pytest.importorskip("torchao", reason="torchao, which quantises, is not installed")
    found = bench_quantised(
        str(tiny_folder), schemes=("int8", "int4"), questions=20, samples=2, device="cpu"
    )
    assert [(each.scheme, each.sample) for each in found] == [
        (scheme, sample) for scheme in ("int8", "int4") for sample in (0, 1)
    ]
    for fine, coarse in zip(found[:2], found[2:], strict=True):
        assert fine.questions == coarse.questions > 0
        assert 0 < fine.divergence < coarse.divergence
        assert 0 < fine.difference < coarse.difference
        # A byte each and a scale for every output; embedding, head and norms as they were.
        assert fine.weights_bytes < coarse.weights_bytes < fine.plain_bytes
    assert reading_row(found[0])["sample"] == "1"


def test_the_command_prints_what_was_measured(tiny_folder: Path) -> None:
    pytest.importorskip("torchao", reason="torchao, which quantises, is not installed")
    words = ["bench", "quantised", "--model", str(tiny_folder), "--schemes", "int8"]
    result = CliRunner().invoke(app, [*words, "--questions", "20", "--samples", "1", "--json"])
    assert result.exit_code == 0
    (found,) = json.loads(result.stdout)
    assert (found["scheme"], found["sample"]) == ("int8", 0)
