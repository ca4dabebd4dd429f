"""Run the live bench until it is interrupted.

The socket is bound to the loopback address before the model is loaded, so a taken port is an error
at once. The address is told to the caller, who prints it; whoever has it can use the model as long
as the server runs.
"""

from __future__ import annotations

import socket
from collections.abc import Callable
from pathlib import Path

from workbench.errors import WorkbenchError

LOOPBACK = "127.0.0.1"
MISSING = (
    "The live bench needs Starlette and uvicorn, which are not installed; install them with "
    "pip install 'confidence-workbench[live]'."
)


def require_server() -> None:
    """Refuse to start where the server's libraries are missing.

    Raises:
        WorkbenchError: naming the extra that brings them.
    """
    try:
        import starlette  # noqa: F401
        import uvicorn  # noqa: F401
    except ImportError:
        raise WorkbenchError(MISSING) from None


def bind(port: int) -> socket.socket:
    """Return a socket on the loopback address; port 0 takes a free one.

    Raises:
        WorkbenchError: for a port that is taken or not allowed.
    """
    bound = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        bound.bind((LOOPBACK, port))
    except OSError as error:
        bound.close()
        raise WorkbenchError(
            f"Port {port} of {LOOPBACK} cannot be used ({error.strerror}); give another --port, or "
            "0 for a free one."
        ) from None
    return bound


def serve(
    name: str,
    *,
    runs: Path,
    figures: Path,
    device: str,
    port: int,
    tell: Callable[[str], None],
) -> None:
    """Show a run or a model until interrupted.

    Args:
        name: of a finished run below ``runs``, or a model.
        tell: called with the address when it answers.

    Raises:
        WorkbenchError: where the server's libraries are missing, the port is taken, or there is no
            such run or model.
    """
    require_server()
    bound = bind(port)
    try:
        import uvicorn

        from workbench.live.guard import new_address
        from workbench.live.server import make_app
        from workbench.live.session import open_session
        from workbench.live.worker import Worker

        address = new_address(bound.getsockname()[1])
        with open_session(name, runs, figures, device=device) as session:
            worker = Worker()
            try:
                # Requests are not logged: their paths hold the secret.
                config = uvicorn.Config(
                    make_app(session, worker, address),
                    log_level="warning",
                    access_log=False,
                    server_header=False,
                    timeout_graceful_shutdown=1,
                )
                tell(address.url)
                uvicorn.Server(config).run(sockets=[bound])
            finally:
                worker.close()
    finally:
        bound.close()
