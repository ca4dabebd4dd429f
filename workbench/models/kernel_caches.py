"""Bound how many kernels of matrix products torch and oneDNN keep on a processor.

For every shape of a product in bfloat16, oneDNN makes a kernel of its own, and keeps the last 1,024
of them; torch's layer above it keeps as many again. A shape takes about half a megabyte in both,
whatever its size, and a batch of another length is another shape in every matrix, so a run of a
small model comes to hold more in kernels than in weights. A layer's own products are a few dozen,
and each pass goes through layers of equal shapes, so a kernel that is kept from one layer to the
next serves as well as one that is kept for good (docs/guide/scale.md, "Memory planned and
measured").

Both libraries read their bound from the environment, once, at the process's first product of that
kind. What the environment says already is left as it is.
"""

from __future__ import annotations

import os

KERNELS = 64
"""Shapes that each of the two keeps: those of a layer forward and backward, with its adapter."""
KERNEL_BYTES = 0.5e6
"""About what a shape takes in both caches together."""
VARIABLES = ("ONEDNN_PRIMITIVE_CACHE_CAPACITY", "LRU_CACHE_CAPACITY")
"""What oneDNN reads, and torch's layer above it."""


def bound_kernel_caches() -> None:
    """Let both caches keep KERNELS shapes from the first product on; without effect after it."""
    for name in VARIABLES:
        os.environ.setdefault(name, str(KERNELS))
