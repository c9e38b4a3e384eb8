"""A folder of a store, read recursively: `source: s3://…`, or `{kind: folder, uri: s3://…, pattern: …}`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, ClassVar, Literal

from pydantic import Field, field_validator

from imagefeatures.errors import Rejected
from imagefeatures.reasons import Reason, printable
from imagefeatures.sources import passed_over, patterns
from imagefeatures.sources.item import Item
from imagefeatures.sources.located import Located
from imagefeatures.sources.passed_over import PassedOver


class Folder(Located):
    """Every object below a folder URI that fits one of the patterns and is not excluded: see sources.patterns.

    >>> source = Folder(uri="s3://photos/fruit/{partition}/", pattern=["*.jpg"])
    >>> str(source.for_partition("2026-11-02"))
    's3://photos/fruit/2026-11-02/'
    >>> str(Folder(uri="s3://photos/year={partition:%Y}/month={partition:%m}/").for_partition("2026-11-02"))
    's3://photos/year=2026/month=11/'
    """

    kind: Literal["folder"] = "folder"
    pattern: tuple[str, ...] = Field(("*",), min_length=1, description="Shell patterns of what is taken")
    exclude: tuple[str, ...] = Field((), description="Shell patterns of what is passed over")
    ignore_case: bool = Field(False, description="Whether pattern and exclude take A for a")
    default_excludes: bool = Field(True, description="Pass over what systems and tools leave beside photos")

    folders_alone: ClassVar[bool] = True
    may_repeat: ClassVar[bool] = False

    @field_validator("pattern", "exclude", mode="before")
    @classmethod
    def _one_pattern_is_a_list_too(cls, given: Any) -> Any:
        return [given] if isinstance(given, str) else given

    @field_validator("pattern", "exclude")
    @classmethod
    def _patterns_mean_something(cls, given: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(map(patterns.check, given))

    def check(self) -> None:
        from imagefeatures import storage

        next(storage.list_entries(self.uri, self.access), None)

    def items(self, passed: PassedOver | None = None) -> Iterator[Item]:
        from imagefeatures import storage

        passed = PassedOver() if passed is None else passed
        for listed in storage.list_entries(self.uri, self.access):
            if listed.uri.endswith("/") and not listed.size and not listed.rejected:
                passed.add(passed_over.FOLDER_MARKER, listed.uri)
                continue
            why = listed.rejected
            item = Item(listed.uri, rejected=why) if why else Item(listed.uri, listed.size, listed.etag)
            if not self.passes_over(item, passed):
                yield item

    def everything(self) -> Iterator[Item]:
        """Every object of the folder, whatever the patterns say."""
        return self.model_copy(update={"pattern": ("*",), "exclude": (), "default_excludes": False}).items()

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

    def nothing_there(self) -> str:
        return super().nothing_there().replace("no file or folder", "no folder")

    def nothing_taken(self, passed: PassedOver) -> str:
        text = f"; {passed}"
        if list(passed.counts) == [passed_over.PATTERN]:
            names = [printable(uri.rsplit("/", 1)[-1]) for uri in passed.examples[passed_over.PATTERN]]
            text = f": {', '.join(names)}{', …' * (passed.counts.total() > len(names))}"
        if passed.in_another_case:
            text += f"; {passed.in_another_case:,} would fit without regard to case (ignore_case: true in source)"
        return f", and none fits the pattern {list(self.pattern)}{text}"

    def matches(self, uri: str) -> bool:
        """Whether an object of the folder is taken, by its name and path."""
        return self.cause(uri) is None

    def fetch(self, items: Sequence[Item], most_bytes: int | None = None) -> Iterator[bytes | Rejected]:
        from imagefeatures import storage

        listed = [storage.StoredObject(item.uri, item.size or 0, item.etag or "") for item in items]
        for item, fetched in zip(items, storage.fetch_all(listed, self.uri, self.access), strict=True):
            if isinstance(fetched, storage.ObjectMissing):
                yield Rejected(Reason.NOT_FOUND, "it was listed, and gone when it was read")
            elif isinstance(fetched, storage.ObjectChanged):
                yield Rejected(Reason.CHANGED_DURING_RUN, f"listed with ETag {item.etag}, read with {fetched.etag}")
            else:
                yield fetched

    def _path(self, uri: str) -> str:
        """The path below the source."""
        return uri.removeprefix(self.uri if self.uri.endswith("/") else f"{self.uri}/")
