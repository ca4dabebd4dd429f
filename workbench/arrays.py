"""Name array types by the kind of number they hold. Docstrings write shapes in brackets, such as
[questions, layers].
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
"""Measures, probabilities, confidences."""
Rows = NDArray[np.int64]
"""Numbers of questions or of rows of a table, and other whole numbers."""
Bools = NDArray[np.bool_]
"""Whether something holds, a row each."""
