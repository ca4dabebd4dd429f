"""Compare values with edges of bins and thresholds, with one tolerance: a value a rounding error
below an edge is on it.

0.57 * 100 is 56.99999999999999 in floating point, 0.3 * 3 is 0.8999999999999999, and a float32 of
0.9 is 0.89999998. No confidence is stated to six digits, so values within a millionth of an edge
count as on it.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from workbench.arrays import Floats
from workbench.errors import WorkbenchError

TOLERANCE = 1e-6


def at_least(values: Any, threshold: float) -> Any:
    """Return whether ``values`` (on 0-1) are at least ``threshold``."""
    return values >= threshold - TOLERANCE


def at_most(values: Any, threshold: float) -> Any:
    """Return whether ``values`` (on 0-1) are at most ``threshold``."""
    return values <= threshold + TOLERANCE


def bin_index(probability: Floats, bins: int) -> NDArray[np.int64]:
    """Return the bin of each forecast on 0-1 among ``bins`` half-open ones of equal width; the last
    bin is closed.

    Raises:
        WorkbenchError: for fewer than one bin.
    """
    if bins < 1:
        raise WorkbenchError(f"a reliability diagram needs at least one bin; got {bins}")
    return np.clip(np.floor((probability + TOLERANCE) * bins), 0, bins - 1).astype(np.int64)
