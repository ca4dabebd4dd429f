"""Small local copies of every hub set, with the published columns and feature types; see
``published.yaml``.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import yaml
from datasets import ClassLabel, Dataset, Features, List, Value, disable_progress_bars

from workbench.questions.hub import HUB_SETS

Row = dict[str, Any]


@dataclass(frozen=True)
class Published:
    """Rows of a set as published; ``features`` None for a text format."""

    rows: list[Row]
    file: str
    features: Features | None


def feature(told: Any) -> Any:
    """The feature type that ``published.yaml`` tells."""
    if isinstance(told, list):
        return List(feature(told[0]))
    if isinstance(told, dict):
        return {name: feature(part) for name, part in told.items()}
    kind, *names = told.split()
    return ClassLabel(names=names) if kind == "class" else Value(kind)


def read_published() -> dict[str, Published]:
    told = yaml.safe_load((Path(__file__).parent / "published.yaml").read_text(encoding="utf-8"))
    return {
        name: Published(
            one["rows"],
            one["file"],
            Features(feature(one["features"])) if "features" in one else None,
        )
        for name, one in told.items()
    }


def write_rows(published: Published, rows: list[Row], path: Path) -> Path:
    """``rows`` in the set's own file format; returns the file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path = path.with_suffix(f".{published.file}")
    if published.file == "jsonl":
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    elif published.file == "tsv":
        pd.DataFrame(rows).to_csv(path, sep="\t", index=False)
    else:
        disable_progress_bars()
        Dataset.from_list(rows, features=published.features).to_parquet(path)
    return path


def write_repository(mirror: Path, name: str, splits: dict[str, list[Row]] | None = None) -> Path:
    """A set's repository below ``mirror``, laid out as on the hub: configurations in a data
    card, or folders if converted.
    """
    row, published = HUB_SETS[name], read_published()[name]
    place = mirror / row.hub
    folder = place / (row.folder or row.configuration or "data")
    files = {}
    for split, rows in (splits or {row.split: published.rows}).items():
        stem = folder / split / "0000" if row.folder else folder / f"{split}-00000-of-00001"
        files[split] = write_rows(published, rows, stem).relative_to(place)
    if not row.folder:
        entries = "".join(
            f"  - split: {split}\n    path: {file}\n" for split, file in files.items()
        )
        card = (
            f"---\nconfigs:\n- config_name: {row.configuration or 'default'}\n  "
            f"data_files:\n{entries}---\n"
        )
        (place / "README.md").write_text(card)
    return place


@pytest.fixture(scope="session")
def published() -> dict[str, Published]:
    """Every set as published, by name."""
    return read_published()


@pytest.fixture(scope="session")
def repository() -> Callable[..., Path]:
    """``repository(mirror, name, splits=None)`` writes a set's repository below ``mirror``."""
    return write_repository


@pytest.fixture(scope="session")
def mirror(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the repositories of all sets."""
    folder = tmp_path_factory.mktemp("mirror")
    for name in read_published():
        write_repository(folder, name)
    return folder
