"""Where the objects of a dataset come from. One module for each kind of source: its configuration and behaviour.

item         one listed object
folder       a folder of a store, read recursively
patterns     which objects of a folder are taken
passed_over  what a listing passes over, counted
places       the URI of a folder, and the places of a partition in it
http         the guarded client for http:// and https://

A source is the value of `source:` in a dataset file. It is loaded whenever Airflow parses the DAG file, so only its
methods import heavy libraries, not its module.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Protocol, Self

from imagefeatures.errors import Rejected
from imagefeatures.sources.folder import Folder
from imagefeatures.sources.item import Item
from imagefeatures.sources.passed_over import PassedOver

__all__ = ["AnySource", "Folder", "Item", "PassedOver", "Source"]


class Source(Protocol):
    """The interface of every kind of source.

    ingest makes the checks that all kinds share: an empty object, one that is too large, a name that is not text.
    """

    def for_partition(self, partition: str) -> Self:
        """The source with `{partition}` filled in: a run lists and reads this one.

        Raises ParamsError where the source needs a day and the partition is none.
        """
        ...

    def beside(self, folder: Path) -> Self:
        """The source with its relative paths resolved against this folder, the folder of the dataset file."""
        ...

    def check_apart(self, lake: str) -> None:
        """Check that source and lake are apart. lake: its URI. Raises DatasetError where one holds the other."""
        ...

    def check(self) -> None:
        """Check that the source can be listed; it may be empty. Raises StoreRefused or StoreError."""
        ...

    def items(self, passed: PassedOver | None = None) -> Iterator[Item]:
        """List the source as a stream. Called by the driver. passed: gets what is no item, and why.

        Raises StoreRefused or StoreError.
        """
        ...

    def fetch(self, items: Sequence[Item]) -> Iterator[bytes | Rejected]:
        """The bytes of each item in order, or why it is rejected. Called by a worker with the items of a shard.

        Raises StoreRefused or StoreError: a store that does not answer is not the fault of an item.
        """
        ...


AnySource = Folder
"""Every kind of source that a dataset file may name."""
