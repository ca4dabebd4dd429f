"""Refuse every request that does not come from the page this process printed the address of.

The page is served on the loopback address, and other pages in the same browser can send requests
there too. So a request must name this host and port (a foreign name that was made to resolve to
127.0.0.1 does not), carry the secret of the address in its path, come from this origin where it
asks for a computation, be JSON, and be small. No header allows another origin anything. Every
answer forbids the page to load anything from elsewhere, to be framed, and to tell its address.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

POLICY = "; ".join(
    [
        "default-src 'none'",
        "script-src 'self'",
        # Plotly writes its own style sheet and the style attributes of its drawings.
        "style-src 'self' 'unsafe-inline'",
        "img-src 'self' data: blob:",
        "connect-src 'self'",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
    ]
)
HEADERS = {
    "Content-Security-Policy": POLICY,
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "no-store",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}
JSON = "application/json"


@dataclass(frozen=True)
class Address:
    """Where the page is: port and secret."""

    port: int
    secret: str

    @property
    def hosts(self) -> tuple[str, ...]:
        return f"127.0.0.1:{self.port}", f"localhost:{self.port}"

    @property
    def origins(self) -> tuple[str, ...]:
        return tuple(f"http://{host}" for host in self.hosts)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/{self.secret}/"


def new_address(port: int) -> Address:
    """Return an address with a fresh secret."""
    return Address(port, secrets.token_urlsafe(24))


class Guard:
    """The checks before the application, which sees paths without the secret."""

    def __init__(self, app: ASGIApp, address: Address, most_bytes: int) -> None:
        self.app, self.address, self.most_bytes = app, address, most_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self.app(scope, receive, send)
            return
        if scope["type"] != "http":
            return
        sending = _with_headers(send)
        refused = self._refusal(scope)
        if refused is not None:
            status, why = refused
            await PlainTextResponse(why, status)(scope, receive, sending)
            return
        inner = "/" + scope["path"].split("/", 2)[2]
        await self.app({**scope, "path": inner, "raw_path": inner.encode()}, receive, sending)

    def _refusal(self, scope: Scope) -> tuple[int, str] | None:
        """Return the status and the sentence of a refusal; None for a request that is let in."""
        headers = Headers(scope=scope)
        if headers.get("host") not in self.address.hosts:
            return 421, "This page answers under 127.0.0.1 and localhost only."
        parts = scope["path"].split("/", 2)
        secret = parts[1] if len(parts) == 3 else ""
        if not secrets.compare_digest(secret.encode(), self.address.secret.encode()):
            return 404, "Not found; open the address that 'workbench show' printed."
        origin, site = headers.get("origin"), headers.get("sec-fetch-site", "same-origin")
        if (origin is not None and origin not in self.address.origins) or site not in (
            "same-origin",
            "none",
        ):
            return 403, "Only the page itself may ask."
        if scope["method"] == "POST":
            return self._posted(headers, origin)
        return None if scope["method"] in ("GET", "HEAD") else (405, "Not allowed.")

    def _posted(self, headers: Headers, origin: str | None) -> tuple[int, str] | None:
        if origin is None:
            return 403, "Only the page itself may ask."
        if headers.get("content-type", "").split(";")[0].strip().lower() != JSON:
            return 415, f"A request is {JSON}."
        length = headers.get("content-length", "")
        if not length.isdecimal():
            return 411, "A request says how long it is."
        if int(length) > self.most_bytes:
            return 413, f"A request has at most {self.most_bytes} bytes."
        return None


def _with_headers(send: Send) -> Send:
    async def sending(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = MutableHeaders(scope=message)
            for name, value in HEADERS.items():
                headers[name] = value
        await send(message)

    return sending
