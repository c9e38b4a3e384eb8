"""Many transfers of libcurl at a time, in one thread: its multi interface, driven by the system's own selector.

`CurlMulti.select` would be shorter, but cannot watch a descriptor above 1,023.
"""

from __future__ import annotations

import selectors
import time
from collections.abc import Iterator

from imagefeatures.sources.http.libcurl import pycurl

_EVENTS = {
    pycurl.POLL_IN: selectors.EVENT_READ,
    pycurl.POLL_OUT: selectors.EVENT_WRITE,
    pycurl.POLL_INOUT: selectors.EVENT_READ | selectors.EVENT_WRITE,
}


class Loop:
    """Runs the handles that are added to it. `close` it at the end."""

    def __init__(self) -> None:
        self._multi = pycurl.CurlMulti()
        self._selector = selectors.DefaultSelector()
        self._timer: float | None = None  # when libcurl wants to be called, whatever happens
        self._multi.setopt(pycurl.M_SOCKETFUNCTION, self._watch)
        self._multi.setopt(pycurl.M_TIMERFUNCTION, self._set_timer)

    def add(self, handle: pycurl.Curl) -> None:
        self._multi.add_handle(handle)

    def remove(self, handle: pycurl.Curl) -> None:
        """Take a handle out; its transfer is aborted if it is not done."""
        self._multi.remove_handle(handle)

    def wait(self, seconds: float) -> Iterator[tuple[pycurl.Curl, int, str]]:
        """Wait for at most so many seconds. Yields each handle that is done: its libcurl code, 0 if all is well, and
        libcurl's words. It has been taken out."""
        if self._timer is not None:
            seconds = min(seconds, self._timer - time.monotonic())
        for key, mask in self._selector.select(max(0.0, seconds)):
            flags = pycurl.CSELECT_IN if mask & selectors.EVENT_READ else 0
            self._multi.socket_action(key.fd, flags | (pycurl.CSELECT_OUT if mask & selectors.EVENT_WRITE else 0))
        if self._timer is not None and time.monotonic() >= self._timer:
            self._timer = None
            self._multi.socket_action(pycurl.SOCKET_TIMEOUT, 0)
        waiting = 1
        while waiting:
            waiting, done, failed = self._multi.info_read()
            for handle, code, words in [*((handle, 0, "") for handle in done), *failed]:
                self.remove(handle)
                yield handle, code, words

    def close(self) -> None:
        self._multi.close()
        self._selector.close()

    def _watch(self, what: int, descriptor: int, *_: object) -> None:
        known = descriptor in self._selector.get_map()
        if what == pycurl.POLL_REMOVE:
            if known:
                self._selector.unregister(descriptor)
        elif known:
            self._selector.modify(descriptor, _EVENTS[what])
        else:
            self._selector.register(descriptor, _EVENTS[what])

    def _set_timer(self, milliseconds: int) -> None:
        self._timer = None if milliseconds < 0 else time.monotonic() + milliseconds / 1000
