"""Every Python block of the README and the guides runs, on a tiny model and planted questions."""

from __future__ import annotations

import importlib.util
import re
import runpy
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs" / "guide").glob("*.md"))]
BLOCK = re.compile(r"^```python\n(.*?)^```", re.MULTILINE | re.DOTALL)
BLOCKS = [
    pytest.param(block, id=f"{path.stem}-{number}")
    for path in PAGES
    for number, block in enumerate(BLOCK.findall(path.read_text(encoding="utf-8")))
]


def test_there_are_blocks_to_run() -> None:
    assert len(BLOCKS) >= 10


@pytest.mark.usefixtures("tiny_defaults", "no_bars_afterwards")
@pytest.mark.parametrize("block", BLOCKS)
def test_a_block_runs(block: str, tmp_path: Path) -> None:
    if "import pyvene" in block and importlib.util.find_spec("pyvene") is None:
        pytest.skip("pyvene belongs to the bench extra")
    script = tmp_path / "block.py"  # nnsight reads a trace's source back
    script.write_text(block, encoding="utf-8")
    runpy.run_path(str(script))


def test_the_readme_is_a_page_not_a_book() -> None:
    assert len(PAGES[0].read_text(encoding="utf-8").splitlines()) <= 150
