"""Open the live bench below a notebook's cell.

    import workbench as wb
    wb.live_widget("default")     # or a run's name or folder, a loaded model, an opened run

One conversation pair is an anecdote, here as on the page of the server (docs/guide/live.md).
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

from workbench.errors import WorkbenchError
from workbench.live.page_state import read_state
from workbench.live.session import Session, open_session
from workbench.loop.run import Run
from workbench.models import LanguageModel

if TYPE_CHECKING:
    from workbench.live.widget import LiveWidget

MISSING = (
    "The live bench in a notebook needs anywidget, which is not installed; install it with "
    "pip install 'confidence-workbench[widget]'."
)


def live_widget(
    shown: LanguageModel | Run | str | Path,
    *,
    runs: Path = Path("runs"),
    figures: Path = Path("figures"),
    device: str = "auto",
    height: int = 1000,
    state: Mapping[str, Any] | None = None,
) -> LiveWidget:
    """Return the live bench of a model or a finished run, as a widget that Jupyter and marimo show.

    Views are computed in the notebook's own thread, between cells. Its ``close()`` ends them.

    Args:
        shown: a loaded model, an opened run, or the name of a model or of a run below ``runs``.
        figures: the folder of the run's page.
        device: of a model that is named.
        height: of the widget in pixels.
        state: what is looked at first: the ``state`` of a widget shown before.

    Raises:
        WorkbenchError: where anywidget is missing, for what is neither a run nor a model, and for a
            state that no widget keeps.
    """
    try:
        from workbench.live.widget import LiveWidget
    except ImportError:
        raise WorkbenchError(MISSING) from None
    begun = read_state(state or {})
    with ExitStack() as stack:
        session = _session(stack, shown, runs, figures, device)
        return LiveWidget(session, release=stack.pop_all().close, height=height, state=begun)


def _session(
    stack: ExitStack,
    shown: LanguageModel | Run | str | Path,
    runs: Path,
    figures: Path,
    device: str,
) -> Session:
    if isinstance(shown, LanguageModel):
        return Session(shown.name, shown)
    if isinstance(shown, Run):
        tuned = stack.enter_context(shown.with_adapter("teach"))
        return Session(shown.store.folder.name, shown.lm, tuned, shown)
    folder = Path(shown)
    if (folder / "config.json").exists() and (folder / "summary.json").exists():
        return stack.enter_context(open_session(folder.name, folder.parent, figures, device=device))
    return stack.enter_context(open_session(str(shown), runs, figures, device=device))
