"""Write the model card of an adapter: recipe, data, seeds and what was measured, for people and for
the hub.

It is the ``README.md`` of the adapter's folder, with the hub's YAML head. Numbers are those of the
run that trained the adapter, on its held-out questions; they say nothing about other data.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from workbench.errors import WorkbenchError
from workbench.files.writing import write_atomically

LOADING = """```python
from peft import PeftModel
from transformers import AutoModelForCausalLM

model = PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained({base}), {place})
```"""

_SAYS = {
    True: "A LoRA adapter that changes what {model} (weights {revision}) states about its "
    "confidence in its answers.",
    False: "A LoRA adapter on {model} (weights {revision}) that was trained together with a small "
    "network, saved next to this folder, which reads "
    "confidence from its hidden states. By itself it states nothing.",
}


@dataclass(frozen=True)
class Card:
    """The contents of a card.

    ``metrics`` are words -> value as text, with its interval. ``states_confidence`` says whether
    the adapter states confidence itself.
    """

    base_model: str
    revision: str
    recipe: str
    source: str
    arm: str
    data: str
    train: int
    test: int
    held_out_domains: tuple[str, ...]
    seed: int
    other_seeds: tuple[int, ...]
    settings: Mapping[str, Any]
    metrics: Mapping[str, str]
    states_confidence: bool = True


def write_card(folder: Path, card: Card) -> Path:
    """Write the card into the adapter's ``folder``; return its path.

    Raises:
        WorkbenchError: if there is no adapter.
    """
    if not (folder / "adapter_config.json").exists():
        raise WorkbenchError(f"There is no adapter in {folder}, so no card is written there.")
    path = folder / "README.md"
    write_atomically(path, lambda temporary: temporary.write_text(card_text(card)))
    return path


def card_text(card: Card) -> str:
    """Return the card as Markdown."""
    head = {"library_name": "peft", "tags": ["confidence", "calibration", "lora"]}
    if not Path(card.base_model).expanduser().exists() and "/" in card.base_model:
        head["base_model"] = card.base_model
    outside = (
        f" Domains held out of training: {', '.join(card.held_out_domains)}."
        if card.held_out_domains
        else ""
    )
    seeds = (
        f" The same was taught with the seeds {', '.join(map(str, card.other_seeds))}."
        if card.other_seeds
        else ""
    )
    rows = "\n".join(f"| {_cell(name)} | {_cell(value)} |" for name, value in card.metrics.items())
    return f"""---
{yaml.safe_dump(head, sort_keys=True).strip()}
---

# Stated confidence, taught

{_SAYS[card.states_confidence].format(model=card.base_model, revision=card.revision)}

- Recipe: {card.recipe}. Method: {card.source}.
- Arm: {card.arm}.
- Data: {card.data}; {card.train} questions to train, {card.test} held out.{outside}
- Seed: {card.seed}.{seeds}

{LOADING.format(base="...", place="...")}

## Measured on the held-out questions

95 % intervals are bootstrapped over questions. The control taught on shuffled targets has
"shuffled" in its name.

| measure | value |
|---|---|
{rows}

## Settings

```json
{json.dumps(card.settings, indent=2, sort_keys=True)}
```
"""


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")
