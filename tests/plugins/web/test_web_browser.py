"""A real Chromium opens the pages of objects, of a partition whose every text is an attack: nothing of it runs."""

from __future__ import annotations

import contextlib
import shutil
import socket
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import uvicorn

from imagefeatures.audits.kept import Audit, KeptAudits
from imagefeatures.layout import Layout
from imagefeatures.settings import Settings
from support.auditing import direction
from support.photos import jpeg
from support.publishing import DAY
from support.shared import until
from support.shown_objects import PARTITION, RUN_ID, Refused, lay_out
from support.web import PAGE, Site, known_to_airflow, user

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")

pytestmark = [
    pytest.mark.long,
    pytest.mark.skipif(CHROMIUM is None, reason="there is no chromium on the PATH; Debian has it as a package"),
]

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
PATHS = (
    f"{PARTITION}/gallery",
    f"{PARTITION}/gallery?sort=farthest",
    f"/quarantine?dataset=photos&partition={DAY}",
    "/quarantine",
    f"{PARTITION}/audit",
    f"{PARTITION}/audit?table=duplicates",
    PARTITION,
)


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


def opened(address: str, profile: Path) -> str:
    """The page as Chromium has it after two seconds of its own time."""
    assert CHROMIUM
    command = [CHROMIUM, "--headless=new", "--no-sandbox", "--disable-gpu", f"--user-data-dir={profile}"]
    command += ["--disable-background-networking", "--virtual-time-budget=2000", "--dump-dom", address]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    assert done.stdout, done.stderr[-2000:]
    return done.stdout


def test_nothing_that_a_bucket_holds_runs(
    site: Site, settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("IMAGEFEATURES_CACHE", str(tmp_path / "cache"))
    photos = [(f"{at}.jpg", jpeg(at % 20), payload, direction(at)) for at, payload in enumerate(PAYLOADS)]
    refused = [
        Refused(f"{at}", None, payload, payload, uri=f"file:///nowhere/{payload}")
        for at, payload in enumerate(PAYLOADS)
    ]
    uris = [f"file:///nowhere/{payload}" for payload in PAYLOADS]
    lay_out(settings, tmp_path, photos, refused, uri=uris)
    settings = Settings.from_env()
    audits, layout = KeptAudits(settings), Layout(settings.lake, "photos", DAY, RUN_ID)
    until(lambda: isinstance(audits.of(layout), Audit))
    app = LoggedIn(site.app, user(site, "admin").login)
    profile = tmp_path / "profile"
    with known_to_airflow(settings), served(app) as address:
        opened(f"{address}/control", profile)
        assert app.executed > 5, "the attacks do nothing here where nothing stops them"
        app.executed = 0
        for app.policy in (True, False):
            for path in PATHS:
                page = opened(f"{address}{PAGE}{path}", profile)
                assert "Image features" in page
                assert "fetch(" in page or path == "/quarantine", path  # as text
        assert app.executed == 0
