"""Refuse requests that are too large, come from other pages, or address another host."""

from collections.abc import Callable, Collection
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from caelab.errors import printable

BODY_LIMIT = 200 * 2**20
"""Largest size of a request in bytes, which is enough for a folder of photographs."""

HEADERS = {
    # Nothing is loaded from elsewhere, and no other page can show this one in a frame.
    "content-security-policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:;"
        " connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    ),
    "x-content-type-options": "nosniff",
    "referrer-policy": "same-origin",
    "cache-control": "no-store",
}
"""Headers of every answer; a view may set another ``cache-control``."""


class Guard:
    """Middleware that refuses requests which no user of the page has sent.

    A page of another site could send forms to this server through the user's browser. If the name
    of that site resolves to this machine, the page could even read the answers (DNS rebinding). The
    browser's header ``Host`` has the name that was used, and ``Origin`` has the site of the page.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        hosts: Collection[str],
        origins: Collection[str] = (),
        refuse: Callable[[Request, int, str], Response],
    ) -> None:
        """Wrap an application.

        Args:
            app: Application that gets the requests that are not refused.
            hosts: Names of this server, with ports, that requests may use, such as
                ``127.0.0.1:7860``. ``*`` allows any name.
            origins: Further origins whose pages may send requests, such as
                ``https://lab.example.org``.
            refuse: Function that gets the request, the HTTP status and the reason of a refusal, and
                returns a page.
        """
        self.app = app
        self.hosts = frozenset(hosts)
        self.origins = frozenset(origins)
        self.refuse = refuse

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, or answer it with a refusal."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        app, read = self.app, 0
        if refusal := self.refusal(scope):
            app = self.refuse(Request(scope), *refusal)

        async def bounded() -> Message:
            nonlocal read
            message = await receive()
            read += len(message.get("body", b""))
            if read > BODY_LIMIT:
                raise HTTPException(413, _TOO_LARGE)
            return message

        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in HEADERS.items():
                    headers.setdefault(name, value)
            await send(message)

        await app(scope, bounded, with_headers)

    def refusal(self, scope: Scope) -> tuple[int, str] | None:
        """Return status and reason of a refusal; ``None`` for a request that is allowed."""
        headers = Headers(scope=scope)
        host = headers.get("host", "")
        if "*" not in self.hosts and host not in self.hosts:
            return 403, (
                f"this server does not answer to the name {printable(host)!r}. Start it with the"
                " address that people type in `origins`."
            )
        origin = headers.get("origin")
        reads = scope["method"] in ("GET", "HEAD")
        own = origin is None or urlsplit(origin).netloc == host or origin in self.origins
        if not reads and not own:
            return 403, (
                f"a page of {printable(str(origin))!r} sent this request. If you trust that page,"
                " allow its address when you start this one."
            )
        if (length := headers.get("content-length", "0")).isdecimal() and int(length) > BODY_LIMIT:
            return 413, _TOO_LARGE
        return None


_TOO_LARGE = (
    f"the files together have more than {BODY_LIMIT // 2**20} MiB. Choose fewer or smaller ones."
)
