"""Makes thumbnails: from an object's bytes in the isolated decode process, or from pixels that a table has kept."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass

import numpy as np

from imagefeatures import transforms
from imagefeatures.isolation import REJECTED, Isolated
from imagefeatures.layout import Layout
from imagefeatures.limits import Limits
from imagefeatures.preprocessing import RGB, Preprocessing, Upright
from imagefeatures.preprocessing.geometry import Pad, Resize
from imagefeatures.reasons import Reason
from imagefeatures.settings import Settings
from imagefeatures.thumbnails.folder import ThumbnailFolder
from imagefeatures.thumbnails.pixels import pictures_beside
from imagefeatures.thumbnails.stored import bytes_of

SIDE = 256
"""The longer side of a thumbnail, in pixels. Kept pixels are shown as they are."""

LIMITS = Limits(decode_seconds=5)
"""Of the originals. A dataset may allow more: a picture beyond these has no thumbnail."""

NEVER = frozenset({Reason.DECODER_CRASHED, Reason.TIMEOUT, Reason.OUT_OF_MEMORY})
"""Objects that were rejected for one of these are not decoded again: they may be made to do harm."""

SLOW_SECONDS = 600.0
"""For so long what took too long is not tried again: there is one decoder, and others wait for it."""

MOST_SLOW = 10_000
"""So many of them are remembered."""

_SHRINK = Resize(longest_edge=SIDE)
_CHAIN = Preprocessing(chain=(Upright(), RGB(), _SHRINK, Pad(size=(SIDE, SIDE))))


@dataclass(frozen=True)
class TableObject:
    """An object as a row of a table names it. reason: why it was rejected; None for a registered one."""

    uri: str
    image_id: str
    reason: str | None = None


class Thumbnails:
    """The thumbnails of a lake, for any number of threads.

    decoder: of `images.decode`; used by nobody else meanwhile. It decodes one original after the other.
    """

    def __init__(self, settings: Settings, decoder: Isolated) -> None:
        self._settings = settings
        self._folder = ThumbnailFolder(settings.cache / "thumbnails")
        self._decoder, self._decoding = decoder, threading.Lock()
        self._reading_pixels = threading.Lock()
        self._slow: dict[str, float] = {}

    def of(self, layout: Layout, found: TableObject, kept_pixels: bool) -> bytes | None:
        """The thumbnail, a JPEG of at most SIDE × SIDE pixels; None where the object has none.

        layout: of the run that published the row. kept_pixels: whether it published pixels too. What the folder holds
        is taken first, then bytes that were kept of a rejected object, then the object itself where it lies in a store,
        then kept pixels. No URL is asked. Raises DecoderUnavailable, and as `read.batches`.
        """
        kept = self._folder.read(layout.dataset, found.image_id)
        if kept is not None:
            return kept or None
        if found.reason in NEVER or self._was_slow(found.image_id):
            return None
        places = (
            [found.uri] if found.reason is None else [layout.rejected_bytes(found.reason, found.image_id), found.uri]
        )
        data = next(filter(None, (bytes_of(place, found.image_id, LIMITS.max_bytes) for place in places)), b"")
        if data:
            thumbnail = self._decoded(data)
            if thumbnail is None:  # perhaps the machine was busy: a later look tries again
                if len(self._slow) >= MOST_SLOW:
                    self._slow.clear()
                self._slow[found.image_id] = time.monotonic()
                return None
            if thumbnail or not kept_pixels:
                self._folder.keep(layout.dataset, found.image_id, thumbnail)
                return thumbnail or None
        return self._of_pixels(layout, found.image_id) if kept_pixels and found.reason is None else None

    def _was_slow(self, image_id: str) -> bool:
        tried = self._slow.get(image_id)
        return tried is not None and time.monotonic() - tried < SLOW_SECONDS

    def _decoded(self, data: bytes) -> bytes | None:
        """The thumbnail of an image's bytes; empty where no decoder takes them; None where it took too long."""
        with self._decoding:
            batch = self._decoder.run([data], LIMITS, _CHAIN)
            (record,) = batch.records
            if record["state"] == REJECTED:
                return None if record["reason"] == Reason.TIMEOUT.encode() else b""
            pixels = _without_edges(batch.pixels[0], int(record["height"]), int(record["width"])).copy()
        return transforms.as_jpeg(pixels)

    def _of_pixels(self, layout: Layout, image_id: str) -> bytes | None:
        """The thumbnail of kept pixels. Those that lie beside them are kept too: they were read at the same time."""
        with self._reading_pixels:
            wanted = self._folder.read(layout.dataset, image_id)
            if wanted is None:
                for neighbour, pixels in pictures_beside(self._settings, layout.dataset, layout.partition, image_id):
                    thumbnail = transforms.as_jpeg(pixels)
                    self._folder.keep(layout.dataset, neighbour, thumbnail)
                    wanted = thumbnail if neighbour == image_id else wanted
        return wanted or None


def _without_edges(pixels: np.ndarray, height: int, width: int) -> np.ndarray:
    """The picture without what Pad has put around it. height, width: of the original, upright."""
    height, width = _SHRINK.size_of(height, width)
    top, left = (SIDE - height) // 2, (SIDE - width) // 2
    return pixels[top : top + height, left : left + width]
