"""Texts that come more than once among millions, found in a few bytes each."""

from __future__ import annotations

from array import array
from collections.abc import Iterable

import numpy as np


class HashedTexts:
    """Texts of which only the hashes are kept: 8 bytes each. Two texts may share a hash, so compare what it finds.

    >>> texts = HashedTexts()
    >>> texts.add(["a", "b"])
    >>> texts.add(["c", "a"])
    >>> texts.repeated() == {hash("a")}
    True
    """

    def __init__(self) -> None:
        self._hashes = array("q")

    def add(self, texts: Iterable[str]) -> None:
        self._hashes.extend(map(hash, texts))

    def repeated(self) -> set[int]:
        """The hashes, as this process's `hash` gives them, that more than one of the texts has."""
        if not self._hashes:
            return set()
        hashes = np.frombuffer(self._hashes, np.int64)
        hashes.sort()  # in place: a copy would be as large
        return set(hashes[1:][hashes[1:] == hashes[:-1]].tolist())
