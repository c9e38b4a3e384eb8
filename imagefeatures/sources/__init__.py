"""Where the objects of a dataset come from. One module for each kind of source: its configuration and behaviour.

item         one object, as it is listed and as it is read
located      what every source with a URI has in common
folder       a folder of a store, read recursively
uri_list     a list of URIs
url_table    a table with a column of URLs, in files
iceberg_table
             such a table of the Iceberg catalog
parquet_bytes
             Parquet files with the images' bytes
tar          tar archives of images
tar_members  the members of an archive, from its headers
uris         objects that are named by their URIs
containers   files that name or hold many images
tables       columns of a table in files
parquet_footer
             the counts and sizes that a Parquet file claims, read without Arrow
parquet_sizes
             what the footer of a Parquet file claims
values       the values of columns as texts
patterns     which objects of a folder are taken
passed_over  what a listing passes over, counted
places       the URI of a source, and the places of a partition in it
http         the guarded client for http:// and https://

A source is the value of `source:` in a dataset file. It is loaded whenever Airflow parses the DAG file, so only its
methods import heavy libraries, not its module.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated, Protocol, Self

from pydantic import Discriminator, Field, Tag

from imagefeatures.errors import Rejected
from imagefeatures.sources.folder import Folder
from imagefeatures.sources.iceberg_table import IcebergTable
from imagefeatures.sources.item import Content, Item
from imagefeatures.sources.parquet_bytes import ParquetBytes
from imagefeatures.sources.passed_over import PassedOver
from imagefeatures.sources.tar import Tar
from imagefeatures.sources.uri_list import UriList
from imagefeatures.sources.url_table import UrlTable

__all__ = [
    "AnySource",
    "Content",
    "Folder",
    "IcebergTable",
    "Item",
    "ParquetBytes",
    "PassedOver",
    "Source",
    "Tar",
    "UriList",
    "UrlTable",
]


class Source(Protocol):
    """The interface of every kind of source. Its text is its URI, for people.

    ingest makes the checks that all kinds share: an empty object, one that is too large, a name that is not text.
    """

    @property
    def kind(self) -> str:
        """The name of the kind in a dataset file."""
        ...

    @property
    def by_partition(self) -> bool:
        """Whether each partition has objects of its own; else every run reads the same ones."""
        ...

    @property
    def gives_labels(self) -> bool:
        """Whether the source says the label of each item, or that it has none: the dataset's rule is not asked."""
        ...

    @property
    def names_hosts(self) -> bool:
        """Whether it may name URLs of the web, whose hosts have limits: shards are cut by host then."""
        ...

    @property
    def may_repeat(self) -> bool:
        """Whether `items` may name an object more than once: the first counts. Of other sources it is an error."""
        ...

    @property
    def holds_images(self) -> bool:
        """Whether an image may lie inside a file: its URI is then the file's, #, and its place there."""
        ...

    def for_partition(self, partition: str) -> Self:
        """The source with `{partition}` filled in: a run lists and reads this one.

        Raises ParamsError where the source needs a day and the partition is none.
        """
        ...

    def pinned(self) -> Self:
        """The source as it is now, where it keeps its past: each listing of a run then gives the same. Called by plan.

        Raises InputError, CatalogRefused or CatalogError.
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

        Raises InputError where the source cannot be read as what it says to be, StoreRefused or StoreError.
        """
        ...

    def everything(self) -> Iterator[Item]:
        """What is there, with what `items` passes over, for a look at the first few. Raises as `items`."""
        ...

    def passes_over(self, item: Item, passed: PassedOver) -> bool:
        """Whether `items` leaves out this one of `everything`. passed: gets it then."""
        ...

    def name_of(self, item: Item) -> str | None:
        """An item's name without folders, for patterns: of an archive's member its own, of a row of Parquet the file's.

        None of a folder or an archive that is rejected as a whole: nobody knows which names are in it.
        """
        ...

    def path_of(self, item: Item) -> str:
        """An item's URI as folders and a name, for the label of its folder: of a URL without its query.

        Of an archive's member as if the archive were unpacked in the folder where it lies.
        """
        ...

    def nothing_there(self) -> str:
        """Why `everything` is empty, as a part of the line of NoInput."""
        ...

    def nothing_taken(self, passed: PassedOver) -> str:
        """Why `items` passed over all that there is, as the end of that line. passed: what it passed over."""
        ...

    def partitions_there(self, partition: str) -> str:
        """Which partitions there are in place of this one, as the end of that line. Asked before `for_partition`."""
        ...

    def fetch(self, items: Sequence[Item], most_bytes: int) -> Iterator[bytes | Content | Rejected]:
        """The bytes of each item in order, or why it is rejected. Called by a worker with the items of a shard.

        most_bytes: a larger item need not be read; where its size was not known, it is rejected as too large. Raises
        StoreRefused or StoreError: a store that does not answer is not the fault of an item.
        """
        ...


def _form_of_table(given: object) -> str:
    in_a_catalog = "iceberg" in given if isinstance(given, dict) else isinstance(given, IcebergTable)
    return "(iceberg)" if in_a_catalog else "(files)"


AnyTable = Annotated[
    Annotated[UrlTable, Tag("(files)")] | Annotated[IcebergTable, Tag("(iceberg)")], Discriminator(_form_of_table)
]
"""Both forms of `kind: url_table`: the field `iceberg` tells them apart."""

AnySource = Annotated[Folder | UriList | AnyTable | ParquetBytes | Tar, Field(discriminator="kind")]
"""Every kind of source that a dataset file may name: `kind` says which."""
