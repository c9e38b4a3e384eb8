"""A folder of a store, read recursively: `source: s3://…`, or `{kind: folder, uri: s3://…, pattern: …}`."""

from __future__ import annotations

import fnmatch
import posixpath
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, field_validator

from imagefeatures.errors import Rejected
from imagefeatures.reasons import Reason
from imagefeatures.sources.item import Item
from imagefeatures.strict import FrozenModel


class Folder(FrozenModel):
    """Every object below a folder URI whose name fits one of the patterns.

    >>> source = Folder(uri="s3://photos/fruit/{partition}/", pattern=["*.jpg"])
    >>> str(source.for_partition("2026-11-02"))
    's3://photos/fruit/2026-11-02/'
    """

    kind: Literal["folder"] = "folder"
    uri: str = Field(min_length=1, description="s3://… or file:///…, or a path relative to the dataset file")
    pattern: tuple[str, ...] = Field(("*",), min_length=1, description="Shell patterns for keys")

    def __str__(self) -> str:
        return self.uri

    @field_validator("uri")
    @classmethod
    def _uri_is_known(cls, uri: str) -> str:
        scheme, separator, rest = uri.partition("://")
        if separator and (scheme not in ("file", "s3") or not rest.strip("/")):
            raise ValueError("must be s3://bucket/… or file:///…, or a path relative to this file")
        if scheme == "file" and separator and not rest.startswith("/"):
            raise ValueError("file:// needs three slashes: file:///absolute/path/")
        if scheme == "s3" and rest.startswith("/"):
            raise ValueError("s3:// needs two slashes and a bucket: s3://bucket/folder/")
        fields = re.findall(r"\{([^{}]*)\}", uri)
        if set(fields) - {"partition"}:
            raise ValueError(f"only {{partition}} may be in braces, found {fields}")
        return uri

    @field_validator("pattern", mode="before")
    @classmethod
    def _one_pattern_is_a_list_too(cls, pattern: Any) -> Any:
        return [pattern] if isinstance(pattern, str) else pattern

    def for_partition(self, partition: str) -> Folder:
        return self.model_copy(update={"uri": self.uri.replace("{partition}", partition)})

    def beside(self, folder: Path) -> Folder:
        if "://" in self.uri:
            return self
        # normpath and not resolve(), which would replace symbolic links in the path.
        absolute = posixpath.normpath((folder / self.uri).absolute())
        return self.model_copy(update={"uri": f"file://{absolute}" + ("/" if self.uri.endswith("/") else "")})

    def check(self) -> None:
        from imagefeatures import storage

        next(storage.list_entries(self.uri), None)

    def items(self) -> Iterator[Item]:
        from imagefeatures import storage

        for listed in storage.list_entries(self.uri):
            folder = listed.uri.endswith("/") and not listed.size
            if listed.rejected:
                if folder or self.matches(listed.uri):  # nobody knows what is in that folder
                    yield Item(listed.uri, rejected=listed.rejected)
            elif not folder and self.matches(listed.uri):  # a folder that is an object is the mark of some tools
                yield Item(listed.uri, listed.size, listed.etag)

    def matches(self, uri: str) -> bool:
        """Whether the object's name (the last path segment), or its whole URI, fits one of the patterns."""
        name = uri.rsplit("/", 1)[-1]
        return any(fnmatch.fnmatchcase(name, p) or fnmatch.fnmatchcase(uri, p) for p in self.pattern)

    def fetch(self, items: Sequence[Item]) -> Iterator[bytes | Rejected]:
        from imagefeatures import storage

        listed = [storage.StoredObject(item.uri, item.size or 0, item.etag or "") for item in items]
        for item, fetched in zip(items, storage.fetch_all(listed, self.uri), strict=True):
            if isinstance(fetched, storage.ObjectMissing):
                yield Rejected(Reason.NOT_FOUND, "it was listed, and gone when it was read")
            elif isinstance(fetched, storage.ObjectChanged):
                yield Rejected(Reason.CHANGED_DURING_RUN, f"listed with ETag {item.etag}, read with {fetched.etag}")
            else:
                yield fetched
