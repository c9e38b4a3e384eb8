"""What every kind of source with a URI has in common: where it lies, its partitions, and how its bucket is read."""

from __future__ import annotations

import difflib
import os
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Self

from pydantic import Field, field_validator, model_validator

from imagefeatures import beside
from imagefeatures.errors import DatasetError
from imagefeatures.reasons import printable
from imagefeatures.sources import places
from imagefeatures.sources.item import Item
from imagefeatures.sources.passed_over import PassedOver
from imagefeatures.strict import FrozenModel

if TYPE_CHECKING:
    from imagefeatures.storage import Access

LOOKED_AT = 5_000
"""The most objects that are looked at for the names of partitions: five requests to an S3 store."""

NEAREST = 3
"""How many partitions are named that are there instead."""


class Located(FrozenModel):
    """A source at a URI of a store, which may have `{partition}` in it."""

    kind: str
    uri: str = Field(min_length=1, description="s3://… or file:///…, or a path relative to the dataset file")
    anonymous: bool = Field(False, description="Read a public bucket, without credentials")
    requester_pays: bool = Field(False, description="Agree to pay for the requests to a bucket that asks for it")

    folders_alone: ClassVar[bool] = False
    """Whether only a folder can be a partition, and no file."""

    may_repeat: ClassVar[bool] = True
    """Whether a listing may hold a URI more than once. The first is taken then, and the others are passed over."""

    holds_images: ClassVar[bool] = False
    """Whether an image may lie inside a file: its URI is then the file's, #, and its place there."""

    def __str__(self) -> str:
        return self.uri

    @field_validator("uri")
    @classmethod
    def _uri_is_known(cls, uri: str) -> str:
        return places.check_uri(uri)

    @model_validator(mode="after")
    def _only_a_bucket_is_public_or_paid(self) -> Self:
        wanted = [name for name in ("anonymous", "requester_pays") if getattr(self, name)]
        if wanted and not self.uri.startswith("s3://"):
            raise ValueError(f"{wanted[0]}: is for s3:// alone")
        if len(wanted) > 1:
            raise ValueError("anonymous: whoever pays for requests must sign them; leave anonymous out")
        return self

    @property
    def by_partition(self) -> bool:
        """Whether each partition has a place of its own."""
        return bool(places.FIELD.search(self.uri))

    @property
    def names_hosts(self) -> bool:
        """Whether it may name URLs of the web, whose hosts have limits."""
        return False

    @property
    def gives_labels(self) -> bool:
        """Whether the source says the label of each item; else the dataset's rule finds it in the URI."""
        return False

    def for_partition(self, partition: str) -> Self:
        """The source of one partition. Raises ParamsError where its key must be a day and is none."""
        return self.model_copy(update={"uri": places.for_partition(self.uri, partition)})

    def pinned(self) -> Self:
        return self

    def beside(self, folder: Path) -> Self:
        return self.model_copy(update={"uri": beside.absolute(self.uri, folder)})

    def check_apart(self, lake: str) -> None:
        """Raise DatasetError where the source holds the lake, or lies in it. lake: its URI, as in Settings.

        A run would take files of the lake for photos, and would remove photos with its own files.
        """
        if places.holds(self.uri, lake):
            raise DatasetError(
                f"source: {self} holds the lake, {lake}; name a folder of photos alone, or move the lake"
            )
        if places.holds(lake, self.uri):
            raise DatasetError(f"source: {self} lies in the lake, {lake}; move the photos out of it")

    def passes_over(self, item: Item, passed: PassedOver) -> bool:
        return False

    def name_of(self, item: Item) -> str | None:
        if item.rejected and (item.uri.endswith("/") or (self.holds_images and not item.locator)):
            return None
        return item.uri.rpartition("/")[2]

    def path_of(self, item: Item) -> str:
        return item.uri

    def everything(self) -> Iterator[Item]:
        raise NotImplementedError

    def nothing_there(self) -> str:
        path = self.uri.removeprefix("file://")
        if path == self.uri:
            return f"there is no object at {self}"
        if not os.path.lexists(path):
            return f"there is no file or folder {self}"
        return f"{self} is empty"

    def nothing_taken(self, passed: PassedOver) -> str:
        return f"; {passed}"

    def partitions_there(self, partition: str) -> str:
        if not self.by_partition:
            return ""
        parent = places.parent(self.uri)
        if not (there := self._beside(parent)):
            return f"; there is no partition in {parent}"
        wanted = places.for_partition(self.uri, partition).removeprefix(parent).partition("/")[0]
        near = difflib.get_close_matches(wanted, there, NEAREST)
        names = ", ".join(printable(name) for name in sorted(near) or there[:NEAREST])
        if near:
            return f"; of the {len(there):,} partitions that are there, these are the nearest: {names}"
        what = "folders" if self.folders_alone else "files and folders"
        return f"; there are {len(there):,} {what} in the place of the partition, none of a similar name: {names}"

    @property
    def access(self) -> Access | None:
        """How the bucket is read, where that is not as the lake is."""
        from imagefeatures import storage

        if self.anonymous or self.requester_pays:
            return storage.Access(self.anonymous, self.requester_pays)
        return None

    def _beside(self, parent: str) -> list[str]:
        """The names in the place of the partition, as far as a bounded look shows them. parent: the folder there."""
        from imagefeatures import storage

        files_too = not self.folders_alone and "/" not in self.uri.removeprefix(parent)
        if parent.startswith("file://"):
            try:
                entries = os.scandir(parent.removeprefix("file://"))
                return sorted(entry.name for entry in entries if files_too or entry.is_dir())
            except OSError:
                return []
        listed = islice(storage.list_entries(parent, self.access), LOOKED_AT)
        below = (entry.uri.removeprefix(parent) for entry in listed)
        return sorted({path.partition("/")[0] for path in below if files_too or "/" in path})
