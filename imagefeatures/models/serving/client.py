"""Requests to a model server, by urllib3: each within its deadline, repeated while it may help, its answer bounded.

No proxy of the environment is used: urllib3 reads none. No redirect is followed, as it would take the token elsewhere.
"""

from __future__ import annotations

import json
import ssl
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import urllib3

from imagefeatures.errors import ServingError, ServingRefused, StoreError
from imagefeatures.models.serving.declared import ServedEngine
from imagefeatures.reasons import printable
from imagefeatures.settings import ca_bundle, serving_token
from imagefeatures.sources.http.headers import retry_after
from imagefeatures.storage.retry import CONNECT_SECONDS, SharedDeadline, Transient, with_retries, within

PASSING = {408, 425, 429, 502, 503, 504}
"""The statuses of a server that is busy, starting or away: another try may help."""

ATTEMPTS = 3
"""So many attempts fit into a deadline, even where a server accepts a request and never answers it."""

MOST_WORDS = 200
"""So many characters of a server's own words stand in a message."""

MOST_METADATA = 1 << 20
"""The most bytes of an answer that holds no vectors."""


@dataclass(frozen=True)
class Answer:
    """A whole answer with status 200. headers: by lower-case names."""

    body: bytes
    headers: Mapping[str, str] = field(default_factory=dict)

    def json(self, body: bytes | None = None) -> dict[str, Any]:
        """The object of the body, or of a part of it. Raises Transient: a proxy's page may stand in its place."""
        try:
            content = json.loads(self.body if body is None else body)
        except (ValueError, RecursionError):
            content = None
        if not isinstance(content, dict):
            raise Transient("an answer that is no JSON object")
        return content


@dataclass(frozen=True)
class Request:
    """path: after the server's URL. most: so many bytes of an answer are read. body: None for a GET.

    id: of the answer, where the protocol has one. optional: a 404 is an empty object.
    """

    path: str
    most: int = MOST_METADATA
    body: bytes | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    id: str = ""
    optional: bool = False


class Client:
    """Asks one server. `ready` is set once the server has given vectors: it says whether the model is there now.

    Until then a server's error is final: it is the request that is wrong. From then on it may pass.
    """

    ready: Callable[[], bool] | None = None

    def __init__(self, engine: ServedEngine) -> None:
        """Raises SettingsError where the token or the certificates of the environment cannot be used."""
        self._engine = engine
        self._token = serving_token()
        self._pool = urllib3.PoolManager(
            maxsize=engine.in_flight + 1, retries=False, cert_reqs="CERT_REQUIRED", ca_certs=ca_bundle(),
            ssl_minimum_version=ssl.TLSVersion.TLSv1_2,
        )  # fmt: skip

    def ask(
        self,
        request: Request,
        read: Callable[[Answer], Any] = Answer.json,
        deadline: SharedDeadline | None = None,
    ) -> Any:
        """What `read` makes of the answer. read: raises Transient where the request is to be repeated.

        deadline: of all requests for one shard. Raises ServingError when no answer came in time, ServingRefused.
        """
        deadline, ready_before = deadline or SharedDeadline(), False
        ends = time.monotonic() + deadline.seconds(self._engine.deadline)

        def once() -> Any:
            nonlocal ready_before
            try:
                return read(self._attempt(request))
            except _Refusal as refusal:
                # A server that starts again does not know its model yet: a refusal counts where the model was there
                # before the request.
                if self.ready is None or ready_before:
                    raise ServingRefused(str(refusal)) from None
                ready_before = self.ready()
                raise
            except _Later as later:
                # As long as the server asks for, if that is within the deadline; ended when another request gives up.
                deadline.over.wait(max(0.0, min(later.seconds, ends - time.monotonic())))
                raise

        try:
            return with_retries(f"the model server at {self._engine}", self._engine.deadline, once, deadline)
        except StoreError as error:
            raise ServingError(f"{error}; a retry may help once it answers") from error

    def once(self, path: str) -> tuple[int, Answer]:
        """Status and answer of one request, which is not repeated. Raises Transient when there is none."""
        status, headers, body = within(self._attempt_seconds, lambda: self._request(Request(path)))
        return status, Answer(body, headers)

    @property
    def _attempt_seconds(self) -> float:
        return max(1.0, self._engine.deadline / ATTEMPTS)

    def _attempt(self, request: Request) -> Answer:
        """Raises Transient, or _Later where the server says when; ServingRefused where a repetition will not help."""
        # In a thread of its own: a server that sends one byte at a time is never late by a timeout of single reads.
        status, headers, body = within(self._attempt_seconds, lambda: self._request(request))
        if status == 200:
            return Answer(body, headers)
        words = self._words(body)
        if status in PASSING:
            raise _Later(f"status {status}{words}", retry_after({name: [text] for name, text in headers.items()}))
        if status == 404 and request.optional:
            return Answer(b"{}")
        if status in (401, 403):
            raise self._refused(f"status {status}{words}; its token comes from IMAGEFEATURES_SERVING_TOKEN")
        if 300 <= status < 400:
            raise self._refused(f"status {status}: it leads elsewhere, and is not followed")
        if status >= 500 and self.ready:
            raise Transient(f"status {status}{words}")
        raise _Refusal(str(self._refused(f"status {status} for {request.path}{words}")))

    def _request(self, request: Request) -> tuple[int, dict[str, str], bytes]:
        headers = {"Accept-Encoding": "identity", **request.headers}
        seconds = self._attempt_seconds
        if self._token:
            headers["Authorization"] = f"Bearer {self._token}"
        try:
            response = self._pool.request(
                "GET" if request.body is None else "POST", self._engine.address + request.path, body=request.body,
                headers=headers, redirect=False, preload_content=False, decode_content=False,
                timeout=urllib3.Timeout(connect=min(CONNECT_SECONDS, seconds), read=seconds),
            )  # fmt: skip
            try:
                names = {name.lower(): value for name, value in response.headers.items()}
                return response.status, names, self._body(response, request)
            finally:
                response.close() if response.length_remaining else response.release_conn()
        except urllib3.exceptions.SSLError as error:
            raise self._refused(f"no trusted connection ({printable(error)[:MOST_WORDS]}); see SSL_CERT_FILE") from None
        except (urllib3.exceptions.HTTPError, OSError, ValueError) as error:
            raise Transient(_short(error)) from None

    def _body(self, response: urllib3.BaseHTTPResponse, request: Request) -> bytes:
        """Raises ServingRefused for more bytes than the request may be answered with, declared or sent."""
        body = bytearray()
        declared = response.headers.get("content-length", "")
        if not (declared.isdecimal() and int(declared) > request.most):
            while chunk := response.read(1 << 16):
                body += chunk
                if len(body) > request.most:
                    break
            else:
                return bytes(body)
        response.close()
        raise self._refused(f"more than {request.most:,} bytes for {request.path}, where vectors have fewer")

    def _words(self, body: bytes) -> str:
        """What the server says of it, for a message: the field `error` where there is one; never the token."""
        text = body[:4096].decode(errors="replace")
        try:
            content = json.loads(text)
            text = str(content.get("error", text)) if isinstance(content, dict) else text
        except (ValueError, RecursionError):
            pass
        if self._token:
            text = text.replace(self._token, "…")
        shown = printable(" ".join(text.split()))[:MOST_WORDS]
        return f": {shown}" if shown else ""

    def _refused(self, what: str) -> ServingRefused:
        return ServingRefused(f"the model server at {self._engine} answers with {what}")


class _Refusal(Transient):
    """A status that says that the request is wrong."""


class _Later(Transient):
    """A server that says when it may be asked again. seconds: 0 where it does not say."""

    def __init__(self, what: str, seconds: float | None) -> None:
        super().__init__(what)
        self.seconds = seconds or 0.0


def _short(error: Exception) -> str:
    """What kind of failure it was; urllib3's own texts hold addresses of objects."""
    reason = getattr(error, "reason", None) or error
    kinds = {
        urllib3.exceptions.NameResolutionError: "the name of its host is not found",
        urllib3.exceptions.NewConnectionError: "no connection",
        urllib3.exceptions.ConnectTimeoutError: "no connection in time",
        urllib3.exceptions.ReadTimeoutError: "no answer in time",
        urllib3.exceptions.IncompleteRead: "an answer that ends too soon",
        urllib3.exceptions.ProtocolError: "a connection that ends too soon",
    }
    return next((words for kind, words in kinds.items() if isinstance(reason, kind)), type(reason).__name__)
