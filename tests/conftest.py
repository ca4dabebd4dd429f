"""Tiny random models with tiny tokenizers, built in code: no downloads, the same on every machine.

Models are fresh at every call, because adapters and patches change a module in place.
"""

from __future__ import annotations

import json
import os
import resource
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import gguf
import pytest
import torch
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, pre_tokenizers
from transformers import AutoConfig, AutoModelForCausalLM, PreTrainedTokenizerFast

import workbench.loop.patching
import workbench.models.load
from workbench.config import RunConfig
from workbench.elicit.answer import answer_batch, answer_prompts, reason_batch
from workbench.elicit.formats import FORMATS
from workbench.models import LanguageModel, architecture_of, load_model, set_precision
from workbench.questions import Question, write_questions

if "PYTEST_XDIST_WORKER" in os.environ:  # processes share the cores; threads of several would wait for one another
    os.environ["OMP_NUM_THREADS"] = "1"
    torch.set_num_threads(1)

VOCABULARY = 384
SPECIAL = ("<|endoftext|>", "<|im_start|>", "<|im_end|>")
WORDS = ("Ġthe", "Ġis", "What", "Confidence", "Answer")
CHAT_TEMPLATE = (
    "{% for message in messages %}{% if loop.first and messages[0]['role'] != 'system' %}"
    "{{ '<|im_start|>system\nYou are a tiny model<|im_end|>\n' }}{% endif %}"
    "{{ '<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>' + '\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)
COMMON = {
    "vocab_size": VOCABULARY,
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 4,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 8,
    "max_position_embeddings": 512,
    "initializer_range": 0.2,
    "bos_token_id": 1,
    "eos_token_id": 2,
    "pad_token_id": 0,
}
EXPERTS = {"num_experts": 4, "num_experts_per_tok": 2, "moe_intermediate_size": 32}
PECULIAR: dict[str, dict[str, Any]] = {
    "mistral": {"sliding_window": 8},
    "mixtral": {"num_local_experts": 4},
    "qwen3_moe": EXPERTS,
    "gemma2": {"sliding_window": 8, "query_pre_attn_scalar": 8},
    "gemma3_text": {"sliding_window": 8, "query_pre_attn_scalar": 8},
    "gpt_oss": {"num_local_experts": 4, "num_experts_per_tok": 2, "sliding_window": 8},
    "cohere2": {"sliding_window": 8},
    "granite": {"logits_scaling": 4.0},
    "falcon_h1": {
        "mamba_d_ssm": 32,
        "mamba_n_heads": 4,
        "mamba_d_head": 8,
        "mamba_d_state": 8,
        "mamba_n_groups": 1,
        "lm_head_multiplier": 0.5,
    },
    "qwen3_next": {
        **EXPERTS,
        "shared_expert_intermediate_size": 32,
        "linear_num_key_heads": 2,
        "linear_num_value_heads": 4,
        "linear_key_head_dim": 8,
        "linear_value_head_dim": 8,
    },
}


def _split(kind: str) -> Any:
    byte_level = pre_tokenizers.ByteLevel(add_prefix_space=False)
    if kind == "digits":
        return pre_tokenizers.Sequence([pre_tokenizers.Digits(individual_digits=True), byte_level])
    if kind == "whole_numbers":
        return pre_tokenizers.Sequence([pre_tokenizers.Split(Regex(r"\p{N}{1,3}"), "isolated"), byte_level])
    return byte_level


def _number_merges(kind: str) -> list[tuple[str, str]]:
    if kind == "whole_numbers":
        return [(tens, ones) for tens in "123456789" for ones in "0123456789"] + [("10", "0")]
    return [("Ġ", digit) for digit in "0123456789"] if kind == "merged_space" else []


def build_tokenizer(kind: str) -> PreTrainedTokenizerFast:
    """Byte-level BPE with a chat template.

    ``digits``: every digit its own token; ``whole_numbers``: 0 to 100 are single tokens; ``merged_space``: a digit
    merges with the space before it, and digits never with each other.
    """
    if kind not in ("digits", "whole_numbers", "merged_space"):
        raise ValueError(kind)
    merges = [(word[:end], word[end]) for word in WORDS for end in range(1, len(word))] + _number_merges(kind)
    pieces = [*SPECIAL, *sorted(pre_tokenizers.ByteLevel.alphabet()), *dict.fromkeys(a + b for a, b in merges)]
    backend = Tokenizer(models.BPE(vocab={piece: index for index, piece in enumerate(pieces)}, merges=merges))
    backend.pre_tokenizer = _split(kind)
    backend.decoder = decoders.ByteLevel()
    backend.add_special_tokens([AddedToken(text, special=True, normalized=False) for text in SPECIAL])
    return PreTrainedTokenizerFast(
        tokenizer_object=backend,
        unk_token=SPECIAL[0],
        pad_token=SPECIAL[0],
        bos_token=SPECIAL[1],
        eos_token=SPECIAL[2],
        padding_side="left",
        chat_template=CHAT_TEMPLATE,
    )


def build_tiny(family: str = "llama", tokenizer: str = "digits", seed: int = 0, **overrides: Any) -> LanguageModel:
    """A seeded random model of a family: width 32, four layers, four heads, two key-value heads, 384 tokens."""
    config = AutoConfig.for_model(family, **{**COMMON, **PECULIAR.get(family, {}), **overrides})
    row = architecture_of(config)
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model = AutoModelForCausalLM.from_config(config, attn_implementation="sdpa" if row.sdpa else "eager")
    model.eval().requires_grad_(False)
    return LanguageModel(model, build_tokenizer(tokenizer), row, f"tiny-{family}", f"{family}-{tokenizer}-{seed}")


@pytest.fixture(scope="session")
def make_tiny() -> Callable[..., LanguageModel]:
    """``make_tiny(family="llama", tokenizer="digits", seed=0, **config_overrides)``, fresh at every call."""
    return build_tiny


@pytest.fixture
def make_tokenizer() -> Callable[[str], PreTrainedTokenizerFast]:
    """``make_tokenizer(kind)`` with kind ``digits``, ``whole_numbers`` or ``merged_space``."""
    return build_tokenizer


@pytest.fixture
def tiny_lm() -> LanguageModel:
    """The tiny llama."""
    return build_tiny()


@pytest.fixture(scope="session")
def tiny_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A saved tiny llama that ``load_model`` and the command line can load; not to be written to."""
    folder = tmp_path_factory.mktemp("tiny") / "llama"
    lm = build_tiny()
    lm.model.save_pretrained(folder)
    lm.tokenizer.save_pretrained(folder)
    return folder


def write_gguf(
    path: Path, lm: LanguageModel, split: str = "smollm", vocabulary: Callable[[Any, LanguageModel], None] | None = None
) -> Path:
    """A llama as a GGUF file, linear layers quantised to eight bits, for reading quantised checkpoints in tests."""
    config, state = lm.config, {name: tensor.numpy() for name, tensor in lm.base().state_dict().items()}
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_block_count(config.num_hidden_layers)
    writer.add_context_length(config.max_position_embeddings)
    writer.add_embedding_length(config.hidden_size)
    writer.add_feed_forward_length(config.intermediate_size)
    writer.add_head_count(config.num_attention_heads)
    writer.add_head_count_kv(config.num_key_value_heads)
    writer.add_rope_freq_base(config.rope_parameters["rope_theta"])
    writer.add_layer_norm_rms_eps(config.rms_norm_eps)
    writer.add_rope_dimension_count(config.head_dim)
    writer.add_vocab_size(config.vocab_size)
    if vocabulary is None:
        _write_vocabulary(writer, lm, split)
    else:
        vocabulary(writer, lm)
    names = gguf.get_tensor_name_map(gguf.MODEL_ARCH.LLAMA, config.num_hidden_layers)
    heads = {"q_proj": config.num_attention_heads, "k_proj": config.num_key_value_heads}
    for name, tensor in state.items():
        target = names.get_name(name, try_suffixes=(".weight",))
        for part, count in heads.items():
            if part in name:
                pairs = tensor.reshape(count, 2, -1, tensor.shape[-1])
                tensor = pairs.swapaxes(1, 2).reshape(tensor.shape)
        if name.endswith("proj.weight"):
            kind = gguf.GGMLQuantizationType.Q8_0
            writer.add_tensor(target, gguf.quants.quantize(tensor, kind), raw_dtype=kind)
        else:
            writer.add_tensor(target, tensor)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def _write_vocabulary(writer: Any, lm: LanguageModel, split: str) -> None:
    vocabulary = sorted(lm.tokenizer.get_vocab().items(), key=lambda item: item[1])
    tokens = [token for token, _ in vocabulary]
    tokens += [f"[PAD{index}]" for index in range(len(tokens), lm.config.vocab_size)]
    merges = json.loads(lm.tokenizer.backend_tokenizer.to_str())["model"]["merges"]
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre(split)
    writer.add_token_list(tokens)
    control, normal, unused = gguf.TokenType.CONTROL, gguf.TokenType.NORMAL, gguf.TokenType.UNUSED
    kinds = [control if token in SPECIAL else unused if token.startswith("[PAD") else normal for token in tokens]
    writer.add_token_types(kinds)
    writer.add_token_merges([" ".join(merge) for merge in merges])
    writer.add_unk_token_id(0)
    writer.add_pad_token_id(0)
    writer.add_bos_token_id(1)
    writer.add_eos_token_id(2)
    writer.add_add_bos_token(False)
    writer.add_chat_template(CHAT_TEMPLATE)


@pytest.fixture
def make_gguf() -> Callable[..., Path]:
    """``make_gguf(path, lm, split="smollm", vocabulary=None)`` writes a tiny llama as a GGUF file."""
    return write_gguf


MARKUP = "<script>alert(1)</script>"
ANSWER_TOKENS = 6


@dataclass(frozen=True)
class LoopInputs:
    """What a whole run on a tiny model starts from: a model's folder, a question file, and the settings that fit them."""

    model: Path
    questions: Path
    config: RunConfig


@dataclass(frozen=True)
class FinishedRun:
    """A run that went through, its folders not to be written to."""

    inputs: LoopInputs
    folder: Path
    figures: Path
    summary: dict[str, Any]


def save_number_writer(folder: Path) -> None:
    """A tiny llama whose head favours digits and the percent sign, so that most of its confidences can be parsed."""
    lm = build_tiny(seed=3)
    ids = lm.tokenizer.convert_tokens_to_ids(list("0123456789%"))
    with torch.no_grad():
        lm.head().weight[ids] *= torch.tensor([3.0] * 10 + [6.0])[:, None]
    lm.model.save_pretrained(folder)
    lm.tokenizer.save_pretrained(folder)


def planted_questions(lm: LanguageModel, name: str = "percent", reasoning_tokens: int = 4) -> list[Question]:
    """132 questions in two domains; "upper" ones accept what the model replies, "lower" ones nothing it could reply.

    So grading is real, half of the answers are right, and one word of the question decides which: a probe must find it.
    Accepted are the replies in the format ``name`` under the settings of :func:`loop_inputs` and under the defaults, in either
    precision, so that runs in both are graded alike; ``lm`` is left in bfloat16. Every eleventh question carries markup.
    """
    keys = [(i, domain, side) for i in range(33) for domain in ("planets", "rivers") for side in ("upper", "lower")]
    texts = [f"Which of the {d} is {s} {i * 7919 % 1000}?{MARKUP if i % 11 == 0 else ''}" for i, d, s in keys]
    reasonings = reason_batch(lm, FORMATS[name], texts, reasoning_tokens)
    prompts = answer_prompts(lm, FORMATS[name], texts, reasonings)
    limits = (ANSWER_TOKENS, RunConfig().elicit.answer_tokens)
    said = [answer_batch(lm, prompts, limit) for limit in limits]
    set_precision(lm, "bfloat16")
    said += [answer_batch(lm, prompts, limit) for limit in limits]
    replies = zip(*said, strict=True)
    return [
        Question(
            id=f"{domain}-{side}-{i}",
            text=text,
            answers=tuple(dict.fromkeys(accepted)) if side == "upper" else ("zzqx",),
            domain=domain,
            source="made for this test",
            licence="none",
        )
        for (i, domain, side), text, accepted in zip(keys, texts, replies, strict=True)
    ]


@pytest.fixture(scope="session")
def answered_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """24 open questions of two domains, no two with the same answer, so that each can be asked as a choice."""
    path = tmp_path_factory.mktemp("answered") / "questions.jsonl"
    rows = [
        {
            "question": f"Which planet has {i} moons?{MARKUP}",
            "answers": [f"Planet{i}"],
            "domain": ("near", "far")[i % 2],
        }
        for i in range(24)
    ]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


@pytest.fixture(scope="session")
def loop_inputs(tmp_path_factory: pytest.TempPathFactory) -> LoopInputs:
    """Model, questions and settings of a whole run that takes seconds."""
    place = tmp_path_factory.mktemp("loop")
    model, questions = place / "model", place / "questions.jsonl"
    save_number_writer(model)
    write_questions(questions, planted_questions(load_model(str(model), device="cpu")))
    config = RunConfig.model_validate(
        {
            "model": {"name": str(model), "device": "cpu", "precision": "float32"},
            "questions": {"source": str(questions), "limit": 132, "train_fraction": 0.5},
            "elicit": {"answer_tokens": ANSWER_TOKENS},
            "probe": {"folds": 3, "inner_folds": 2, "c_grid": (0.01, 0.1), "shuffles": 2},
            "teach": {
                "lora": {"rank": 8, "alpha": 16},
                "learning_rate": 1e-3,
                "epochs": 1,
                "accumulation": 1,
                "checkpoint_steps": 3,
            },
            "patch": {"items": 8, "control_layers": 2},
            "resamples": 200,
        }
    )
    return LoopInputs(model, questions, config)


@pytest.fixture(scope="session")
def finished_run(loop_inputs: LoopInputs, tmp_path_factory: pytest.TempPathFactory) -> FinishedRun:
    """The whole loop on the tiny model, uninterrupted."""
    from workbench.run import run

    place = tmp_path_factory.mktemp("finished")
    folder, figures = place / "run", place / "figures"
    return FinishedRun(loop_inputs, folder, figures, run(loop_inputs.config, folder, figures))


@pytest.fixture(scope="session")
def conversation_run(finished_run: FinishedRun, tmp_path_factory: pytest.TempPathFactory) -> FinishedRun:
    """The same with an adapter on the whole conversation that writes its targets as text; what it builds on is not done anew."""
    from workbench.pipeline.stages import Reuse
    from workbench.run import run

    place = tmp_path_factory.mktemp("conversation")
    folder, figures = shutil.copytree(finished_run.folder, place / "run"), place / "figures"
    inputs = finished_run.inputs
    changes = {"scope": "conversation", "target": "text", "learning_rate": 5e-3}
    config = inputs.config.model_copy(update={"teach": inputs.config.teach.model_copy(update=changes)})
    summary = run(config, folder, figures, Reuse(replace=True))
    return FinishedRun(replace(inputs, config=config), folder, figures, summary)


@pytest.fixture
def little_room() -> Callable[[int], Any]:
    """A block in which no file of this process grows beyond so many bytes: the writers' own errors of a disk that is full."""

    @contextmanager
    def within(most: int) -> Iterator[None]:
        soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (most, hard))
        try:
            yield
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))

    return within


class OtherPrecisionError(AssertionError):
    """A pass that was not made in the precision of its run."""


@dataclass
class Watched:
    """What every model loaded inside :func:`only_in` computed.

    Attributes:
        models: how many were loaded.
        products: of linear layers, in the run's precision.
        on_purpose: products in float32 inside :func:`workbench.models.in_float32`, which patching alone asks for.
    """

    models: int = 0
    products: int = 0
    on_purpose: int = 0
    widened: bool = False


@contextmanager
def only_in(precision: str, *models: LanguageModel) -> Iterator[Watched]:
    """Inside the block a pass of ``models``, or of any that is loaded, ends in an error unless it is made in ``precision``.

    A layer whose matrix is the token embedding keeps that one's dtype; adapters are no part of it.
    """
    found, check, widen = Watched(), workbench.models.load.validate, workbench.loop.patching.in_float32
    own: dict[int, bool] = {}
    kept: list[LanguageModel] = []
    multiply = torch.nn.Linear.forward
    wanted = {"float32": (False, torch.float32), "bfloat16": (True, torch.bfloat16)}[precision]

    @contextmanager
    def on_purpose(lm: LanguageModel) -> Iterator[None]:
        found.widened = True
        with widen(lm):
            yield
        found.widened = False

    def watch(lm: LanguageModel) -> None:
        tied = lm.embedding().weight

        own.update({id(m): m.weight is tied for m in lm.base().modules() if isinstance(m, torch.nn.Linear)})
        kept.append(lm)  # so that no other module gets the number of one of these

    def validated(lm: LanguageModel) -> None:
        check(lm)
        found.models += 1
        watch(lm)

    def look(module: torch.nn.Linear, inputs: torch.Tensor) -> torch.Tensor:
        if id(module) in own:
            state = (torch.is_autocast_enabled("cpu"), wanted[1] if own[id(module)] else module.weight.dtype)
            if found.widened and state == (False, torch.float32):
                found.on_purpose += 1
            elif state == wanted:
                found.products += 1
            else:
                raise OtherPrecisionError(f"A pass of a {precision} run: autocast {state[0]}, a matrix in {state[1]}.")
        return multiply(module, inputs)

    for lm in models:
        watch(lm)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(workbench.models.load, "validate", validated)
        patch.setattr(workbench.loop.patching, "in_float32", on_purpose)
        patch.setattr(torch.nn.Linear, "forward", look)
        yield found


@pytest.fixture(scope="session")
def lower_run(finished_run: FinishedRun, tmp_path_factory: pytest.TempPathFactory) -> FinishedRun:
    """The same loop in bfloat16, no pass of it in anything else but what patching compares in float32 on purpose."""
    from workbench.run import run

    place = tmp_path_factory.mktemp("lower")
    folder, figures = place / "run", place / "figures"
    whole = finished_run.inputs.config
    config = whole.model_copy(update={"model": whole.model.model_copy(update={"precision": "bfloat16"})})
    with only_in("bfloat16") as watched:
        summary = run(config, folder, figures)
    assert watched.models == 1
    assert watched.products > 1000
    assert watched.on_purpose > 0
    return FinishedRun(replace(finished_run.inputs, config=config), folder, figures, summary)
