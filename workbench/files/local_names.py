"""Reduce paths to what a page may say about places on this machine: the last name of an absolute
path, never the folders above it.

Pages are shared, and folders tell who works where. What is needed to run again is in
``config.json`` next to the results, as it was given. The model's fingerprint on the page says which
model it was.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Any


def local_name(text: str) -> str:
    """Return the last name of a text that is an absolute path, or one below a user's home; any
    other text unchanged.
    """
    for path in (PurePosixPath(text), PureWindowsPath(text)):
        if path.is_absolute() or text.startswith(("~/", "~\\")):
            return path.name or text
    return text


def without_folders(content: Any) -> Any:
    """Return JSON-like ``content`` with :func:`local_name` of every text and path in it."""
    if isinstance(content, Mapping):
        return {key: without_folders(value) for key, value in content.items()}
    if isinstance(content, list | tuple):
        return [without_folders(value) for value in content]
    if isinstance(content, str | Path):
        return local_name(str(content))
    return content
