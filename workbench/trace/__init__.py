"""Recording and writing residual-stream states, and the packed layouts that make a whole sweep one forward."""

from workbench.trace.batches import plan_batches
from workbench.trace.forward import ForwardResult, Write, forward
from workbench.trace.hooks import on_inputs, on_outputs
from workbench.trace.layout import Prompts, Tail, empty_tail, pad_prompts
from workbench.trace.record import record_states

__all__ = [
    "ForwardResult",
    "Prompts",
    "Tail",
    "Write",
    "empty_tail",
    "forward",
    "on_inputs",
    "on_outputs",
    "pad_prompts",
    "plan_batches",
    "record_states",
]
