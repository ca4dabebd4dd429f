"""Artifacts in the format of anthropics/jacobian-lens, made here, read as transformer-lens reads
them.
"""

from __future__ import annotations

import pickle
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from tests.support.scale_prompts import PROMPTS, trie_of
from workbench.bottleneck.published_lens import load_published_lens
from workbench.bottleneck.scale_lens import LogitLens, choose_tokens, node_states, read_layers
from workbench.errors import WorkbenchError
from workbench.models import LanguageModel
from workbench.models.unembed import unembed

MakeTiny = Callable[..., LanguageModel]


def artifact(path: Path, layers: int = 3, width: int = 32, fill: float = 1.0) -> Path:
    generator = torch.Generator().manual_seed(0)
    maps = {n: fill * torch.randn((width, width), generator=generator) for n in range(layers)}
    told = {"J": maps, "n_prompts": 7, "source_layers": list(range(layers)), "d_model": width}
    torch.save(told, path)
    return path


def test_it_reads_what_the_published_formula_gives(tiny_lm: LanguageModel, tmp_path: Path) -> None:
    path = artifact(tmp_path / "lens.pt")
    maps = torch.load(path, weights_only=True)["J"]
    lens = load_published_lens(path, tiny_lm)
    chosen = choose_tokens(
        tiny_lm, node_states(tiny_lm, PROMPTS, trie_of(tiny_lm))[:, -1], trie_of(tiny_lm)
    )
    states = node_states(tiny_lm, PROMPTS, chosen.trie)
    with torch.no_grad():
        for layer in range(3):
            carried = torch.einsum("oi,rni->rno", maps[layer], states[:, layer])
            normed = tiny_lm.final_norm()(carried).flatten(0, 1)
            wanted = unembed(tiny_lm, normed)[:, list(chosen.tokens)]
            read = lens.logits(tiny_lm, layer, states[:, layer], chosen.tokens)
            torch.testing.assert_close(read.flatten(0, 1), wanted, atol=1e-4, rtol=0)
    found = read_layers(tiny_lm, PROMPTS, chosen, {"published": lens, "logit": LogitLens()})
    assert (found["published"][:, -1] == found["logit"][:, -1]).all()
    assert abs(found["published"][:, 0] - found["logit"][:, 0]).max() > 1e-3


def test_a_lens_of_another_shape_is_refused(tiny_lm: LanguageModel, tmp_path: Path) -> None:
    for told in ({"layers": 2}, {"layers": 5}, {"width": 16}):
        path = artifact(tmp_path / "lens.pt", **told)
        with pytest.raises(WorkbenchError, match=r"needs layers 0 to 2 of width 32"):
            load_published_lens(path, tiny_lm)
    with pytest.raises(WorkbenchError, match="NaN or infinity"):
        load_published_lens(artifact(tmp_path / "lens.pt", fill=float("nan")), tiny_lm)


class _Runs:
    """What a pickle would run."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, tuple[object, ...]]:
        return Path.touch, (self.path,)


def test_a_file_that_would_run_code_is_refused_and_runs_none(
    tiny_lm: LanguageModel, tmp_path: Path
) -> None:
    ran, path = tmp_path / "ran", tmp_path / "lens.pt"
    torch.save({"J": _Runs(ran), "d_model": 32}, path)
    with pytest.raises(WorkbenchError, match="more than tensors and plain values"):
        load_published_lens(path, tiny_lm)
    path.write_bytes(pickle.dumps(_Runs(ran)))
    with pytest.raises(WorkbenchError, match="no published Jacobian lens"):
        load_published_lens(path, tiny_lm)
    path.write_bytes(b"nothing")
    with pytest.raises(WorkbenchError, match="no published Jacobian lens"):
        load_published_lens(path, tiny_lm)
    assert not ran.exists()
