"""Write the file that reports an unexpected error: versions, command, settings and traceback,
without secrets.

It holds everything needed to reproduce the error, and nothing that gives access to an account.
Values of environment variables named like secrets, what follows a secret's name, and known forms of
keys are removed everywhere.
"""

from __future__ import annotations

import os
import platform
import re
import sys
import tempfile
import time
import traceback
from collections.abc import Iterator, Mapping, Sequence
from importlib.metadata import PackageNotFoundError, requires, version
from pathlib import Path
from types import TracebackType

from workbench.cli.terminal_text import safe_text
from workbench.config import RunConfig, dump_config

PACKAGE = "confidence-workbench"
BLOT = "<secret>"
_NAMED = "TOKEN|SECRET|PASSWORD|PASSWD|CREDENTIAL|AUTH"
_SECRET = f"{_NAMED}|KEY"
_PATTERNS = (
    re.compile(r"(?i)(authorization['\"]?\s*[:=]\s*['\"]?(?:bearer|basic|token)?\s*)[^\s'\",}]+"),
    re.compile(
        rf"(?i)(\b(?:[\w-]+KEY|[\w-]*(?:{_NAMED}))['\"]?\s*[:=]\s*['\"]?)(?!\d+\b|None\b|null\b)[^\s'\",}}]+"
    ),
    re.compile(rf"(?i)(--[\w-]*(?:{_SECRET})[\w-]*[ =])\S+"),
    re.compile(r"(\w+://)[^\s/@]+(?=@)"),
    re.compile(r"()\b(?:hf|sk|gh[pousr]|github_pat|xox[bp]|AKIA)[-_]?[A-Za-z0-9_-]{16,}"),
)
_SHOWN = (
    "WORKBENCH_",
    "HF_HUB_",
    "HF_HOME",
    "CUDA_",
    "OMP_",
    "MKL_",
    "PYTORCH_",
    "TRANSFORMERS_",
    "LANG",
    "LC_",
)
_SHORTEST_SECRET = 6


def write_error_report(error: BaseException, command: Sequence[str]) -> Path | None:
    """Write the report of ``error``; return its path, or None where no file can be written.

    It goes to ``runs`` if there is such a folder, else to the working folder, else to the one for
    temporary files.
    """
    text = error_report(error, command, os.environ)
    name = f"workbench-error-{time.strftime('%Y%m%d-%H%M%S')}-{os.getpid()}.txt"
    for folder in (Path("runs"), Path(), Path(tempfile.gettempdir())):
        path = folder / name
        try:
            if not folder.is_dir():
                continue
            # Made anew, for its owner alone: no link is followed, no file overwritten.
            with open(
                os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8"
            ) as file:
                file.write(text)
        except OSError:
            continue
        return path
    return None


def error_report(
    error: BaseException, command: Sequence[str], environment: Mapping[str, str]
) -> str:
    """Return the report's text."""
    shown = {key: value for key, value in sorted(environment.items()) if key.startswith(_SHOWN)}
    parts = {
        "Error": f"{type(error).__name__}: {error}",
        "Command": " ".join(command),
        "Versions": "\n".join([f"python {sys.version}", platform.platform(), *_versions()]),
        "Environment": "\n".join(f"{key}={value}" for key, value in shown.items())
        or "nothing of note",
        "Settings": _settings(error.__traceback__) or "none had been read",
        "Traceback": "".join(traceback.format_exception(error)).rstrip(),
    }
    text = (
        "\n\n".join(
            f"{heading}\n{'-' * len(heading)}\n{content}" for heading, content in parts.items()
        )
        + "\n"
    )
    return safe_text(without_secrets(text, environment))


def without_secrets(text: str, environment: Mapping[str, str]) -> str:
    """Return ``text`` without anything that looks like a secret, or is one by the name of its
    environment variable.
    """
    named = re.compile(rf"(?i)(?:{_SECRET})")
    secrets = {
        value
        for key, value in environment.items()
        if named.search(key) and len(value) >= _SHORTEST_SECRET
    }
    for secret in sorted(secrets, key=len, reverse=True):
        text = text.replace(secret, BLOT)
    for pattern in _PATTERNS:
        text = pattern.sub(rf"\g<1>{BLOT}", text)
    return text


def _versions() -> Iterator[str]:
    """Yield the installed versions of the package and its dependencies."""
    try:
        needed = [
            re.split(r"[^\w.-]", line, maxsplit=1)[0]
            for line in requires(PACKAGE) or ()
            if "extra ==" not in line
        ]
    except PackageNotFoundError:
        needed = []
    for name in (PACKAGE, *needed):
        try:
            yield f"{name} {version(name)}"
        except PackageNotFoundError:
            yield f"{name} is not installed"


def _settings(trace: TracebackType | None) -> str:
    """Return the settings of the failed work: those nearest to the error among its frames."""
    found = ""
    while trace is not None:
        for value in trace.tb_frame.f_locals.values():
            if isinstance(value, RunConfig):
                found = dump_config(value)
        trace = trace.tb_next
    return found
