"""Sparse autoencoders and transcoders: load them from their published layouts, record, patch and
attribute to their features, error term kept.

:func:`load_dictionary` reads a folder; :func:`record_features` says which features are active and
how much of the states they leave unexplained; :func:`set_features`, :func:`scale_features`,
:func:`zero_features` and :func:`donor_features` make patches for
:func:`workbench.trace.patch_branches`; :func:`attribute_features` scores all features from one
backward, and :func:`verify_features` patches some truly.
"""

from workbench.features.attribution import (
    FeatureAttribution,
    FeatureScores,
    attribute_features,
)
from workbench.features.dictionary import Dictionary
from workbench.features.layouts import LAYOUTS, Layout
from workbench.features.load import load_dictionary
from workbench.features.patches import (
    FeatureChange,
    donor_features,
    scale_features,
    set_features,
    zero_features,
)
from workbench.features.record import RecordedFeatures, record_features
from workbench.features.sparse import SparseFeatures
from workbench.features.verification import FeatureAgreement, verify_features

__all__ = [
    "LAYOUTS",
    "Dictionary",
    "FeatureAgreement",
    "FeatureAttribution",
    "FeatureChange",
    "FeatureScores",
    "Layout",
    "RecordedFeatures",
    "SparseFeatures",
    "attribute_features",
    "donor_features",
    "load_dictionary",
    "record_features",
    "scale_features",
    "set_features",
    "verify_features",
    "zero_features",
]
