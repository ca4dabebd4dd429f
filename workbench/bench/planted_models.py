"""Build tiny transformers by hand in which it is known how far a fact about a question comes.

A question holds a *clue* token whose level, an angle t from 0 to 90 degrees, is what can be known
of the grade, and a *distractor* token with an angle of its own. The residual stream is split in
two. In a few *reserved* directions only planted parts read and write:

- a head of the layer ``first`` copies clue and distractor to the question's end and the answer's
  end, a head of the layer ``second`` from the answer's end to the confidence position, each with an
  attention so sharp that it is exact in float32;
- the head's rows of numbers read them there, and tags tell where a number starts, goes on and ends.

All other directions are a random transformer's, whose weights neither read nor write the reserved
ones. A level is written as cos t along one reserved direction and sin t along its *twin*, so that
no norm depends on it, and every reserved direction has mean zero, so that no LayerNorm's mean does.
Hence what is not planted is not there: at a place that nothing copies the clue to, states are the
same at every level.

These models show whether a rule of verdict errs where the truth is known, not what a trained model
does: what a real one holds is spread, entangled and weaker.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from tokenizers import Tokenizer, decoders, models
from torch import Tensor
from transformers import AutoConfig, AutoModelForCausalLM, PreTrainedTokenizerFast

from workbench.bench.planted_tokens import Words
from workbench.bench.planted_weights import HEADS, RESERVED, Mechanism, plant_weights
from workbench.models import LanguageModel, derive_architecture

FAMILIES = ("llama", "qwen2", "gpt2")


@dataclass(frozen=True, eq=False)
class PlantedModel:
    """A model with its ``reserved`` directions [len(RESERVED), width], in the order of RESERVED."""

    lm: LanguageModel
    reserved: Tensor

    def direction(self, name: str) -> Tensor:
        """Return the reserved direction [width] of this name."""
        return self.reserved[RESERVED.index(name)]


def build_planted(mechanism: Mechanism, words: Words, seed: int) -> PlantedModel:
    """Build the model of ``mechanism`` over the vocabulary ``words`` from a seed."""
    config = AutoConfig.for_model(
        mechanism.family,
        vocab_size=len(words.texts),
        hidden_size=mechanism.width,
        intermediate_size=2 * mechanism.width,
        num_hidden_layers=mechanism.layers,
        num_attention_heads=HEADS,
        num_key_value_heads=HEADS,
        max_position_embeddings=64,
        tie_word_embeddings=False,
        pad_token_id=0,
        bos_token_id=0,
        eos_token_id=0,
    )
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model = AutoModelForCausalLM.from_config(config, attn_implementation="sdpa")
        axes = _reserved(mechanism.width)
        with torch.no_grad():
            plant_weights(model, mechanism, words, axes)
    model.eval().requires_grad_(False)
    lm = LanguageModel(
        model,
        _tokenizer(words.texts),
        derive_architecture(model),
        f"planted {mechanism.family}",
        f"planted-{mechanism.family}-{seed}",
    )
    return PlantedModel(lm, axes)


def _reserved(width: int) -> Tensor:
    """Draw orthonormal directions of mean zero."""
    drawn = torch.randn(width, len(RESERVED) + 1, dtype=torch.float64)
    drawn[:, 0] = 1
    return torch.linalg.qr(drawn)[0][:, 1:].T.float()


def _tokenizer(texts: Sequence[str]) -> PreTrainedTokenizerFast:
    words = {text: index for index, text in enumerate(texts)}
    backend = Tokenizer(models.WordLevel(words, unk_token=texts[0]))
    backend.decoder = decoders.Fuse()
    return PreTrainedTokenizerFast(
        tokenizer_object=backend, pad_token=texts[0], eos_token=texts[0], bos_token=texts[0]
    )
