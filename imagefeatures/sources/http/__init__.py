"""The guarded HTTP client: the bytes behind URLs that strangers wrote, from hosts that strangers run.

options    what a dataset file says of HTTP, and what a fetch returns
urls       which URLs are fetched, and in which form they are sent
addresses  which addresses may be dialled
headers    what a response's headers say: opted out, come back later, this version
hosts      how often a host is asked, and when it is given up
jobs       one item on its way, what a request can come to, the memory that all share
outcomes   what a status, or an error of libcurl, means
transfer   one request and its response, by libcurl
loop       many of them at a time, in one thread
libcurl    pycurl, bound to the libcurl that it brings
robots     what a host's robots.txt allows
fetch      the order, the retries, the redirects and the memory of a whole shard

Nothing that a host does raises: it becomes a row. This package is light to import: libcurl is loaded by `fetch_all`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from importlib.util import find_spec

from imagefeatures.errors import Rejected, SettingsError
from imagefeatures.sources.http.hosts import Known
from imagefeatures.sources.http.options import HttpOptions, Response
from imagefeatures.sources.http.urls import host_of
from imagefeatures.sources.item import Item

__all__ = ["HttpOptions", "Known", "Response", "check_installed", "fetch_all", "host_of"]


def fetch_all(
    items: Sequence[Item], most_bytes: int, options: HttpOptions, known: Known | None = None
) -> Iterator[Response | Rejected]:
    """Fetch the URL of each item, in order. One thread; at most 64 requests at a time.

    items: their `uri` is an http:// or https:// URL. An `etag`, as an earlier Response had it, is sent, so that an
    unchanged object costs no bytes. most_bytes: the largest body, in bytes, also after decompression. A host's limits
    hold in this call: a host's URLs are not fetched by two at a time (imagefeatures.lanes), and by the next one as if
    the one before had just asked. known: of the call before, with the same options, where it goes on: what a host's
    robots.txt says, how long it is to be left alone, and whether it was given up.

    At most 128 MiB and four bodies more are held at a time. Raises SettingsError where the client is not installed, or
    a variable is wrong.
    """
    check_installed(options)
    from imagefeatures.sources.http.fetch import Fetch

    return Fetch(items, most_bytes, options, known).run()


def check_installed(options: HttpOptions | None = None) -> None:
    """Raise SettingsError, which names the extra to install, where a library is missing that these options need."""
    needed = ("pycurl", "certifi", "idna", *(("protego",) if options and options.robots_txt else ()))
    missing = [name for name in needed if find_spec(name) is None]
    if missing:
        raise SettingsError(
            f"the HTTP client needs {', '.join(missing)}, not installed here: pip install 'imagefeatures[http]'"
        )
