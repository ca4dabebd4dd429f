"""Tell contents apart by a short hash: the keys of stages, the digests of what they wrote."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any


def fingerprint(content: Any) -> str:
    """Return a short stable hash of JSON-like content."""
    return hashlib.sha256(json.dumps(content, sort_keys=True, default=str).encode()).hexdigest()[
        :16
    ]


def digest_of(content: Mapping[str, Any]) -> str:
    """Return the hash of what will be read back of ``content`` once it is JSON."""
    return fingerprint(json.loads(json.dumps(content)))
