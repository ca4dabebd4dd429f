"""Hold what every stage of the loop receives: configuration, the run's store, and the model, loaded
when first needed.

Model libraries are imported when they are first needed, so that a finished run is recognised at
once.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from workbench.config import RunConfig, TeachSettings
from workbench.errors import WorkbenchError
from workbench.pipeline.stages import STRICT, Reuse
from workbench.pipeline.store import RunStore, StageStore

if TYPE_CHECKING:
    from workbench.elicit.conversation import ScaleTokens
    from workbench.elicit.format import Format
    from workbench.models import LanguageModel, Precision
    from workbench.trace.prefix_cache import PrefixCache


def loop_format(name: str) -> Format:
    """Return the format of this name, if the loop can run on it.

    Raises:
        WorkbenchError: where the confidence is asked for without the answer, so that there are no
            states of the answer to probe, and an adapter on the confidence could change the answer
            that follows it.
    """
    from workbench.elicit.formats import FORMATS, format_named

    fmt = format_named(name)
    if not fmt.shows_answer:
        usable = ", ".join(row.name for row in FORMATS.values() if row.shows_answer)
        raise WorkbenchError(
            f"The format {name!r} asks for confidence without the answer, which the loop probes "
            "and teaches on; read it with "
            f"'workbench elicit {name}', or set elicit.format to one of {usable}."
        )
    return fmt


@dataclass
class ModelHolder:
    """The model of a run, loaded when it is needed, and what is computed once with it.

    Attributes:
        reply_cache, prompt_cache: keys and values that stages keep for one another.
        shared: the holder of the run whose model is used.
        scales: by format, the tokens of its scale's texts.
        replies: by format, the tokens that open its confidence reply.
    """

    lm: LanguageModel | None = None
    reply_cache: PrefixCache | None = None
    prompt_cache: PrefixCache | None = None
    shared: ModelHolder | None = None
    scales: dict[Format, ScaleTokens] = field(default_factory=dict)
    replies: dict[Format, tuple[int, ...]] = field(default_factory=dict)


@dataclass
class Run:
    """A run as its stages share it.

    ``keys`` gets the key of each stage when the run starts it; a run whose stages are all finished
    never loads the model. ``parsed_questions`` holds what
    :func:`workbench.loop.questions.load_questions` has read, ``measured`` the measures of finished
    stages that :func:`workbench.loop.results.loop_results` has computed.
    """

    config: RunConfig
    store: RunStore
    figures: Path
    keys: dict[str, str] = field(default_factory=dict)
    loaded: ModelHolder = field(default_factory=ModelHolder)
    reuse: Reuse = STRICT
    parsed_questions: dict[Any, Any] = field(default_factory=dict, repr=False, compare=False)
    measured: dict[Any, Any] = field(default_factory=dict, repr=False, compare=False)

    @property
    def fmt(self) -> Format:
        """The elicitation format of this run."""
        from workbench.elicit.formats import configured

        return configured(loop_format(self.config.elicit.format), self.config.elicit)

    @property
    def lm(self) -> LanguageModel:
        """The base model."""
        from workbench.loading import RemoteAccess, load_model

        held = self.loaded.shared or self.loaded
        if held.lm is None:
            model = self.config.model
            held.lm = load_model(
                model.name,
                dtype=model.dtype,
                quantize=model.quantize,
                precision=model.precision,
                device=model.device,
                chat_template=model.chat_template,
                template=self.config.elicit.template,
                trust_remote_code=model.trust_remote_code,
                day=model.date,
                placement=model.placement,
                max_memory=model.max_memory,
                most_waiting_bytes=model.waiting_bytes,
                spill_folder=model.spill_folder,
                resume_passes=model.resume_passes,
                resume_bytes=model.resume_bytes,
                remote=RemoteAccess(model.remote, model.remote_retries, model.remote_wait),
            )
            if self.config.elicit.engine != "exact":
                from workbench.elicit.bulk.configured import use_engine

                use_engine(held.lm, model, self.config.elicit, self.config.seed)
        if self.config.elicit.thinking == "on":
            from workbench.models.thoughts import require_thoughts

            require_thoughts(held.lm.tokenizer)
        return held.lm

    @property
    def scale_tokens(self) -> ScaleTokens:
        """The tokens of the scale's texts after the confidence prefix; computed once."""
        from workbench.elicit.conversation import scale_tokens

        held, fmt = self.loaded.shared or self.loaded, self.fmt
        if fmt not in held.scales:
            held.scales[fmt] = scale_tokens(self.lm.tokenizer, fmt)
        return held.scales[fmt]

    @property
    def reply(self) -> tuple[int, ...] | None:
        """The tokens that open every confidence reply, if the adapter acts on the reply alone;
        else None. Computed once.
        """
        if self.config.teach.adapter_scope == "conversation":
            return None
        from workbench.elicit.reply_tokens import reply_tokens

        held, fmt = self.loaded.shared or self.loaded, self.fmt
        if fmt not in held.replies:
            held.replies[fmt] = reply_tokens(self.lm.tokenizer, fmt, self.scale_tokens)
        return held.replies[fmt]

    @property
    def reply_cache(self) -> PrefixCache:
        """The keys and values of what precedes the confidence reply, of the questions by row, kept
        between stages.
        """
        if self.loaded.reply_cache is None:
            self.loaded.reply_cache = self._store(self.prompt_cache)
        return self.loaded.reply_cache

    @property
    def prompt_cache(self) -> PrefixCache:
        """The keys and values of the answer prompts, of the questions by row, kept until their
        confidence is read.
        """
        if self.loaded.prompt_cache is None:
            self.loaded.prompt_cache = self._store(None)
        return self.loaded.prompt_cache

    def _store(self, sibling: PrefixCache | None) -> PrefixCache:
        import torch

        from workbench.elicit.conversation import answer_beginning
        from workbench.trace.prefix_cache import PrefixCache

        model = self.config.model
        return PrefixCache(
            model.kv_cache_bytes,
            model.tokens_per_forward,
            torch.bfloat16 if self.lm.precision == "bfloat16" else None,
            shared=answer_beginning(self.lm.tokenizer, self.fmt),
            sibling=sibling,
        )

    def with_teach(self, teach: TeachSettings) -> Run:
        """Return the same run, model and keys with other settings of teaching."""
        return replace(self, config=self.config.model_copy(update={"teach": teach}))

    def in_precision(self, precision: Precision) -> Run:
        """Return the same run and keys with the model loaded anew, in another precision, for
        analyses that choose their own.
        """
        model = self.config.model.model_copy(update={"precision": precision})
        return replace(
            self, config=self.config.model_copy(update={"model": model}), loaded=ModelHolder()
        )

    def sibling(self, config: RunConfig, folder: Path, figures: Path) -> Run:
        """Return another run that uses this one's model, which is loaded once for both; its
        settings of the model and its template must be the same.

        Raises:
            WorkbenchError: where they differ.
        """
        same = (self.config.model, self.config.elicit.template)
        if (config.model, config.elicit.template) != same:
            raise WorkbenchError(
                "Two runs share a model only if their settings under 'model', and elicit.template, "
                "are the same."
            )
        lender = self.loaded.shared or self.loaded
        return Run(
            config, RunStore(folder), figures, loaded=ModelHolder(shared=lender), reuse=self.reuse
        )

    def stage(self, name: str) -> StageStore:
        """Return the folder of a stage the run has already reached."""
        return self.store.stage(name, self.keys[name])

    @contextmanager
    def with_adapter(self, stage: str) -> Iterator[LanguageModel]:
        """Yield the model with the adapter of a teaching stage on; it is removed afterwards."""
        with self.with_adapter_of(self.stage(stage)) as lm:
            yield lm

    @contextmanager
    def with_adapter_of(
        self, taught: StageStore, adapter: str = "adapter"
    ) -> Iterator[LanguageModel]:
        """Yield the model with the adapter of a teaching stage of any run on this model, which lies
        in the stage's folder ``adapter``.
        """
        from workbench.teach.adapter import load_adapter, remove_adapter

        lm = load_adapter(self.lm, taught.checked(adapter))
        try:
            yield lm
        finally:
            remove_adapter(lm)

    def settings(self, *parts: str) -> dict[str, Any]:
        """Return the named parts of the configuration, for fingerprints."""
        whole = self.config.model_dump(mode="json")
        return {part: whole[part] for part in parts}
