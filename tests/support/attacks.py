"""Texts that would run in a page which did not escape them, and Airflow's application for a browser that opens it."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Iterator
from typing import Any

import uvicorn

HIT = "fetch('/executed')"
PAYLOADS = [
    f"<script>{HIT}</script>",
    f"<img src=x onerror={HIT}>",
    f'"><img src=x onerror="{HIT}">',
    f"'><img src=x onerror=\"{HIT}\">",
    f"</textarea><script>{HIT}</script>",
    f"</title><script>{HIT}</script>",
    f"</style><script>{HIT}</script>",
    f"</option></select><script>{HIT}</script>",
    f"--><script>{HIT}</script>",
    f"]]><script>{HIT}</script>",
    f"<svg onload={HIT}>",
    f"<svg><animate onbegin={HIT} attributeName=x dur=1s>",
    f"<body onload={HIT}>",
    f"<details open ontoggle={HIT}>",
    f"<iframe srcdoc=\"<script>parent.{HIT}</script>\">",
    f"<iframe src=\"javascript:{HIT}\">",
    f"<video><source onerror={HIT}></video>",
    f"<input autofocus onfocus={HIT}>",
    f'" autofocus onfocus="{HIT}" x="',
    f"' autofocus onfocus='{HIT}' x='",
    f"<math><mtext><script>{HIT}</script></mtext></math>",
    f"<noscript><p title=\"</noscript><img src=x onerror={HIT}>\">",
    f"<object data=\"javascript:{HIT}\">",
    "<meta http-equiv=refresh content=\"0;url=/executed\">",
    f"<base href=//127.0.0.1:1/><script>{HIT}</script>",
    "<link rel=stylesheet href=/executed>",
    "<style>@import '/executed';</style>",
    "<img src=/executed>",
    f"{{{{ {HIT} }}}}{{% raw %}}",
    f"&lt;script&gt;{HIT}&lt;/script&gt;<script>{HIT}</script>",
    f"\u2028<script>{HIT}</script>\u202e",
    f"<form action=/executed><button autofocus>x</button></form><script>{HIT}</script>",
]  # fmt: skip


class LoggedIn:
    """Airflow's application behind a login that every request has; it counts the requests for /executed.

    policy: whether the pages keep their Content-Security-Policy: without it escaping alone holds.
    """

    def __init__(self, app: Any, login: str) -> None:
        self.app, self.login, self.policy, self.executed = app, login, True, 0

    async def __call__(self, scope: dict[str, Any], receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        if scope["path"] == "/executed":
            self.executed += 1
        if scope["path"] == "/control":
            body = "".join(PAYLOADS).encode()
            await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/html")]})
            await send({"type": "http.response.body", "body": body})
            return

        async def without_policy(message: dict[str, Any]) -> None:
            if message["type"] == "http.response.start" and not self.policy:
                kept = [header for header in message["headers"] if header[0].lower() != b"content-security-policy"]
                message = {**message, "headers": kept}
            await send(message)

        await self.app(
            {**scope, "headers": [*scope["headers"], (b"cookie", f"_token={self.login}".encode())]},
            receive,
            without_policy,
        )


@contextlib.contextmanager
def served(app: LoggedIn) -> Iterator[str]:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        server = uvicorn.Server(uvicorn.Config(app, log_level="error", lifespan="off"))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]}, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"
        server.should_exit = True
        thread.join(60)
