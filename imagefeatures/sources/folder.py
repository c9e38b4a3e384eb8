"""A folder of a store, read recursively: `source: s3://…`, or `{kind: folder, uri: s3://…, pattern: …}`."""

from __future__ import annotations

import posixpath
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Self

from pydantic import Field, field_validator, model_validator

from imagefeatures.errors import DatasetError, Rejected
from imagefeatures.reasons import Reason
from imagefeatures.sources import passed_over, patterns, places
from imagefeatures.sources.item import Item
from imagefeatures.sources.passed_over import PassedOver
from imagefeatures.strict import FrozenModel

if TYPE_CHECKING:
    from imagefeatures.storage import Access


class Folder(FrozenModel):
    """Every object below a folder URI that fits one of the patterns and is not excluded: see sources.patterns.

    >>> source = Folder(uri="s3://photos/fruit/{partition}/", pattern=["*.jpg"])
    >>> str(source.for_partition("2026-11-02"))
    's3://photos/fruit/2026-11-02/'
    >>> str(Folder(uri="s3://photos/year={partition:%Y}/month={partition:%m}/").for_partition("2026-11-02"))
    's3://photos/year=2026/month=11/'
    """

    kind: Literal["folder"] = "folder"
    uri: str = Field(min_length=1, description="s3://… or file:///…, or a path relative to the dataset file")
    pattern: tuple[str, ...] = Field(("*",), min_length=1, description="Shell patterns of what is taken")
    exclude: tuple[str, ...] = Field((), description="Shell patterns of what is passed over")
    ignore_case: bool = Field(False, description="Whether pattern and exclude take A for a")
    default_excludes: bool = Field(True, description="Pass over what systems and tools leave beside photos")
    anonymous: bool = Field(False, description="Read a public bucket, without credentials")
    requester_pays: bool = Field(False, description="Agree to pay for the requests to a bucket that asks for it")

    def __str__(self) -> str:
        return self.uri

    @field_validator("uri")
    @classmethod
    def _uri_is_known(cls, uri: str) -> str:
        return places.check_uri(uri)

    @field_validator("pattern", "exclude", mode="before")
    @classmethod
    def _one_pattern_is_a_list_too(cls, given: Any) -> Any:
        return [given] if isinstance(given, str) else given

    @field_validator("pattern", "exclude")
    @classmethod
    def _patterns_mean_something(cls, given: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(map(patterns.check, given))

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

    def for_partition(self, partition: str) -> Folder:
        """The folder of one partition. Raises ParamsError where its key must be a day and is none."""
        return self.model_copy(update={"uri": places.for_partition(self.uri, partition)})

    def beside(self, folder: Path) -> Folder:
        if "://" in self.uri:
            return self
        # normpath and not resolve(), which would replace symbolic links in the path.
        absolute = posixpath.normpath((folder / self.uri).absolute())
        return self.model_copy(update={"uri": f"file://{absolute}" + ("/" if self.uri.endswith("/") else "")})

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

    def check(self) -> None:
        from imagefeatures import storage

        next(storage.list_entries(self.uri, self._access), None)

    def items(self, passed: PassedOver | None = None) -> Iterator[Item]:
        from imagefeatures import storage

        passed = PassedOver() if passed is None else passed
        for listed in storage.list_entries(self.uri, self._access):
            if listed.uri.endswith("/") and not listed.size and not listed.rejected:
                passed.add(passed_over.FOLDER_MARKER, listed.uri)
                continue
            why = listed.rejected
            item = Item(listed.uri, rejected=why) if why else Item(listed.uri, listed.size, listed.etag)
            if not self.passes_over(item, passed):
                yield item

    @property
    def of_everything(self) -> Self:
        """The same folder with every object in it, whatever the patterns say."""
        return self.model_copy(update={"pattern": ("*",), "exclude": (), "default_excludes": False})

    def passes_over(self, item: Item, passed: PassedOver) -> bool:
        """Whether an object of the folder is not taken. passed: gets it then."""
        cause = self.cause(item.uri, bool(item.rejected) and item.uri.endswith("/"))
        if cause:
            passed.add(cause, item.uri)
        if cause == passed_over.PATTERN:
            path = self._path(item.uri)
            excluded = patterns.fits(path, self.exclude, True)
            passed.in_another_case += not excluded and patterns.fits(path, self.pattern, True)
        return bool(cause)

    def cause(self, uri: str, whole_folder: bool = False) -> str | None:
        """What passes an object over, a key of PassedOver.counts; None for one that is taken. uri: its whole URI.

        whole_folder: of a folder that is listed for what it is, which has no name that a pattern could fit.
        """
        path = self._path(uri)
        if self.default_excludes and patterns.fits(path, patterns.DEFAULT_EXCLUDES):
            return passed_over.DEFAULT_EXCLUDES
        if self.exclude and patterns.fits(path, self.exclude, self.ignore_case):
            return passed_over.EXCLUDE
        if not whole_folder and not patterns.fits(path, self.pattern, self.ignore_case):
            return passed_over.PATTERN
        return None

    def matches(self, uri: str) -> bool:
        """Whether an object of the folder is taken, by its name and path."""
        return self.cause(uri) is None

    def fetch(self, items: Sequence[Item]) -> Iterator[bytes | Rejected]:
        from imagefeatures import storage

        listed = [storage.StoredObject(item.uri, item.size or 0, item.etag or "") for item in items]
        for item, fetched in zip(items, storage.fetch_all(listed, self.uri, self._access), strict=True):
            if isinstance(fetched, storage.ObjectMissing):
                yield Rejected(Reason.NOT_FOUND, "it was listed, and gone when it was read")
            elif isinstance(fetched, storage.ObjectChanged):
                yield Rejected(Reason.CHANGED_DURING_RUN, f"listed with ETag {item.etag}, read with {fetched.etag}")
            else:
                yield fetched

    @property
    def _access(self) -> Access | None:
        """How the bucket is read, where that is not as the lake is."""
        from imagefeatures import storage

        if self.anonymous or self.requester_pays:
            return storage.Access(self.anonymous, self.requester_pays)
        return None

    def _path(self, uri: str) -> str:
        """The path below the source."""
        return uri.removeprefix(self.uri if self.uri.endswith("/") else f"{self.uri}/")
