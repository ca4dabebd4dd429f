"""Draw figures, one file each: a frozen dataclass that checks its shapes and draws itself as a
plotly Figure. Nothing is written here.

Every figure takes a ``title`` and a ``caption`` (one line: number of questions, dtype, model)
besides its data, and escapes the text it is given.
"""

from workbench.plots.alignment_grid import AlignmentGrid, GridCell
from workbench.plots.attribution_scatter import AttributionScatter, ScatterGroup
from workbench.plots.auroc_by_layer import AurocByLayer
from workbench.plots.component_map import ComponentMap
from workbench.plots.confidence_histogram import ConfidenceHistogram
from workbench.plots.discrimination_shape import DiscriminationShape, ShapePoint
from workbench.plots.estimate_rows import EstimateRow, EstimateRows
from workbench.plots.following import FollowingCurve
from workbench.plots.four_cells import FourCells
from workbench.plots.label_curve import LabelCurve, LabelledPoint, LabelPanel
from workbench.plots.layer_head_map import LayerHeadMap
from workbench.plots.layer_position_map import LayerPositionMap
from workbench.plots.layer_question_heatmap import LayerQuestionHeatmap
from workbench.plots.learning_curves import LearningCurve, LearningCurves
from workbench.plots.patching_curve import PatchingCurve
from workbench.plots.readout_comparison import ReadoutComparison, ReadoutRow
from workbench.plots.reliability import Reliability
from workbench.plots.retrieval_gain import RetrievalGain
from workbench.plots.risk_coverage import RiskCoverageCurve
from workbench.plots.roc import Roc
from workbench.plots.seed_curves import SeedCurves, SeedPanel
from workbench.plots.transfer_matrix import TransferMatrix

__all__ = [
    "AlignmentGrid",
    "AttributionScatter",
    "AurocByLayer",
    "ComponentMap",
    "ConfidenceHistogram",
    "DiscriminationShape",
    "EstimateRow",
    "EstimateRows",
    "FollowingCurve",
    "FourCells",
    "GridCell",
    "LabelCurve",
    "LabelPanel",
    "LabelledPoint",
    "LayerHeadMap",
    "LayerPositionMap",
    "LayerQuestionHeatmap",
    "LearningCurve",
    "LearningCurves",
    "PatchingCurve",
    "ReadoutComparison",
    "ReadoutRow",
    "Reliability",
    "RetrievalGain",
    "RiskCoverageCurve",
    "Roc",
    "ScatterGroup",
    "SeedCurves",
    "SeedPanel",
    "ShapePoint",
    "TransferMatrix",
]
