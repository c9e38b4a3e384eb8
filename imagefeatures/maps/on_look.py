"""Maps that are computed when somebody looks for the first time: by `imagefeatures map`, in a process of its own."""

from __future__ import annotations

import logging
from contextlib import nullcontext
from functools import lru_cache

from imagefeatures import storage
from imagefeatures.background import Background, Bounds, UnderWay, Waits
from imagefeatures.errors import StoreRefused
from imagefeatures.forget import deny
from imagefeatures.maps import stored
from imagefeatures.maps.choice import Choice
from imagefeatures.maps.compute import SHOWN
from imagefeatures.maps.stored import StoredMap
from imagefeatures.settings import Settings

MOST_PHOTOS = SHOWN
"""A map of more photos is not begun for a page. The command makes one, and the page shows it."""

SECONDS = 3600.0
"""A map that takes longer is ended."""

MEMORY_BYTES = 4 << 30
"""The most address space of its process."""

IN_MEMORY = 4
"""So many maps are kept in memory: one of 100,000 images has some 40 MB there."""

log = logging.getLogger(__name__)


class _NotKept(Exception):
    """The lake has no such map."""


class MapsOnLook:
    """The maps of a lake, for any number of threads."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._background = Background("map", Bounds(SECONDS, MEMORY_BYTES), settings.cache)
        self._may_write = False
        self._read = lru_cache(IN_MEMORY)(self._read_anew)

    def may_write(self) -> bool:
        """Whether maps can be kept from here. Else a command would compute one to the end, and then be refused.

        Raises StoreError. Where something has been written once, that is not tried again.
        """
        if not self._may_write:
            probe = f"{self._settings.lake}/maps/.writable"
            try:
                storage.write(probe, b"")
                storage.delete(probe)
            except StoreRefused as error:
                log.warning("no map is made here: %s", error)
                return False
            self._may_write = True
        return True

    def begin(self, choice: Choice) -> UnderWay | Waits:
        """Compute a map unless that, or another one, is under way, or has just failed. Does not wait."""
        chosen = [f"--partition={partition}" for partition in choice.partitions]
        return self._background.run(choice, nullcontext(["map", choice.dataset, *chosen]))

    def kept(self, dataset: str, digest: str) -> StoredMap | None:
        """The map, if the lake has it."""
        try:
            return self._read(dataset, digest, deny.state(self._settings.lake))
        except _NotKept:
            return None

    def _read_anew(self, dataset: str, digest: str, forgotten: str) -> StoredMap:
        found = stored.find(self._settings.lake, dataset, digest)
        if found is None:  # as an exception: what is not there yet is not remembered
            raise _NotKept
        return found
