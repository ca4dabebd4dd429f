"""What every stage of the loop receives: configuration, the run's store, and the model, loaded when first needed."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from workbench.config import RunConfig
from workbench.elicit.conversation import NumberPrefix, number_prefix
from workbench.elicit.formats import Format, format_named
from workbench.models import LanguageModel, load_model
from workbench.store import RunStore, StageStore
from workbench.teach.adapter import load_adapter, remove_adapter


@dataclass
class Context:
    """Shared by the stages of one run.

    ``keys`` gets the key of each stage as the run reaches it; a run whose stages are all finished never loads the model.
    """

    config: RunConfig
    store: RunStore
    figures: Path
    keys: dict[str, str] = field(default_factory=dict)
    _lm: LanguageModel | None = None

    @property
    def fmt(self) -> Format:
        """The elicitation format of this run."""
        return format_named(self.config.elicit.format)

    @property
    def lm(self) -> LanguageModel:
        """The base model."""
        if self._lm is None:
            model = self.config.model
            self._lm = load_model(
                model.name,
                dtype=model.dtype,
                device=model.device,
                chat_template=model.chat_template,
                trust_remote_code=model.trust_remote_code,
            )
        return self._lm

    @property
    def numbers(self) -> NumberPrefix:
        """Number trie of the run's format and tokenizer."""
        return number_prefix(self.lm.tokenizer, self.fmt)

    def stage(self, name: str) -> StageStore:
        """The folder of a stage the run has already reached."""
        return self.store.stage(name, self.keys[name])

    @contextmanager
    def tuned(self, stage: str) -> Iterator[LanguageModel]:
        """The model with the adapter of a teaching stage on; taken off again afterwards."""
        lm = load_adapter(self.lm, self.stage(stage).folder / "adapter")
        try:
            yield lm
        finally:
            remove_adapter(lm)

    def settings(self, *parts: str) -> dict[str, Any]:
        """The named parts of the configuration, for fingerprints."""
        whole = self.config.model_dump(mode="json")
        return {part: whole[part] for part in parts}
