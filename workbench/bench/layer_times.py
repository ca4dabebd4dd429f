"""Time one layer of a model's shape on this machine, forward at some numbers of columns and
backward at one, and the unembedding, for plans (:mod:`workbench.plan.rates`).

Two decoder layers of transformers with random weights stand for the model, so a layer's norms,
attention and Python are in its time; the model itself is not loaded. Weights are in the dtype, and
products in the precision, that a run of the settings has. Time is the least of a few repeats, which
other work of the machine disturbs least. Rows have 64 columns each, as short conversations have.
"""

from __future__ import annotations

import time
from collections.abc import Callable

import torch
from torch import Tensor
from transformers import AutoConfig, AutoModelForCausalLM

from workbench.bench.timing import seconds
from workbench.compat import has_bfloat16_units
from workbench.config import ModelSettings
from workbench.models.kernel_caches import bound_kernel_caches
from workbench.plan.number_formats import NumberFormats
from workbench.plan.rates import TimedLayers
from workbench.plan.shape import DecoderShape
from workbench.progress import track

COLUMNS = (1, 8, 32, 128, 512, 2048)
ROWS = (1, 8, 64)
OF_ROW = 64
LAYERS = 2
REPEATS = 3
Clock = Callable[[], float]


def time_layers(
    shape: DecoderShape, model: ModelSettings, clock: Clock = time.perf_counter
) -> TimedLayers:
    """Return seconds of a layer of ``shape`` here.

    Args:
        clock: seconds; of the processor for times that other work does not enter.
    """
    bound_kernel_caches()  # as a run does: it is read once in a process
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    formats = NumberFormats.of(model, device.type == "cpu", has_bfloat16_units())
    weights = getattr(torch, "float32" if formats.rest == 4 else formats.products)
    lower = formats.products == "bfloat16" and weights == torch.float32
    layers = _layers(shape, device, weights)
    if lower:
        for module in layers.modules():
            if isinstance(module, torch.nn.Linear):
                module.to(torch.bfloat16)

    def forward(columns: int, gradients: bool = False) -> float:
        rows = max(1, columns // OF_ROW)
        states = torch.randn(
            rows, columns // rows, shape.width, device=device, dtype=weights
        ).requires_grad_(gradients)
        positions = torch.arange(columns // rows, device=device)[None]

        def work() -> None:
            with (
                torch.set_grad_enabled(gradients),
                torch.autocast(device.type, torch.bfloat16, enabled=lower),
            ):
                out = layers(inputs_embeds=states, position_ids=positions, use_cache=False)[0]
            if gradients:
                out.float().sum().backward()

        return _least(work, clock) / LAYERS

    of_columns = [forward(columns) for columns in track(COLUMNS, "timing a layer")]
    back = forward(128, gradients=True) / of_columns[COLUMNS.index(128)]
    head = _head_times(shape, device, formats, clock)
    exact = 1.0
    if lower:
        layers, lower = layers.to(torch.float32), False
        exact = forward(512) / of_columns[COLUMNS.index(512)]
    threads = f"{torch.get_num_threads()} threads" if device.type == "cpu" else ""
    return TimedLayers(
        f"this machine's {device.type} {threads}".strip(),
        COLUMNS,
        tuple(of_columns),
        ROWS,
        head,
        back,
        exact,
    )


def _layers(shape: DecoderShape, device: torch.device, dtype: torch.dtype) -> torch.nn.Module:
    config = AutoConfig.for_model(
        "llama",
        vocab_size=8,
        hidden_size=shape.width,
        intermediate_size=shape.mlp,
        num_hidden_layers=LAYERS,
        num_attention_heads=shape.heads,
        num_key_value_heads=shape.key_value_heads,
        head_dim=shape.head_size,
    )
    with torch.device(device):
        model = AutoModelForCausalLM.from_config(config, dtype=dtype, attn_implementation="sdpa")
    found: torch.nn.Module = model.eval().requires_grad_(False).get_decoder()
    return found


def _head_times(
    shape: DecoderShape, device: torch.device, formats: NumberFormats, clock: Clock
) -> tuple[float, ...]:
    dtype = getattr(torch, formats.products)
    matrix = torch.randn(shape.vocabulary, shape.width, device=device).to(dtype)

    def product(rows: int) -> float:
        states = torch.randn(rows, shape.width, device=device).to(dtype)

        def work() -> Tensor:
            return (states @ matrix.T).float().argmax(dim=-1)

        return _least(work, clock)

    return tuple(product(rows) for rows in ROWS)


def _least(work: Callable[[], object], clock: Clock) -> float:
    work()
    return max(1e-9, min(seconds(work, clock) for _ in range(REPEATS)))
