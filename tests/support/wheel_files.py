"""Embedded models of a few bytes, in wheels that pip takes for wheels."""

from __future__ import annotations

import zipfile
from dataclasses import replace
from pathlib import Path

from workbench.models.embedded_models import EmbeddedModel, WheelPart
from workbench.models.fingerprint import sha256_of


def write_wheel(folder: Path, package: str, member: str, content: bytes) -> WheelPart:
    """Write the wheel of ``package``, version 1.0, that holds ``member``; return its row."""
    part = WheelPart(package, "1.0", member, "", 0)
    about = f"{package.replace('-', '_')}-1.0.dist-info"
    path = folder / part.file_name
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as wheel:
        wheel.writestr(member, content)
        wheel.writestr(f"{about}/METADATA", f"Metadata-Version: 2.1\nName: {package}\nVersion: 1.0")
        wheel.writestr(
            f"{about}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any"
        )
        wheel.writestr(f"{about}/RECORD", "")
    return replace(part, sha256=sha256_of(path), n_bytes=path.stat().st_size)


def write_embedded(folder: Path, gguf: Path, n_parts: int = 3) -> EmbeddedModel:
    """Cut ``gguf`` into the wheels of an embedded model in ``folder``; return its row."""
    whole, folder_of = gguf.read_bytes(), "tiny_part{}/data/part{:02d}.bin"
    size = -(-len(whole) // n_parts)
    parts = tuple(
        write_wheel(
            folder,
            f"tiny-part{number}",
            folder_of.format(number, number),
            whole[(number - 1) * size : number * size],
        )
        for number in range(1, n_parts + 1)
    )
    return EmbeddedModel(
        name="tiny",
        title="Tiny",
        what="a llama of a few weights",
        licence="none",
        parts=parts,
        sha256=sha256_of(gguf),
        n_bytes=len(whole),
        n_weights=10_000,
        variable="WORKBENCH_TINY_GGUF",
    )
