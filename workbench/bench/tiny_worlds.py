"""Make tiny random models with questions in which knowledge can be planted, and teach them.

A question is a domain token, four random tokens and an answer token, then the tokens that ask for a
confidence on a scale of ten digits. One of two answer tokens is right with probability 1 -
``noise`` and the other with probability ``noise``; the domains differ in their share of right
answers besides. All weights are random, so nothing here shows what a trained model does.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from tokenizers import Tokenizer, models
from transformers import AutoConfig, AutoModelForCausalLM, PreTrainedTokenizerFast

from workbench.arrays import Bools, Floats, Rows
from workbench.config import LoraSettings
from workbench.elicit.readout import expected_confidence
from workbench.elicit.scales import Scale
from workbench.elicit.trie import ScaleTrie, build_trie
from workbench.models import LanguageModel, derive_architecture
from workbench.teach.adapter import add_adapter

Questions = Literal["own", "shuffled grades", "another question"]
VOCABULARY, LAYERS, WIDTH = 64, 4, 32
DIGITS = tuple(range(1, 11))
ASK = (11, 12, 13)
DOMAINS, FEATURES = (14, 15, 16, 17), (20, 60)
ANSWERS = (61, 62)
ANSWER_AT, TRAIN, TEST = 5, 96, 64
LENGTH = 6 + len(ASK)
SCALE = Scale(tuple(float(value) for value in range(10)), 9.0)
TARGET_STD = 0.1
ADAPTER_STD = 0.3
"""Scale of a random adapter's second factor; its readouts then move about as far as a taught
one's.
"""
LORA = LoraSettings(rank=4, alpha=16, dropout=0.0)
STEPS, LEARNING_RATE = 20, 2e-2
BASE_RATE = (0.3, 0.45, 0.55, 0.7)


@dataclass(frozen=True, eq=False)
class TinyWorld:
    """A model with its questions.

    Attributes:
        prompts: [n] what the model reads, up to the confidence position.
        correct: [n] grades.
        domain: [n].
        train: [n] whether a question is for fitting.
    """

    lm: LanguageModel
    trie: ScaleTrie
    prompts: list[list[int]]
    correct: Bools
    domain: Rows
    train: Bools


def tiny_model(seed: int) -> LanguageModel:
    """Build a llama of four layers with random weights and a tokenizer that only pads."""
    config = AutoConfig.for_model(
        "llama",
        vocab_size=VOCABULARY,
        hidden_size=WIDTH,
        intermediate_size=2 * WIDTH,
        num_hidden_layers=LAYERS,
        num_attention_heads=4,
        num_key_value_heads=2,
        head_dim=8,
        max_position_embeddings=LENGTH + 4,
        initializer_range=0.2,
        pad_token_id=0,
        bos_token_id=0,
        eos_token_id=0,
    )
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model = AutoModelForCausalLM.from_config(config, attn_implementation="sdpa")
    model.eval().requires_grad_(False)
    words = {"[PAD]": 0} | {f"t{token}": token for token in range(1, VOCABULARY)}
    backend = Tokenizer(models.WordLevel(words, unk_token="[PAD]"))
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=backend, pad_token="[PAD]")
    return LanguageModel(model, tokenizer, derive_architecture(model), "tiny", f"tiny-{seed}")


def make_world(seed: int, kind: Questions, noise: float) -> TinyWorld:
    """Draw a model and its questions; ``noise`` is the share of answers whose token misleads."""
    rng = np.random.default_rng(seed)
    n = TRAIN + TEST
    domain = rng.permutation(np.resize(np.arange(len(DOMAINS)), n))
    sure = rng.random(n) < 0.5
    correct = np.where(rng.random(n) < noise, ~sure, sure)
    # A domain's own difficulty: some answers are right or wrong whatever was answered.
    easy = np.array(BASE_RATE)[domain]
    correct = np.where(rng.random(n) < 0.3, rng.random(n) < easy, correct)
    asked = [
        [DOMAINS[d], *rng.integers(*FEATURES, 4).tolist(), ANSWERS[int(s)], *ASK]
        for d, s in zip(domain, sure, strict=True)
    ]
    train = np.zeros(n, dtype=bool)
    train[rng.permutation(n)[:TRAIN]] = True
    # The link is taken out after all draws, so that worlds of one seed differ in nothing else.
    if kind == "shuffled grades":
        for each in range(len(DOMAINS)):
            rows = np.flatnonzero(domain == each)
            correct[rows] = rng.permutation(correct[rows])
    if kind == "another question":
        asked = [asked[row] for row in np.roll(rng.permutation(n), 1)]
    trie = build_trie([(token,) for token in DIGITS], SCALE.values)
    return TinyWorld(tiny_model(seed), trie, asked, correct, domain, train)


def said(lm: LanguageModel, world: TinyWorld) -> Floats:
    """Return the expected confidence [n] as a share of certainty."""
    with torch.no_grad():
        logits = lm.model(input_ids=torch.tensor(world.prompts), use_cache=False).logits[:, -1]
    distribution = world.trie.distribution(world.trie.readout(logits)[:, None])
    return np.asarray(expected_confidence(distribution, SCALE.values, SCALE.certain))


def random_adapter(world: TinyWorld, seed: int) -> LanguageModel:
    """Return the model with an adapter of random weights on."""
    torch.manual_seed(seed)
    tuned = add_adapter(world.lm, LORA)
    for name, weight in tuned.model.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(weight, std=ADAPTER_STD)
    tuned.model.eval().requires_grad_(False)
    return tuned


def teach(world: TinyWorld, targets: Floats, seed: int) -> LanguageModel:
    """Return the model with an adapter on that was taught ``targets`` [train], each as a
    distribution over the scale.

    A few full-batch steps, because the trainer's start alone would cost more than all of them.
    """
    closeness = -((np.array(SCALE.shares) - targets[:, None]) ** 2) / (2 * TARGET_STD**2)
    wanted = torch.as_tensor(closeness, dtype=torch.float32).softmax(dim=-1)
    torch.manual_seed(seed)
    tuned = add_adapter(world.lm, LORA)
    weights = [one for name, one in tuned.model.named_parameters() if "lora_" in name]
    for weight in weights:
        weight.requires_grad_(True)
    optimiser = torch.optim.AdamW(weights, lr=LEARNING_RATE)
    given = torch.tensor(world.prompts)[torch.as_tensor(world.train)]
    for _ in range(STEPS):
        logits = tuned.model(input_ids=given, use_cache=False, logits_to_keep=1).logits
        loss = -(wanted * world.trie.log_probabilities(logits)).sum(dim=-1).mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    tuned.model.eval().requires_grad_(False)
    return tuned
