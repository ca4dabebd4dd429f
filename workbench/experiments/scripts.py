"""Find the scripts of ``analyses/`` and write them as notebooks.

A script is a percent script: cells begin with ``# %%``, text cells with ``# %% [markdown]``. Those
in ``analyses/`` run one experiment each, those in ``analyses/tutorials/`` teach on small inputs. A
checkout has them next to the package, an installed package inside it (``setup.py`` copies them
there when the package is built).

A written notebook holds the cells in order, without outputs, and names the Python kernel. It says
nothing of any run: what it shows is what its cells give where they are run.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from workbench.errors import WorkbenchError
from workbench.files.writing import write_atomically

FOLDERS = ("analyses/tutorials", "analyses")
"""Where scripts are, below a checkout or the installed package; those to learn from come first."""
FIRST = "tour"
"""The script to begin with."""
TITLE = re.compile(r"^# # (.+)$", re.MULTILINE)
KERNEL = {"display_name": "Python 3", "language": "python", "name": "python3"}
MISSING = (
    "Writing a notebook needs jupytext, which is not installed; install it with "
    "pip install 'confidence-workbench[notebook]'."
)


@dataclass(frozen=True)
class Script:
    """A percent script: its name, its title, and its file."""

    name: str
    title: str
    path: Path


def find_scripts() -> dict[str, Script]:
    """Return every script by its name: the tour, the other tutorials, then the analyses.

    Raises:
        WorkbenchError: for an installed package that came without its scripts.
    """
    package = Path(__file__).parents[1]
    # A wheel has them inside the package; a checkout's own folder stands next to it.
    root = package if (package / "analyses").is_dir() else package.parent
    found = {script.name: script for folder in FOLDERS for script in _scripts(root / folder)}
    if not found:
        raise WorkbenchError(
            f"The scripts of analyses/ are not in {root}; install the package from a wheel, or "
            "work in a checkout of its repository."
        )
    return found


def script_named(name: str) -> Script:
    """Return the script of this name; an ending ``.py`` or ``.ipynb`` is no part of it.

    Raises:
        WorkbenchError: where there is none, listing those there are.
    """
    scripts = find_scripts()
    wanted = name.removesuffix(".py").removesuffix(".ipynb")
    if wanted not in scripts:
        raise WorkbenchError(f"There is no notebook {name!r}; choose from {', '.join(scripts)}.")
    return scripts[wanted]


def write_notebook(script: Script, path: Path, force: bool = False) -> None:
    """Write ``script`` as the notebook ``path``.

    Args:
        force: replace a file that is there.

    Raises:
        WorkbenchError: where jupytext is missing, a file is there already, or it cannot be written.
    """
    try:
        import jupytext
    except ImportError:
        raise WorkbenchError(MISSING) from None
    if path.exists() and not force:
        raise WorkbenchError(
            f"{path} is there already, perhaps with changes of yours; give --force to replace it "
            "or --out to write to another file."
        )
    notebook = jupytext.reads(script.path.read_text(encoding="utf-8"), fmt="py:percent")
    notebook.metadata = {"kernelspec": KERNEL, "language_info": {"name": "python"}}
    for number, cell in enumerate(notebook.cells):
        # Random ones would make every writing another file.
        cell.id = f"cell-{number}"
    text = jupytext.writes(notebook, fmt="ipynb")
    write_atomically(path, lambda place: place.write_text(text, encoding="utf-8"))


def _scripts(folder: Path) -> Iterator[Script]:
    for path in sorted(folder.glob("*.py"), key=lambda path: (path.stem != FIRST, path.stem)):
        title = TITLE.search(path.read_text(encoding="utf-8"))
        yield Script(path.stem, path.stem if title is None else title.group(1), path)
