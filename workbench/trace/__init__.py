"""Recording and writing states at any site, and the packed layouts that make a whole sweep one forward."""

from workbench.trace.batches import plan_batches
from workbench.trace.edits import Write
from workbench.trace.forward import ForwardResult, forward
from workbench.trace.hooked_loop import loop_branches
from workbench.trace.hooks import on_inputs, on_outputs, on_places
from workbench.trace.interventions import Branch, Patch, Patched, Readout
from workbench.trace.layout import Prompts, Tail, empty_tail, pad_prompts
from workbench.trace.packed import patch_branches
from workbench.trace.record import record, record_states
from workbench.trace.sites import COMPONENTS, Component, Site
from workbench.trace.token_tree import END, Continuation

__all__ = [
    "COMPONENTS",
    "END",
    "Branch",
    "Component",
    "Continuation",
    "ForwardResult",
    "Patch",
    "Patched",
    "Prompts",
    "Readout",
    "Site",
    "Tail",
    "Write",
    "empty_tail",
    "forward",
    "loop_branches",
    "on_inputs",
    "on_outputs",
    "on_places",
    "pad_prompts",
    "patch_branches",
    "plan_batches",
    "record",
    "record_states",
]
