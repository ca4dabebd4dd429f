"""Show the live bench below a cell, in Jupyter and marimo (anywidget).

The page is that of the server, in a frame of its own that may run its scripts and save files, and
nothing else: it has another origin than the notebook, no network, and no way to the notebook but
the widget's messages (:mod:`workbench.live.channel`). The page is sent when a frame asks for it, so
a saved notebook holds none of it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from functools import cache
from typing import Any

import anywidget
import traitlets

from workbench.live.channel import Channel
from workbench.live.page_files import PAGE, page_file
from workbench.live.session import Session

POLICY = "; ".join(
    [
        "default-src 'none'",
        "script-src 'unsafe-inline'",
        "style-src 'unsafe-inline'",
        "img-src data: blob:",
        "base-uri 'none'",
        "form-action 'none'",
    ]
)


class LiveWidget(anywidget.AnyWidget):
    """The live bench of a model or a run, below a cell.

    ``close()`` ends what is computed, removes the widget from the page, and takes a run's adapter
    off its model. ``state`` follows what is looked at: conversations, tokens, the change that is
    shown; a widget that is given it begins there.
    """

    _esm = page_file("widget.js")
    height = traitlets.Int(1000, min=200, max=20_000).tag(sync=True)
    state = traitlets.Dict().tag(sync=True)

    def __init__(
        self,
        session: Session,
        *,
        release: Callable[[], None] = lambda: None,
        height: int = 1000,
        state: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(height=height, state=dict(state or {}))
        self._channel: Channel | None = Channel(session, self.send)
        self._release = release
        self.on_msg(self._received)

    def close(self) -> None:
        """Close the widget; a second time does nothing."""
        channel, self._channel = self._channel, None
        if channel is not None:
            channel.close()
            self._release()
            super().close()

    def _received(self, widget: Any, content: Any, buffers: Any) -> None:
        if self._channel is None or not isinstance(content, dict):
            return
        if content.get("kind") == "page":
            self.send({"to": str(content.get("from", ""))[:64], "page": framed_page()})
        else:
            self._channel.receive(content)


@cache
def framed_page() -> str:
    """Return the page of the live bench as one text, with its scripts and styles in it, and the
    frame's messages in place of the server.
    """
    html = page_file(PAGE)
    policy = f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">'
    html = html.replace("<title>", f"{policy}\n<title>", 1)
    html = re.sub(
        r'<link rel="stylesheet" href="([^"]+)">',
        lambda found: f"<style>\n{_file(found[1])}\n</style>",
        html,
    )
    return re.sub(
        r'<script src="([^"]+)"></script>',
        # The end of a script must not stand in it, not even in a string.
        lambda found: (
            "<script>\n"
            + re.sub("</(script)", r"<\\/\1", _file(found[1]), flags=re.I)
            + "\n</script>"
        ),
        html,
    )


def _file(name: str) -> str:
    return page_file("frame.js" if name == "server.js" else name)
