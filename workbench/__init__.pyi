# The library's public names, listed once: type checkers read them here, and workbench/__init__.py
# finds here the module that a name is imported from when it is first used.

from workbench.api.attention_cuts import cut_attention as cut_attention
from workbench.api.attribution import attribute as attribute
from workbench.api.confidence import Asked as Asked
from workbench.api.confidence import ask as ask
from workbench.api.direct_paths import path_effects as path_effects
from workbench.api.direct_paths import propose_edges as propose_edges
from workbench.api.direct_writing import direct_attribution as direct_attribution
from workbench.api.donors import Ablation as Ablation
from workbench.api.donors import Noise as Noise
from workbench.api.donors import Vector as Vector
from workbench.api.patching import patch_map as patch_map
from workbench.api.patching import sweep as sweep
from workbench.api.probes import fit_probes as fit_probes
from workbench.api.questions import load_questions as load_questions
from workbench.api.recorded_donor import record_donor as record_donor
from workbench.api.subspaces import find_subspace as find_subspace
from workbench.api.texts import generate_texts as generate_texts
from workbench.api.training import train as train
from workbench.config import RunConfig as RunConfig
from workbench.config import load_config as load_config
from workbench.elicit import FORMATS as FORMATS
from workbench.elicit import Format as Format
from workbench.elicit import ask_choice as ask_choice
from workbench.elicit import ask_pairs as ask_pairs
from workbench.elicit import read_confidence as read_confidence
from workbench.errors import WorkbenchError as WorkbenchError
from workbench.experiments.recipes.run import teach_recipe as teach_recipe
from workbench.features import attribute_features as attribute_features
from workbench.features import donor_features as donor_features
from workbench.features import load_dictionary as load_dictionary
from workbench.features import record_features as record_features
from workbench.features import scale_features as scale_features
from workbench.features import set_features as set_features
from workbench.features import zero_features as zero_features
from workbench.live.notebook import live_widget as live_widget
from workbench.loading import load_model as load_model
from workbench.loop import run_loop as run_loop
from workbench.measure import Estimate as Estimate
from workbench.measure import auroc2 as auroc2
from workbench.measure import auroc2_within as auroc2_within
from workbench.measure import confidence_metrics as confidence_metrics
from workbench.models import LanguageModel as LanguageModel
from workbench.patch import Sampling as Sampling
from workbench.patch import TextBranch as TextBranch
from workbench.patch import generate_branches as generate_branches
from workbench.patch import layer_sweep_of_scale as layer_sweep_of_scale
from workbench.probe import fit_layerwise as fit_layerwise
from workbench.progress_bars import show_progress as show_progress
from workbench.questions import Question as Question
from workbench.questions import builtin_questions as builtin_questions
from workbench.questions import grade as grade
from workbench.questions import read_questions as read_questions
from workbench.subspaces.rotation import Boundless as Boundless
from workbench.teach import load_adapter as load_adapter
from workbench.teach import train_adapter as train_adapter
from workbench.trace import AttentionKnockout as AttentionKnockout
from workbench.trace import Patch as Patch
from workbench.trace import Site as Site
from workbench.trace import Subspace as Subspace
from workbench.trace import patch_branches as patch_branches
from workbench.trace import record as record
from workbench.trace import record_states as record_states

__all__: list[str]
__version__: str
