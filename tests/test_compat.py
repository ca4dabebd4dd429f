"""What the libraries below keep behind an underscore still does what the package takes it for. A
test that fails here names the private part of a host that moved.
"""

from __future__ import annotations

import ast
import inspect
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import gguf
import pytest
import torch
from accelerate.hooks import AlignDevicesHook, add_hook_to_module
from nnsight import LanguageModel as NnsightModel
from peft import LoraConfig
from torch import nn
from torch.utils.data import Dataset, SequentialSampler
from transformers import (
    AutoConfig,
    AutoModelForCausalLM,
    PreTrainedModel,
    Trainer,
    TrainingArguments,
    modeling_utils,
)

from workbench import compat, compat_processes
from workbench.models import LanguageModel

ROOT = Path(__file__).parents[1]
MakeTiny = Callable[..., LanguageModel]


def test_a_whole_model_has_one_process_and_transformers_counts_them_there(
    tiny_lm: LanguageModel,
) -> None:
    base = tiny_lm.base()
    assert compat_processes.process_count(base) == 1
    base._tp_size = 4
    # The public property of transformers reads the same attribute.
    assert base.tp_size == compat_processes.process_count(base) == 4
    # Declared by transformers itself, so that it is set there and not only here.
    assert PreTrainedModel._device_mesh is base._device_mesh is None
    assert compat_processes.split_plan(base, "model.layers.3.self_attn.q_proj") == "colwise"
    assert compat_processes.split_plan(base, "model.norm") is None
    assert PreTrainedModel._tp_size is None


def test_the_kernel_is_the_one_that_was_set(make_tiny: MakeTiny) -> None:
    base = make_tiny().base()
    for kernel in ("eager", "sdpa"):
        base.set_attn_implementation(kernel)
        assert compat.attention_kernel(base) == kernel


def test_a_model_that_forgot_its_adapter_takes_another(tiny_folder: Path) -> None:
    model = AutoModelForCausalLM.from_pretrained(tiny_folder)
    model.add_adapter(LoraConfig(r=2, target_modules=["q_proj"]), "one")
    assert model._hf_peft_config_loaded
    compat.forget_adapters(model)
    with pytest.raises(ValueError, match=r"[Nn]o adapter"):
        model.active_adapters()


def test_transformers_uses_the_reader_of_a_gguf_file_that_is_open(
    make_gguf: Callable[..., Path],
    tiny_lm: LanguageModel,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    path = make_gguf(tmp_path / "tiny.gguf", tiny_lm)
    reader, opened = gguf.GGUFReader(path), []

    class Counted(gguf.GGUFReader):
        def __init__(self, place: Any) -> None:
            opened.append(place)
            super().__init__(place)

    monkeypatch.setattr(gguf, "GGUFReader", Counted)
    with compat.opened_once(path, reader):
        config = AutoConfig.from_pretrained(tmp_path, gguf_file=path.name)
        assert opened == []
    assert AutoConfig.from_pretrained(tmp_path, gguf_file=path.name).to_dict() == config.to_dict()
    assert [Path(place) for place in opened] == [path]


def test_the_device_of_moved_weights_is_the_hooks() -> None:
    module = nn.Embedding(3, 2)
    add_hook_to_module(module, AlignDevicesHook(execution_device="cpu", offload=True))
    assert module.weight.device.type == "meta"
    assert compat.execution_device(module) == "cpu"
    assert compat.is_moved_for_each_use(module)
    assert not compat.is_moved_for_each_use(torch.nn.Linear(1, 1))


def test_changes_in_place_are_counted() -> None:
    tensor = torch.zeros(2)
    before = compat.version_of(tensor)
    tensor.add_(1)
    assert compat.version_of(tensor) == before + 1


def test_torch_says_whether_the_processor_has_bfloat16_units() -> None:
    flags = Path("/proc/cpuinfo").read_text() if Path("/proc/cpuinfo").exists() else None
    found = compat.has_bfloat16_units()
    if flags is not None and "flags" in flags:
        assert found == ("avx512_bf16" in flags or "amx_tile" in flags)


@pytest.mark.skipif(sys.platform != "linux", reason="the heap is read from /proc")
def test_blocks_above_a_size_are_mapped_and_given_back(tmp_path: Path) -> None:
    """Eight blocks grow the heap of a process of its own only where blocks are not mapped."""
    script = tmp_path / "blocks.py"
    script.write_text(
        "import sys\n"
        "from workbench.compat import map_blocks\n"
        "def heap():\n"
        "    lines = open('/proc/self/maps').read().splitlines()\n"
        "    spans = [line.split()[0].split('-') for line in lines if line.endswith('[heap]')]\n"
        "    return sum(int(end, 16) - int(start, 16) for start, end in spans)\n"
        "if sys.argv[1] == 'mapped':\n"
        "    map_blocks(2**20)\n"
        "largest = bytearray(24 * 2**20)\n"
        "del largest  # glibc now takes blocks up to this size from the heap\n"
        "before = heap()\n"
        "blocks = [bytearray(8 * 2**20) for _ in range(8)]\n"
        "print((heap() - before) // 2**20)\n"
    )
    grown = {
        kind: int(subprocess.run([sys.executable, script, kind], capture_output=True,
                                 check=True, text=True).stdout)
        for kind in ("plain", "mapped")
    }  # fmt: skip
    assert grown["mapped"] < 4 < 56 <= grown["plain"]


def test_nnsight_describes_its_environment(tiny_lm: LanguageModel) -> None:
    model = NnsightModel(tiny_lm.base(), tokenizer=tiny_lm.tokenizer)
    assert isinstance(compat.remote_environment(model), dict)


class Rows(Dataset[dict[str, torch.Tensor]]):
    def __len__(self) -> int:
        return 4

    def __getitem__(self, index: int) -> dict[str, torch.Tensor]:
        return {"x": torch.tensor([float(index)])}


class Squares(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(1, 1)

    def forward(self, x: torch.Tensor) -> dict[str, torch.Tensor]:
        return {"loss": self.layer(x).square().mean()}


class Watched(compat.TrainerHooks, Trainer):
    calls: list[Any]

    def train_sampler(self) -> SequentialSampler:
        self.calls.append("sampler")
        return SequentialSampler(self.train_dataset)

    def save_extra(self, folder: Path) -> None:
        self.calls.append(("save", folder.name, (folder / "model.safetensors").exists()))

    def load_extra(self, folder: Path) -> None:
        self.calls.append(("load", folder.name))


def test_the_trainer_asks_its_hooks_for_order_saving_and_loading(tmp_path: Path) -> None:
    def train(last: Path | None) -> list[Any]:
        args = TrainingArguments(
            output_dir=str(tmp_path), max_steps=2 if last else 1, save_steps=1, use_cpu=True,
            report_to=[], disable_tqdm=True, per_device_train_batch_size=1,
        )  # fmt: skip
        trainer = Watched(model=Squares(), args=args, train_dataset=Rows())
        trainer.calls = []
        trainer.train(resume_from_checkpoint=None if last is None else str(last))
        return trainer.calls

    assert train(None) == ["sampler", ("save", "checkpoint-1", True)]
    assert train(tmp_path / "checkpoint-1") == [
        ("load", "checkpoint-1"),
        "sampler",
        ("save", "checkpoint-2", True),
    ]


@pytest.mark.parametrize("name", ["GRPOTrainer", "RLOOTrainer"])
def test_trl_tokenises_prompts_where_the_package_gives_tokens(name: str) -> None:
    trainer = getattr(pytest.importorskip("trl"), name)
    assert list(inspect.signature(trainer._tokenize_prompts).parameters) == ["self", "prompts"]

    class OnTokens(compat.TokenPrompts, trainer):  # type: ignore[misc]
        def prompt_tokens(self, prompts: Any) -> list[list[int]]:
            return [[len(prompt)] for prompt in prompts]

    assert OnTokens._tokenize_prompts is compat.TokenPrompts._tokenize_prompts
    found = OnTokens._tokenize_prompts(OnTokens.__new__(OnTokens), ["a", "bcd"])
    assert found == ([[1], [3]], None, {})
    assert len(found) == 3
    assert "_tokenize_prompts" in inspect.getsource(trainer)


def test_trl_samples_a_turn_from_tokens() -> None:
    trainer = pytest.importorskip("trl").GRPOTrainer
    names = list(inspect.signature(trainer._generate_single_turn).parameters)
    assert names[:5] == ["self", "prompt_ids", "images", "multimodal_fields", "num_generations"]

    def sampled(prompts: Any, images: Any, fields: Any, count: int) -> tuple[Any, None]:
        assert (images, fields, count) == (None, {}, 3)
        return [[*prompt, 9] for prompt in prompts], None

    stand_in = SimpleNamespace(_generate_single_turn=sampled, num_generations=3)
    assert compat.sample_turn(stand_in, [[1], [2]]) == [[1, 9], [2, 9]]


OWN = {"self", "__self", "cls", "other"}
JINJA = {"_generate"}
"""A hook that jinja2 documents for subclasses of its environment."""
FOREIGN = {"workbench/models/template_limits.py": JINJA}


def is_own(value: ast.expr) -> bool:
    return isinstance(value, ast.Name) and value.id in OWN


def test_no_other_module_uses_a_private_part_of_another_object() -> None:
    found = []
    for path in sorted((ROOT / "workbench").rglob("*.py")):
        name = path.relative_to(ROOT).as_posix()
        if name in ("workbench/compat.py", "workbench/compat_processes.py"):
            continue
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            private = None
            if isinstance(node, ast.Attribute) and not is_own(node.value):
                private = node.attr
            elif (
                isinstance(node, ast.Call)
                and isinstance(node.func, ast.Name)
                and node.func.id in ("getattr", "setattr", "hasattr")
                and isinstance(node.args[1], ast.Constant)
            ):
                private = str(node.args[1].value)
            if (
                private is not None
                and private.startswith("_")
                and not private.startswith("__")
                and private not in FOREIGN.get(name, set())
            ):
                found.append(f"{name}:{node.lineno}: {private}")
    assert not found


def test_weights_are_read_without_mapping_their_files_inside_the_block_alone(
    tiny_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kinds, opened = [], modeling_utils.safe_open

    def open_seen(file: Any, **options: Any) -> Any:
        kinds.append(options["backend"])
        return opened(file, **options)

    monkeypatch.setattr(modeling_utils, "safe_open", open_seen)
    mapped = AutoModelForCausalLM.from_pretrained(tiny_folder)
    with compat.unmapped_files():
        read = AutoModelForCausalLM.from_pretrained(tiny_folder)
    assert kinds == ["mmap", "pread"]
    assert modeling_utils.safe_open is open_seen
    for one, two in zip(mapped.parameters(), read.parameters(), strict=True):
        assert torch.equal(one, two)
