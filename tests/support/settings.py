"""Settings as a person writes them."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from workbench.config import Resolved, RunConfig, UserSettings, resolve


def written(file: Mapping[str, Any] = MappingProxyType({})) -> Resolved:
    """Settings of a file that names these and no others, without a recipe."""
    return resolve(RunConfig(), {}, {}, UserSettings(file=file))
