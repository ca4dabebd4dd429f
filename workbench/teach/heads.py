"""A head beside a frozen model: a small network from a hidden state to the probability that the answer is right.

Layers d - 256 - 128 - 64 - 2 with ReLU on the last layer's residual stream at the answer's last token, standardised on the
taught questions; cross-entropy, AdamW, cosine (the "Probe" of Kapoor et al. 2024, arXiv 2406.08391). The model computes nothing
for it: the states are those recorded when it was asked for its confidence. What it reads says nothing of what the model says.
"""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from workbench import progress
from workbench.store import write_atomically
from workbench.teach.lesson import Judged, Lesson, Taught

WIDTHS = (256, 128, 64)
EPOCHS, BATCH, RATE = 60, 8, 1e-4
POSITION = "answer_end"
FILE = "head.safetensors"


def head_network(width: int) -> nn.Sequential:
    """The network for states of ``width``."""
    sizes = (width, *WIDTHS)
    layers: list[nn.Module] = []
    for before, after in pairwise(sizes):
        layers += [nn.Linear(before, after), nn.ReLU()]
    return nn.Sequential(*layers, nn.Linear(sizes[-1], 2))


def teach_head(lesson: Lesson) -> Taught:
    """Train the head on the lesson's targets and save it, with the standardisation, in the lesson's folder."""
    features = _features(lesson.states(POSITION))
    mean, scale = features.mean(dim=0), features.std(dim=0).clamp(min=1e-6)
    wanted = torch.as_tensor(lesson.targets, dtype=torch.float32)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(lesson.seed)
        network = head_network(features.shape[1])
        log = _train(network, (features - mean) / scale, torch.stack([1 - wanted, wanted], dim=1), lesson.description)
    saved = {name: tensor.detach().contiguous() for name, tensor in network.state_dict().items()}
    write_atomically(lesson.folder / FILE, lambda path: save_file({**saved, "mean": mean, "scale": scale}, path))
    return Taught(lesson.lm, log, 0)


def read_head(judged: Judged) -> NDArray[np.float64]:
    """The saved head's probability [n] that each answer is right."""
    saved = load_file(judged.folder / FILE)
    mean, scale = saved.pop("mean"), saved.pop("scale")
    network = head_network(len(mean))
    network.load_state_dict(saved)
    with torch.no_grad():
        return network((_features(judged.states(POSITION)) - mean) / scale).double().softmax(dim=-1)[:, 1].numpy()


def _features(states: NDArray[np.float32]) -> Tensor:
    return torch.as_tensor(states[:, -1], dtype=torch.float32)


def _train(network: nn.Sequential, features: Tensor, wanted: Tensor, description: str) -> list[dict[str, float]]:
    steps = EPOCHS * math.ceil(len(features) / BATCH)
    optimizer = torch.optim.AdamW(network.parameters(), lr=RATE)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    log: list[dict[str, float]] = []
    for _ in progress.track(range(EPOCHS), description):
        for rows in torch.randperm(len(features)).split(BATCH):
            loss = nn.functional.cross_entropy(network(features[rows]), wanted[rows])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
            log.append({"step": len(log) + 1, "loss": loss.item(), "learning_rate": schedule.get_last_lr()[0]})
    return log
