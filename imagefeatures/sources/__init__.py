"""Where the objects of a dataset come from. One module a kind of source: its configuration and its behaviour.

item    one listed object
folder  a folder of a store, read recursively

A source is what a dataset file says under `source:`. It is loaded whenever Airflow parses the DAG file, so its
module imports nothing heavy; its methods do.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Protocol, Self

from imagefeatures.errors import Rejected
from imagefeatures.sources.folder import Folder
from imagefeatures.sources.item import Item

__all__ = ["AnySource", "Folder", "Item", "Source"]


class Source(Protocol):
    """What every kind of source can do.

    What is true of all kinds (an empty object, one that is too large, a name that is no text) is ingest's to judge.
    """

    def for_partition(self, partition: str) -> Self:
        """The source with `{partition}` filled in: the one that a run lists and reads."""
        ...

    def beside(self, folder: Path) -> Self:
        """The source with relative places seen from this folder: the one of the dataset file."""
        ...

    def check(self) -> None:
        """Look whether the source can be listed. Raises StoreRefused or StoreError, and nothing when it is empty."""
        ...

    def items(self) -> Iterator[Item]:
        """List the source, streaming. Called by the driver. Raises StoreRefused or StoreError."""
        ...

    def fetch(self, items: Sequence[Item]) -> Iterator[bytes | Rejected]:
        """The bytes of each item in their order, or why it has none. Called by a worker with the items of a shard.

        Raises StoreRefused or StoreError: a store that stays away is no item's fault.
        """
        ...


AnySource = Folder
"""Every kind that a dataset file may name."""
