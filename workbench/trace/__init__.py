"""Record and write states at any site, and the packed layouts that make a whole sweep one
forward.
"""

from workbench.trace.batches import plan_batches
from workbench.trace.edits import ColumnWrite
from workbench.trace.forward import ForwardResult, forward
from workbench.trace.hooked_loop import loop_branches
from workbench.trace.hooks import hooked, on_inputs, on_outputs
from workbench.trace.interventions import Branch, Intervention, Patch, Patched, Readout
from workbench.trace.knockouts import AttentionKnockout
from workbench.trace.layout import Prompts, Tail, empty_tail, pad_prompts
from workbench.trace.packed import patch_branches
from workbench.trace.record import record, record_states
from workbench.trace.sites import COMPONENTS, Component, Site
from workbench.trace.subspace import Subspace, subspaces_by_layer
from workbench.trace.token_tree import NO_TREE, TokenTree

__all__ = [
    "COMPONENTS",
    "NO_TREE",
    "AttentionKnockout",
    "Branch",
    "ColumnWrite",
    "Component",
    "ForwardResult",
    "Intervention",
    "Patch",
    "Patched",
    "Prompts",
    "Readout",
    "Site",
    "Subspace",
    "Tail",
    "TokenTree",
    "empty_tail",
    "forward",
    "hooked",
    "loop_branches",
    "on_inputs",
    "on_outputs",
    "pad_prompts",
    "patch_branches",
    "plan_batches",
    "record",
    "record_states",
    "subspaces_by_layer",
]
