"""Tell contents apart by a short hash: the keys of stages, the digests of what they wrote."""

from __future__ import annotations

import hashlib
import json
from typing import Any


def fingerprint(content: Any) -> str:
    """Return a short stable hash of JSON-like content."""
    return hashlib.sha256(json.dumps(content, sort_keys=True, default=str).encode()).hexdigest()[
        :16
    ]
