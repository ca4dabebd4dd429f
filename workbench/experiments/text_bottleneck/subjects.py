"""Find what a person wants to follow: finished runs by name or folder, and models of which a run is
made first.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from workbench.errors import WorkbenchError
from workbench.files.names import check_name
from workbench.loop import STAGES, is_complete
from workbench.models.embedded_models import EMBEDDED
from workbench.models.local import local_path


@dataclass(frozen=True)
class Subject:
    """A run, by its name and the folder that it lies in, and the model that it is made of; None
    where it is there.
    """

    name: str
    runs: Path
    model: str | None = None


def find_subjects(
    given: Sequence[str], runs: Path, *, teaching: bool, name: str | None = None
) -> list[Subject]:
    """Return what each of the ``given`` words names, in their order.

    Args:
        runs: the folder of all runs.
        teaching: whether the runs must have gone through.
        name: of the run of the only model; None for the model's own.

    Raises:
        WorkbenchError: for what is neither a run nor a model, a run that did not go through, and
            two of one name.
    """
    found = [_subject(each, runs, teaching, name) for each in given]
    names = [each.name for each in found]
    twice = next((each for at, each in enumerate(names) if each in names[:at]), None)
    if twice is not None:
        raise WorkbenchError(f"Two of these are called {twice!r}; name each once.")
    return found


def _subject(given: str, runs: Path, teaching: bool, name: str | None) -> Subject:
    # A run of an embedded model has the model's name; who names another run means the model.
    anew = given in EMBEDDED and name not in (None, given)
    for folder in (runs / given, Path(given)):
        if _is_run(folder) and not anew:
            if teaching and not is_complete(folder):
                raise WorkbenchError(
                    f"No run of the whole loop went through in {folder}; finish it with 'workbench "
                    f"run --name {folder.name}', or give --no-teaching."
                )
            place = folder.resolve()
            return Subject(place.name, place.parent)
    path = local_path(given)
    if path is None and given not in EMBEDDED and "/" not in given:
        raise WorkbenchError(
            f"There is no run {given!r} in {runs}, and no model of this name: give a run's name or "
            f"folder, an embedded model ({', '.join(EMBEDDED)}), a Hugging Face id as org/model, "
            "a folder, or a GGUF file."
        )
    if path is not None and path.is_dir() and not (path / "config.json").exists():
        raise WorkbenchError(f"{path} holds neither a run of the loop nor a model.")
    return Subject(check_name(name or _name(given)), runs, given)


def _is_run(folder: Path) -> bool:
    """Return whether a run began here; a model's folder has no stages."""
    return (folder / STAGES[0].name / "done.json").exists()


def _name(model: str) -> str:
    """Return the name that a model's run has: the last of its own, without a file's ending."""
    last = Path(model).name
    return last.removesuffix(".gguf")
