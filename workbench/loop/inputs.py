"""Fingerprint the files that a run starts from."""

from __future__ import annotations

from pathlib import Path

from workbench.config import RunConfig
from workbench.errors import WorkbenchError
from workbench.models.cache import hashes_folder
from workbench.models.chat_template import names_template
from workbench.models.fingerprint import fingerprint_files
from workbench.models.local import local_path
from workbench.pipeline.store import fingerprint
from workbench.questions.sources import source_content
from workbench.tables import read_regular


def inputs_of(config: RunConfig) -> dict[str, str]:
    """Return the fingerprints of the files the run starts from, by name of the input, so that an
    edited file makes the run new.

    Raises:
        WorkbenchError: for a file that cannot be read.
    """
    template, asked = config.model.chat_template, config.questions
    try:
        questions = (
            read_regular(asked.graded_file)
            if asked.graded_file
            else source_content(asked.source, asked.mirror)
        )
        contents = {
            "the questions": questions,
            "the chat template": b"" if template is None else _template(template),
        }
    except OSError as error:
        raise WorkbenchError(
            f"Cannot read a file the run starts from; check its path: {error}"
        ) from error
    found = {name: fingerprint(content.hex()) for name, content in contents.items()}
    return {**found, "the model's files": _model_files(config.model.name)}


def _template(given: Path) -> bytes:
    """Return what identifies a chat template: a file's content, or a name of a model's own."""
    return str(given).encode() if names_template(given) else given.read_bytes()


def _model_files(name: str) -> str:
    """Return the fingerprint of a local model's files; empty for the default, which is one fixed
    file, and for a hub id.
    """
    path = local_path(name)
    if path is None:
        return ""
    files = [path] if path.is_file() else sorted(item for item in path.iterdir() if item.is_file())
    return fingerprint_files(files, hashes_folder())
