"""Which URLs are fetched, and in which form they are sent: as a browser would send them."""

from __future__ import annotations

import re
from dataclasses import dataclass
from urllib.parse import quote, urljoin, urlsplit

from imagefeatures.errors import Rejected
from imagefeatures.reasons import Reason, printable

MOST_CHARACTERS = 8000

# Ports of other protocols, to which no browser sends a request: https://fetch.spec.whatwg.org/#port-blocking
_BAD_PORTS = frozenset(
    (
        0, 1, 7, 9, 11, 13, 15, 17, 19, 20, 21, 22, 23, 25, 37, 42, 43, 53, 69, 77, 79, 87, 95, 101, 102, 103, 104, 109,
        110, 111, 113, 115, 117, 119, 123, 135, 137, 139, 143, 161, 179, 389, 427, 465, 512, 513, 514, 515, 526, 530,
        531, 532, 540, 548, 554, 556, 563, 587, 601, 636, 989, 990, 993, 995, 1719, 1720, 1723, 2049, 3659, 4045, 4190,
        5060, 5061, 6000, 6566, 6665, 6666, 6667, 6668, 6669, 6679, 6697, 10080,
    )
)  # fmt: skip
_KEPT = "%!$&'()*+,;=:@/[]~|?"
"""What stays as it is in a path and a query: a percent sign too, as it begins what is encoded already."""


@dataclass(frozen=True, slots=True)
class Url:
    """A URL that can be asked for. text: plain ASCII, without a fragment. host: lower case. origin: scheme and host.

    >>> parse("http://Example.org:80/a b/ü.jpg?q=1#top")
    Url(text='http://example.org/a%20b/%C3%BC.jpg?q=1', host='example.org', origin='http://example.org')
    """

    text: str
    host: str
    origin: str


def parse(text: str) -> Url:
    """A URL in the form in which it is sent. Raises Rejected, with UNSUPPORTED_URL, where it cannot be sent.

    No message holds more of the URL than its scheme and its host: the rest may be a secret.
    """
    text = re.sub(r"[\t\r\n]", "", text.strip("".join(map(chr, range(33)))))
    if len(text) > MOST_CHARACTERS:
        raise _unsupported(f"it has {len(text):,} characters; {MOST_CHARACTERS:,} are the most")
    try:
        parts = urlsplit(text)
        port = parts.port
        host = _host(parts.hostname or "")
        path = quote(_without_dots(parts.path.replace("\\", "/")), _KEPT)
        query = f"?{quote(parts.query, _KEPT)}" if parts.query else ""
    except ValueError:  # a port or an IPv6 address that is none, half of a surrogate pair, a name that is no host
        raise _unsupported("it is no URL: its host, its port or its text is malformed") from None
    scheme = parts.scheme
    if scheme not in ("http", "https"):
        raise _unsupported(f"its scheme is {printable(scheme)[:20] or 'missing'}; http and https are fetched")
    if "@" in parts.netloc:
        raise _unsupported("it has a user name or a password before its host; none are sent")
    if not re.fullmatch(r"[a-z0-9._-]+|\[[0-9a-f:.]+\]", host):
        raise _unsupported("its host is missing or malformed")
    if port in _BAD_PORTS:
        raise _unsupported(f"its port {port} is that of another protocol")
    origin = f"{scheme}://{host}" + ("" if port in (None, {"http": 80, "https": 443}[scheme]) else f":{port}")
    return Url(origin + path + query, host.rstrip("."), origin)


def moved(url: Url, location: str) -> Url:
    """Where a redirect leads. Raises Rejected as `parse` does."""
    try:
        return parse(urljoin(url.text, location.strip()))
    except Rejected as rejected:
        raise Rejected(
            rejected.reason, f"{url.host} redirects to a URL that is not fetched: {rejected.detail}"
        ) from None
    except ValueError:
        raise _unsupported(f"{url.host} redirects to what is no URL") from None


def host_of(text: str) -> str:
    """The host by which URLs are shared out; empty where `parse` would reject the URL.

    >>> host_of("https://Photos.example.org/1.jpg"), host_of("ftp://example.org/")
    ('photos.example.org', '')
    """
    try:
        return parse(text).host
    except Rejected:
        return ""


def _without_dots(path: str) -> str:
    """The path without `.` and `..`, as browsers resolve them: a robots.txt is asked about what is sent.

    >>> _without_dots("/a/../b/./%2E%2e/c"), _without_dots("/a/.."), _without_dots("")
    ('/c', '/', '/')
    """
    kept: list[str] = []
    parts = path.split("/")[1:] or [""]
    for part in parts:
        dots = re.sub("%2e", ".", part, flags=re.IGNORECASE)
        if dots == "..":
            del kept[-1:]
        elif dots != ".":
            kept.append(part)
    if dots in (".", ".."):  # the last part: a folder
        kept.append("")
    return "/" + "/".join(kept)


def _host(host: str) -> str:
    """In ASCII and lower case. Raises ValueError for a name that is none."""
    if ":" in host:
        return f"[{host}]"
    if host.isascii():
        return host.lower()
    import idna

    return idna.encode(host, uts46=True, transitional=False).decode("ascii")  # IDNAError is a ValueError


def _unsupported(detail: str) -> Rejected:
    return Rejected(Reason.UNSUPPORTED_URL, detail)
