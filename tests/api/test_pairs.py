from __future__ import annotations

from pathlib import Path

import pytest

from workbench.api.pairs import read_pairs
from workbench.errors import WorkbenchError


def written(folder: Path, *lines: str) -> Path:
    path = folder / "pairs.csv"
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def test_all_columns(tmp_path: Path) -> None:
    path = written(
        tmp_path,
        "prompt,donor,read,against,span,donor_span",
        '"Paris, of",Rome of, France, Italy,Paris,Rome',
        "Bonn of,Bern of, G, S,Bonn,Bern",
    )
    found = read_pairs(path)
    assert found.prompts == ("Paris, of", "Bonn of")
    assert found.donors == ("Rome of", "Bern of")
    assert found.read == [(" France", " Italy"), (" G", " S")]
    assert found.at == {"span": (["Paris", "Bonn"], ["Rome", "Bern"]), "last": "last"}


def test_two_columns_are_enough(tmp_path: Path) -> None:
    found = read_pairs(written(tmp_path, "prompt,donor", "a b,c d"))
    assert (found.read, found.at) == (None, None)
    one = read_pairs(written(tmp_path, "prompt,donor,read", "a b,c d, x"))
    assert one.read == [" x"]


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        (["prompt,read", "a,b"], "has no column donor; name the columns"),
        (["prompt,donor,against", "a,b,c"], "a column against and none read; give both"),
        (["prompt,donor,span", "a,b,c"], "a column span and none donor_span"),
        (["prompt,donor,read", "a,b,"], "row 1: read is ''; give it some text"),
    ],
)
def test_a_file_without_pairs_is_refused(tmp_path: Path, lines: list[str], said: str) -> None:
    with pytest.raises(WorkbenchError, match=said):
        read_pairs(written(tmp_path, *lines))
