"""Measure whether a language model knows when it is wrong and where it does, test whether that
knowledge causes what it says, and train it to say it.

The names in ``__init__.pyi`` are the library's public names. Each is imported from its module when
it is first used, so that ``import workbench`` is quick and loads neither torch nor transformers.
The whole loop is ``run_loop(config, folder, figures)``; everything else can be used on its own, and
the subpackages export more.
"""

from __future__ import annotations

import re
from importlib import import_module
from importlib.metadata import version
from pathlib import Path
from typing import Any

__version__ = version("confidence-workbench")

_MODULES: dict[str, str] = {
    name: module
    for module, name in re.findall(
        r"^from (\S+) import (\w+) as \2$",
        Path(__file__).with_suffix(".pyi").read_text(encoding="utf-8"),
        re.MULTILINE,
    )
}

__all__ = sorted([*_MODULES, "__version__"])


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(_MODULES[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
